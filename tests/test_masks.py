import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from datalab.errors import InputError
from datalab.masks import iou_matrix, label_map, mask_to_rle, rle_area, rle_box_xywh, rle_to_mask

Mask = npt.NDArray[np.bool_]
MASKS = st.tuples(st.integers(1, 17), st.integers(1, 17)).flatmap(lambda shape: arrays(np.bool_, shape))

LEFT = np.array([[1, 1, 0, 0], [1, 1, 0, 0]], dtype=bool)
RIGHT = np.array([[0, 1, 1, 0], [0, 1, 1, 0]], dtype=bool)


@given(MASKS)
def test_round_trip_is_exact(mask: Mask) -> None:
    decoded = rle_to_mask(mask_to_rle(mask), *mask.shape)
    assert decoded.dtype == np.bool_
    assert np.array_equal(decoded, mask)


@given(MASKS)
def test_area_is_the_number_of_pixels(mask: Mask) -> None:
    assert rle_area(mask_to_rle(mask), *mask.shape) == mask.sum()


def test_box_is_tight() -> None:
    assert rle_box_xywh(mask_to_rle(RIGHT), 2, 4) == (1, 0, 2, 2)
    assert rle_box_xywh(mask_to_rle(np.zeros((2, 4))), 2, 4) == (0, 0, 0, 0)


def test_iou_by_hand() -> None:
    left, right, nothing = mask_to_rle(LEFT), mask_to_rle(RIGHT), mask_to_rle(np.zeros((2, 4)))
    assert iou_matrix([left, nothing], [left, right], 2, 4).tolist() == [[1.0, pytest.approx(2 / 6)], [0.0, 0.0]]
    assert iou_matrix([], [left], 2, 4).shape == (0, 1)


def test_any_non_zero_pixel_is_inside() -> None:
    assert mask_to_rle(LEFT.astype(np.uint8) * 200) == mask_to_rle(LEFT)


def test_a_mask_has_two_axes() -> None:
    with pytest.raises(InputError, match=r"2 axes.*\(2, 2, 3\)"):
        mask_to_rle(np.zeros((2, 2, 3)))


def test_a_small_region_lies_on_a_large_one_whatever_the_order() -> None:
    whole, part = mask_to_rle(np.ones((2, 4))), mask_to_rle(LEFT)
    expected = [[2, 2, 1, 1], [2, 2, 1, 1]]
    assert label_map([(1, whole), (2, part)], 2, 4).tolist() == expected
    assert label_map([(2, part), (1, whole)], 2, 4).tolist() == expected
    assert label_map([], 1, 2).tolist() == [[0, 0]]
