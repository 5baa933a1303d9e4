import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from datalab.errors import InputError
from datalab.masks import (
    crop_to_rle,
    iou_matrix,
    label_map,
    lies_in,
    mask_to_crop,
    mask_to_rle,
    middles,
    resize_labels,
    rle_area,
    rle_areas,
    rle_box_xywh,
    rle_fits,
    rle_share_inside,
    rle_to_crop,
    rle_to_mask,
    rle_union,
    rles_to_cuts,
    row_runs,
)

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
def test_the_code_is_pycocotools_own_in_whatever_order_the_mask_lies(mask: Mask) -> None:
    expected = coco.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode()
    for same in (mask, np.asfortranarray(mask), np.repeat(mask, 2, axis=1)[:, ::2]):
        assert mask_to_rle(same) == expected


@given(MASKS)
def test_runs_say_the_mask_row_after_row(mask: Mask) -> None:
    for same in (mask, np.asfortranarray(mask)):
        runs = row_runs(same)
        assert (runs[1:] > 0).all()
        assert np.array_equal(np.repeat(np.arange(len(runs)) % 2 == 1, runs), mask.ravel())


def test_runs_typed() -> None:
    assert row_runs(RIGHT).tolist() == [1, 2, 2, 2, 1]
    assert row_runs(LEFT).tolist() == [0, 2, 2, 2, 2]
    assert row_runs(np.zeros((0, 3), dtype=bool)).tolist() == [0]


@given(st.lists(st.booleans(), min_size=8, max_size=8), st.integers(1, 40), st.integers(0, 40), st.integers(0, 7))
def test_runs_of_a_pattern_that_repeats_every_eight_pixels(
    pattern: list[bool], times: int, plain: int, rest: int
) -> None:
    row = np.array([False] * plain + pattern * times + [True] * rest)
    edges = np.flatnonzero(row[1:] != row[:-1]) + 1
    begin = [0] if row[0] else []
    assert row_runs(row[None]).tolist() == np.diff([0, *begin, *edges, row.size]).tolist()


@given(MASKS)
def test_area_is_the_number_of_pixels(mask: Mask) -> None:
    assert rle_area(mask_to_rle(mask), *mask.shape) == mask.sum()


@given(MASKS)
def test_areas_of_many_are_those_of_each(mask: Mask) -> None:
    rles = [mask_to_rle(mask), mask_to_rle(~mask)]
    assert rle_areas(rles, *mask.shape).tolist() == [mask.sum(), (~mask).sum()]
    assert rle_areas([], *mask.shape).tolist() == []


@given(MASKS)
def test_a_crop_is_the_mask_in_its_tight_box(mask: Mask) -> None:
    assert_cropped(mask)


@pytest.mark.parametrize("share", [0.001, 0.3, 0.5, 0.999])
def test_crops_of_long_and_of_many_runs(share: float) -> None:
    rng = np.random.default_rng(3)
    assert_cropped(rng.random((211, 187)) < share)
    blocks = np.kron(rng.random((5, 4)) < share, np.ones((40, 50), dtype=bool))
    assert_cropped(np.pad(blocks, ((3, 700), (900, 1))))


@given(MASKS)
def test_a_mask_fits_its_own_size(mask: Mask) -> None:
    assert rle_fits(mask_to_rle(mask), *mask.shape)


@pytest.mark.parametrize("rle", [mask_to_rle(LEFT[:, :3]), mask_to_rle(np.ones((3, 4))), "0P", "###", "né", ""])
def test_what_is_no_mask_of_a_size_does_not_fit(rle: str) -> None:
    assert not rle_fits(rle, 2, 4)


def assert_cropped(mask: Mask) -> None:
    top, left, pixels = rle_to_crop(mask_to_rle(mask), mask.shape[0])
    x, y, width, height = rle_box_xywh(mask_to_rle(mask), *mask.shape)
    assert (top, left, *pixels.shape) == (y, x, height, width)
    assert np.array_equal(pixels, mask[y : y + height, x : x + width])
    assert crop_to_rle(pixels, top, left, *mask.shape) == mask_to_rle(mask)
    first_row, first_column, again = mask_to_crop(mask)
    assert (first_row, first_column) == (top, left)
    assert np.array_equal(again, pixels)


