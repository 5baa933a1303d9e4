"""The brush encoding against Label Studio's own converter, both ways."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from label_studio_sdk.converter.brush import decode_rle, encode_rle, mask2rle

from datalab.adapters.label_studio.brush import brush_to_mask, mask_to_brush
from datalab.errors import InputError
from datalab.masks import BoolMask

masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=40))
rgba = arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12), st.just(4)))


def alpha_by_the_converter(rle: list[int], height: int, width: int) -> npt.NDArray[np.uint8]:
    decoded: npt.NDArray[np.uint8] = np.reshape(decode_rle(rle), (height, width, 4))[..., 3]
    return decoded


def blob(height: int, width: int) -> BoolMask:
    y, x = np.mgrid[:height, :width]
    inside: BoolMask = np.hypot(y - height / 2, x - width / 3) < height / 3
    return inside


def test_two_pixels_typed_by_hand() -> None:
    mask = np.zeros((4, 5), dtype=bool)
    mask[1, 2:4] = True
    rle = [0, 0, 0, 80, 57, 27, 254, 27, 0, 159, 255, 21, 128, 0]
    assert mask_to_brush(mask) == rle
    assert np.array_equal(brush_to_mask(rle, 4, 5), mask)


@given(masks)
@settings(deadline=None)
def test_the_bytes_are_those_of_the_converter_and_come_back(mask: BoolMask) -> None:
    rle = mask_to_brush(mask)
    assert rle == mask2rle(mask.astype(np.uint8) * 255)
    assert np.array_equal(brush_to_mask(rle, *mask.shape), mask)


@pytest.mark.parametrize("mask", [np.ones((300, 301), bool), np.zeros((257, 513), bool), blob(333, 271), blob(1, 1)])
def test_long_runs_and_single_pixels(mask: BoolMask) -> None:
    rle = mask_to_brush(mask)
    assert rle == mask2rle(mask.astype(np.uint8) * 255)
    assert np.array_equal(brush_to_mask(rle, *mask.shape), mask)


@given(rgba)
@settings(deadline=None)
def test_soft_edges_and_literal_runs_are_decoded_like_the_converter_does(pixels: npt.NDArray[np.uint8]) -> None:
    """What the browser sends: colours and every opacity, runs that begin anywhere in a pixel."""
    height, width, _ = pixels.shape
    rle = encode_rle(pixels.ravel())
    assert np.array_equal(brush_to_mask(rle, height, width), alpha_by_the_converter(rle, height, width) >= 128)


def test_the_input_is_not_changed() -> None:
    mask = blob(20, 30)
    before = mask.copy()
    mask_to_brush(mask)
    assert np.array_equal(mask, before)


@pytest.mark.parametrize(
    ("rle", "said"),
    [
        ([], "ends early"),
        ([0, 0, 0, 80], "ends early"),
        ([0, 0, 0, 80, 57, 27, 254, 27], "ends early"),
        ([0, 0, 0, 76, 57, 27, 254, 27, 0, 159, 255, 21, 128, 0], "holds 76 values, not 80"),
        ([0, 0, 0, 80, 1, 27, 254, 27, 0, 159, 255, 21, 128, 0], "not bytes"),
        ([0, 0, 0, 80, 57, 27, 254, 27, 0, 999], "damaged"),
        ([0, 0, 0, -1, 57, 27], "damaged"),
        (None, "damaged"),
        ("rle", "damaged"),
    ],
)
def test_a_damaged_stream_is_an_input_error(rle: list[int], said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        brush_to_mask(rle, 4, 5)
    assert "\n" not in str(caught.value)


@given(st.lists(st.integers(0, 255), max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_mask_or_an_input_error(garbage: list[int]) -> None:
    header = [0, 0, 0, 80, 57, 27, 254, 0]
    try:
        assert brush_to_mask(header[:7] + garbage, 4, 5).shape == (4, 5)
    except InputError as exc:
        assert "damaged" in str(exc)


def test_masks_of_no_or_too_many_pixels_are_refused() -> None:
    with pytest.raises(InputError, match="2 axes"):
        mask_to_brush(np.zeros((2, 2, 2), dtype=bool))
    with pytest.raises(InputError, match="0 x 3 pixels"):
        mask_to_brush(np.zeros((3, 0), dtype=bool))
    with pytest.raises(InputError, match="90000 x 90000 pixels"):
        brush_to_mask([0] * 20, 90_000, 90_000)
