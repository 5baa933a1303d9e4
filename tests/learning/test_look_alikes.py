"""Groups by the place of their first image, typed by hand."""

import numpy as np
import numpy.typing as npt

from datalab.learning import look_alikes
from datalab.learning.look_alikes import join_named, join_near


def hashes(*values: int) -> npt.NDArray[np.uint64]:
    return np.array(values, dtype=np.uint64)


def test_near_ones_are_joined_through_others_too() -> None:
    looks = hashes(0b0, 0xFFFF, 0b1, 0b111)
    assert join_near(np.arange(4), looks, 2).tolist() == [0, 1, 0, 0]
    assert join_near(np.arange(4), looks, 1).tolist() == [0, 1, 0, 3]
    assert join_near(np.arange(4), looks, -1).tolist() == [0, 1, 2, 3]
    assert join_near(np.arange(0), hashes(), 2).tolist() == []


def test_later_images_join_groups_that_were_apart_and_earlier_ones_stay_as_they_are() -> None:
    looks = hashes(0b0, 0xFF00, 0xFF00, 0b11, 0b1)
    assert join_near(np.array([0, 1, 2, 3, 4]), looks, 1, since=4).tolist() == [0, 1, 2, 0, 0]


def test_pairs_are_found_across_blocks() -> None:
    count = look_alikes.BLOCK * 2 + 3
    chain = hashes(*((1 << (number % 8)) - 1 for number in range(count)))
    assert set(join_near(np.arange(count), chain, 1).tolist()) == {0}


def test_equal_names_are_joined_and_none_is_no_name() -> None:
    assert join_named(np.arange(6), np.array([-1, 7, -1, 2, 7, 2])).tolist() == [0, 1, 2, 3, 1, 3]
    assert join_named(np.array([0, 1, 0, 3]), np.array([-1, 4, 4, -1])).tolist() == [0, 0, 0, 3]