@pytest.mark.slow
@given(MASKS.flatmap(lambda first: st.lists(arrays(np.bool_, first.shape).filter(np.any), min_size=1, max_size=4)))
def test_cuts_are_the_masks_in_the_box_around_all(masks: list[Mask]) -> None:
    x, y, width, height = rle_box_xywh(mask_to_rle(np.any(masks, axis=0)), *masks[0].shape)
    top, left, cuts = rles_to_cuts([mask_to_rle(mask) for mask in masks], masks[0].shape[0])
    assert (top, left) == (y, x)
    assert np.array_equal(cuts, np.stack(masks)[:, y : y + height, x : x + width])


def test_box_is_tight() -> None:
    assert rle_box_xywh(mask_to_rle(RIGHT), 2, 4) == (1, 0, 2, 2)
    assert rle_box_xywh(mask_to_rle(np.zeros((2, 4))), 2, 4) == (0, 0, 0, 0)


def test_iou_by_hand() -> None:
    left, right, nothing = mask_to_rle(LEFT), mask_to_rle(RIGHT), mask_to_rle(np.zeros((2, 4)))
    assert iou_matrix([left, nothing], [left, right], 2, 4).tolist() == [[1.0, pytest.approx(2 / 6)], [0.0, 0.0]]
    assert iou_matrix([], [left], 2, 4).shape == (0, 1)


@given(MASKS, st.data())
def test_iou_is_pycocotools_own(first: Mask, data: st.DataObject) -> None:
    others = st.lists(arrays(np.bool_, first.shape), max_size=4)
    a, b = ([mask_to_rle(one) for one in side] for side in ([first, *data.draw(others)], data.draw(others)))
    sides = [[{"size": list(first.shape), "counts": rle.encode()} for rle in side] for side in (a, b)]
    expected = np.reshape(coco.iou(*sides, [0] * len(b)), (len(a), len(b)))
    assert np.array_equal(iou_matrix(a, b, *first.shape), expected)


def test_iou_of_large_masks_is_that_of_their_pixels() -> None:
    rng, (rows, columns) = np.random.default_rng(0), np.mgrid[:300, :400]
    places = rng.uniform((60, 60, 20), (240, 340, 60), (12, 3))
    discs = [(rows - y) ** 2 + (columns - x) ** 2 < radius**2 for y, x, radius in places]
    expected = [[(a & b).sum() / (a | b).sum() for b in discs] for a in discs]
    found = iou_matrix([mask_to_rle(one) for one in discs], [mask_to_rle(one) for one in discs], 300, 400)
    assert np.abs(found - expected).max() < 1e-9


def test_a_union_and_a_share_by_hand() -> None:
    left, right, nothing = mask_to_rle(LEFT), mask_to_rle(RIGHT), mask_to_rle(np.zeros((2, 4)))
    assert rle_to_mask(rle_union([left, "", right], 2, 4), 2, 4).tolist() == (LEFT | RIGHT).tolist()
    assert rle_union([""], 2, 4) == ""
    assert [rle_share_inside(left, area, 2, 4) for area in (left, right, nothing, "")] == [1.0, 0.5, 0.0, 0.0]
    assert rle_share_inside(nothing, left, 2, 4) == 0


def test_half_of_a_mask_has_to_lie_in_an_area() -> None:
    area, square = mask_to_rle(LEFT), np.ones((2, 2), dtype=bool)
    shifted = [mask_to_rle(np.pad(square, ((0, 0), (start, 2 - start)))) for start in range(3)]
    assert [lies_in(one, area, 2, 4) for one in shifted] == [True, True, False]
    assert not lies_in("", area, 2, 4)
    assert not lies_in(mask_to_rle(np.zeros((2, 4))), area, 2, 4)
    assert not lies_in(area, "", 2, 4)


@given(st.integers(1, 50), st.integers(1, 50))
def test_each_cell_shows_the_pixel_in_its_middle(length: int, cells: int) -> None:
    edges = np.arange(cells) * length / cells  # where cells begin, in pixels
    expected = np.floor(edges + length / cells / 2 + 1e-9)
    assert middles(length, cells).tolist() == expected.tolist()


def test_a_line_scan_of_any_length_is_resized() -> None:
    labels = np.tile(np.repeat(np.arange(4, dtype=np.uint8), 10_000), (3, 1))
    found = resize_labels(labels, 1, 8)
    assert found.dtype == np.uint8
    assert found.tolist() == [[0, 0, 1, 1, 2, 2, 3, 3]]


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
