"""Our brush encoding against the SDK's own, in both directions, and streams that are broken."""

import warnings

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from datalab.adapters.label_studio.brush import brush_to_mask, mask_to_brush
from datalab.errors import InputError
from datalab.masks import BoolMask

with warnings.catch_warnings():
    # the converter package compiles a regular expression with an invalid escape
    warnings.simplefilter("ignore")
    from label_studio_sdk.converter.brush import decode_rle, encode_rle, mask2rle

MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=40))
LEVELS = arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)))
WIDE = np.zeros((150, 301), dtype=bool)
"""Runs longer than 65536 bytes on both sides of a few pixels."""
WIDE[80, 40:43] = True
SHAPES = [(1, 1), (1, 2), (3, 5), (7, 1), (1, 16385), (127, 129), (128, 128), (150, 301)]


def theirs(mask: BoolMask) -> list[int]:
    return list(mask2rle(mask.astype(np.uint8) * 255))


def alpha_of(rle: list[int], height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.asarray(decode_rle(rle), dtype=np.uint8).reshape(height, width, 4)[..., 3]


def rgba(alpha: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.repeat(alpha.ravel(), 4)


@given(MASKS)
def test_any_mask_is_written_byte_for_byte_as_the_sdk_writes_it(mask: BoolMask) -> None:
    assert mask_to_brush(mask) == theirs(mask)


@given(MASKS)
def test_the_sdk_reads_what_we_write_and_we_read_what_it_writes(mask: BoolMask) -> None:
    height, width = mask.shape
    assert np.array_equal(alpha_of(mask_to_brush(mask), height, width) == 255, mask)
    assert np.array_equal(brush_to_mask(theirs(mask), height, width), mask)


@pytest.mark.parametrize("inside", [False, True], ids=["empty", "full"])
@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_one_single_run(height: int, width: int, inside: bool) -> None:
    mask = np.full((height, width), inside)
    assert mask_to_brush(mask) == theirs(mask)
    assert np.array_equal(brush_to_mask(mask_to_brush(mask), height, width), mask)


@pytest.mark.parametrize("mask", [WIDE, ~WIDE], ids=["speck", "hole"])
def test_runs_longer_than_the_longest_are_split_as_the_sdk_splits_them(mask: BoolMask) -> None:
    assert mask_to_brush(mask) == theirs(mask)
    assert np.array_equal(brush_to_mask(mask_to_brush(mask), *mask.shape), mask)


@pytest.mark.parametrize("pixels", [2, 4, 64, 65, 16384, 16385])
def test_run_lengths_at_the_borders_of_the_classes(pixels: int) -> None:
    mask = np.zeros((1, pixels + 2), dtype=bool)
    mask[0, 1 : pixels + 1] = True
    assert mask_to_brush(mask) == theirs(mask)
    assert np.array_equal(brush_to_mask(theirs(mask), *mask.shape), mask)


def test_a_typed_mask_gives_the_typed_bytes() -> None:
    mask = np.zeros((4, 5), dtype=bool)
    mask[1, 2:4] = True
    assert mask_to_brush(mask) == [0, 0, 0, 80, 57, 27, 254, 27, 0, 159, 255, 21, 128, 0]


def test_the_sdks_own_example_stream_is_still_the_one_we_know() -> None:
    assert encode_rle([1] * 4 + [2, 3, 5, 6, 7, 8] + [4] * 8) == [
        0, 0, 0, 18, 57, 27, 252, 96, 32, 1, 0, 6, 0, 40, 0, 192, 3, 128, 17, 56, 32,
    ]  # fmt: skip


def test_a_literal_run_is_read() -> None:
    # 12 bytes, three pixels: a repeat of four 0, then eight values one by one, of which the 4th and 8th are alpha
    literal = [1, 2, 3, 200, 5, 6, 7, 8]
    bits = f"{12:032b}" + "00111" + "0010001101111111"
    bits += "1" + "00" + f"{3:03b}" + f"{0:08b}"
    bits += "0" + "00" + f"{7:03b}" + "".join(f"{value:08b}" for value in literal)
    stream = [int(bits[start : start + 8].ljust(8, "0"), 2) for start in range(0, len(bits), 8)]
    assert brush_to_mask(stream, 1, 3).tolist() == [[False, True, False]]


@given(LEVELS)
def test_soft_edges_count_from_half_opacity_on(alpha: npt.NDArray[np.uint8]) -> None:
    stream = encode_rle(rgba(alpha))
    assert np.array_equal(brush_to_mask(stream, *alpha.shape), alpha >= 128)


@given(arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(4))))
def test_only_the_alpha_channel_counts(colours: npt.NDArray[np.uint8]) -> None:
    height, width, _ = colours.shape
    assert np.array_equal(brush_to_mask(encode_rle(colours.ravel()), height, width), colours[..., 3] >= 128)


@pytest.mark.parametrize(
    "stream",
    [
        [],
        [0, 0],
        mask_to_brush(WIDE[78:82, 38:45])[:-4],
        [0, 0, 0, 16, 57, 27, 255],
        [0, 0, 0, 112, 0, 0, 0, 0, 0],
        [0, 0, 1, 300],
        [-1, 0, 0],
        ["no", "bytes"],
        None,
    ],
)
def test_a_damaged_stream_is_an_input_error(stream: list[int]) -> None:
    with pytest.raises(InputError, match="a brush mask of 7 x 4 pixels is damaged"):
        brush_to_mask(stream, 4, 7)


@given(st.lists(st.integers(0, 255), max_size=40))
def test_any_bytes_give_a_mask_or_an_input_error(tail: list[int]) -> None:
    try:
        mask = brush_to_mask([0, 0, 0, 48, 57, 27, 248, *tail], 3, 4)
    except InputError:
        return
    assert mask.shape == (3, 4)


def test_the_size_has_to_match_and_be_sane() -> None:
    rle = mask_to_brush(np.ones((4, 5), dtype=bool))
    with pytest.raises(InputError, match="holds 80 values, not 64"):
        brush_to_mask(rle, 4, 4)
    with pytest.raises(InputError, match="60000 x 60000 pixels cannot be a brush mask"):
        brush_to_mask(rle, 60_000, 60_000)
    with pytest.raises(InputError, match="0 x 3 pixels"):
        mask_to_brush(np.zeros((3, 0), dtype=bool))
    with pytest.raises(InputError, match="2 axes"):
        mask_to_brush(np.zeros((2, 2, 2), dtype=bool))


def test_values_that_are_no_bytes_are_refused() -> None:
    with pytest.raises(InputError, match="not bytes"):
        brush_to_mask([0, 0, 0, 80, 1, 27, 254, 27, 0, 159, 255, 21, 128, 0], 4, 5)


def test_the_input_is_not_changed() -> None:
    mask = WIDE.copy()
    mask_to_brush(mask)
    assert np.array_equal(mask, WIDE)
