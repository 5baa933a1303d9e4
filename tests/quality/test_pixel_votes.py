"""crowd-kit's published example masks, and what each vote does with ties and with nothing to estimate."""

import tracemalloc

import numpy as np
import numpy.typing as npt
import pytest

from datalab.masks import mask_to_rle, rle_to_mask
from datalab.quality.pixel_votes import PIXEL_VOTES, vote_pixels

HEIGHT, WIDTH = 3, 8
EQUAL = [1.0, 1.0, 1.0]


def mask(*rows: str) -> npt.NDArray[np.bool_]:
    return np.array([[pixel == "#" for pixel in row] for row in rows])


def vote(name: str, masks: list[npt.NDArray[np.bool_]], voices: list[float]) -> npt.NDArray[np.bool_]:
    height, width = masks[0].shape
    return rle_to_mask(vote_pixels(name, [mask_to_rle(one) for one in masks], voices, height, width), height, width)


FIRST = [
    mask("...#....", "########", "########"),
    mask("........", "########", "########"),
    mask("........", "....##..", "....##.."),
]
SECOND = [
    mask("........", ".......#", "########"),
    mask("########", "########", "######.."),
    mask("........", "#####...", "#######."),
]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["majority", "skill_weighted", "rasa", "em", "staple"])
def test_three_masks_of_the_first_image(name: str) -> None:
    np.testing.assert_array_equal(vote(name, FIRST, EQUAL), FIRST[1])


@pytest.mark.parametrize("name", ["majority", "skill_weighted"])
def test_majority_of_the_second_image(name: str) -> None:
    expected = mask("........", "#####..#", "#######.")
    np.testing.assert_array_equal(vote(name, SECOND, EQUAL), expected)


@pytest.mark.parametrize("name", ["em", "rasa"])
def test_the_third_person_is_found_to_be_the_best(name: str) -> None:
    np.testing.assert_array_equal(vote(name, SECOND, EQUAL), SECOND[2])


def test_skill_of_three_outweighs_two() -> None:
    masks = [mask("##...", "#...."), mask("#.#.#", "....."), mask(".###.", ".....")]
    np.testing.assert_array_equal(vote("skill_weighted", masks, [1, 1, 3]), masks[2])


@pytest.mark.parametrize("name", PIXEL_VOTES)
def test_a_tie_is_background_but_for_rasa(name: str) -> None:
    wide, narrow = mask("###.", "###."), mask("##..", "##..")
    expected = wide if name == "rasa" else narrow
    np.testing.assert_array_equal(vote(name, [wide, wide, narrow, narrow], [1.0] * 4), expected)


@pytest.mark.parametrize("name", PIXEL_VOTES)
def test_equal_masks_give_that_mask(name: str) -> None:
    np.testing.assert_array_equal(vote(name, [FIRST[2]] * 3, [0.9, 0.2, 0.4]), FIRST[2])


@pytest.mark.parametrize("name", PIXEL_VOTES)
def test_masks_that_do_not_touch_leave_the_strongest(name: str) -> None:
    apart = [mask("#....", "....."), mask("..#..", "....."), mask(".....", "....#")]
    np.testing.assert_array_equal(vote(name, apart, [0.2, 0.9, 0.4]), apart[1])


def test_small_masks_of_a_large_photograph_take_little_memory() -> None:
    photograph = np.zeros((1500, 2000), dtype=bool)
    photograph[700:720, 900:930] = True
    shapes = [mask_to_rle(photograph)] * 3
    tracemalloc.start()
    assert vote_pixels("majority", shapes, EQUAL, *photograph.shape) == shapes[0]
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < photograph.size
