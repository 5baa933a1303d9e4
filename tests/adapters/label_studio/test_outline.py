"""Outlines in percent of the image: what they cover, and the polygon of a mask."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage
from skimage import measure

from datalab.adapters.label_studio.outline import (
    ellipse_to_mask,
    mask_to_polygon,
    polygon_to_mask,
    rectangle_to_mask,
)
from datalab.masks import BoolMask

HEIGHT, WIDTH = 10, 20
MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12))
DISC = np.hypot(*(np.mgrid[:60, :90] - np.array([30, 40])[:, None, None])) < 25


def box(top: int, left: int, bottom: int, right: int) -> BoolMask:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def test_a_polygon_covers_the_pixels_whose_centre_it_holds() -> None:
    corners = [[10, 20], [50, 20], [50, 70], [10, 70]]
    assert np.array_equal(polygon_to_mask({"points": corners}, HEIGHT, WIDTH), box(2, 2, 7, 10))


def test_a_triangle_pixel_by_pixel() -> None:
    triangle = polygon_to_mask({"points": [[0, 0], [20, 0], [0, 40]]}, HEIGHT, WIDTH)
    assert triangle[:5, :5].astype(int).tolist() == [
        [1, 1, 1, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
    ]
    assert triangle.sum() == 6


def test_where_a_polygon_crosses_itself_twice_is_outside() -> None:
    """Even-odd: the same square walked twice encloses nothing."""
    square = [[10, 20], [50, 20], [50, 70], [10, 70]]
    assert not polygon_to_mask({"points": square + square}, HEIGHT, WIDTH).any()


def test_a_polygon_that_leaves_the_image_ends_at_its_border() -> None:
    corners = [[-30, -30], [50, -30], [50, 150], [-30, 150]]
    assert np.array_equal(polygon_to_mask({"points": corners}, HEIGHT, WIDTH), box(0, 0, HEIGHT, 10))


def test_rectangles_straight_and_turned() -> None:
    straight = {"x": 10, "y": 20, "width": 40, "height": 50}
    assert np.array_equal(rectangle_to_mask(straight, HEIGHT, WIDTH), box(2, 2, 7, 10))
    # a quarter turn about its corner (x 12, y 2): 5 long downwards, 4 wide to the left
    turned = {"x": 60, "y": 20, "width": 25, "height": 40, "rotation": 90}
    assert np.array_equal(rectangle_to_mask(turned, HEIGHT, WIDTH), box(2, 8, 7, 12))


def test_an_ellipse_has_its_area_and_its_centre() -> None:
    mask = ellipse_to_mask({"x": 50, "y": 50, "radiusX": 30, "radiusY": 40}, HEIGHT, WIDTH)
    assert mask.sum() == pytest.approx(np.pi * 6 * 4, rel=0.1)
    assert np.array_equal(mask, mask[::-1, ::-1])
    turned = ellipse_to_mask({"x": 50, "y": 50, "radiusX": 20, "radiusY": 20, "rotation": 90}, HEIGHT, WIDTH)
    assert turned.any(axis=1).sum() == 8
    assert turned.any(axis=0).sum() == 4


def test_a_polygon_covers_the_centres_that_skimage_finds_inside() -> None:
    corners = np.array([[11.3, 4.1], [70.7, 18.2], [83.9, 51.6], [40.2, 33.1], [8.8, 57.7]])
    value = {"points": (corners * [100 / 90, 100 / 60]).tolist()}
    y, x = np.mgrid[:60, :90] + 0.5
    inside = measure.points_in_poly(np.column_stack([x.ravel(), y.ravel()]), corners).reshape(60, 90)
    assert np.array_equal(polygon_to_mask(value, 60, 90), inside)


def polygon_all_over(points: list[tuple[float, float]], height: int, width: int) -> BoolMask:
    """Every edge against every pixel."""
    corners = np.array(points) * [width / 100, height / 100]
    y, x = np.mgrid[:height, :width] + 0.5
    inside = np.zeros((height, width), dtype=bool)
    for one, other in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        crossed = (one[1] <= y) != (other[1] <= y)
        step = other - one
        # of an edge that crosses no row, however little it rises, there is no place to tell
        at = one[0] + (y - one[1]) * step[0] / (step[1] if crossed.any() else 1)
        inside ^= crossed & (np.ceil(at - 0.5) <= x - 0.5)
    return inside


def ellipse_all_over(value: dict[str, float], height: int, width: int) -> BoolMask:
    y, x = np.mgrid[:height, :width] + 0.5
    x, y = x - value["x"] * width / 100, y - value["y"] * height / 100
    angle, radii = np.deg2rad(value["rotation"]), (value["radiusX"] * width / 100, value["radiusY"] * height / 100)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    inside = (along * radii[1]) ** 2 + (across * radii[0]) ** 2 < (radii[0] * radii[1]) ** 2
    return np.asarray(inside, dtype=bool)


PERCENT = st.floats(-60, 160) | st.integers(-6, 16).map(lambda tens: tens * 10.0)


@given(st.lists(st.tuples(PERCENT, PERCENT), min_size=1, max_size=9), st.integers(1, 30), st.integers(1, 30))
@example(points=[(0.0, 2.225073858507e-311), (1.0, 0.0)], height=1, width=1)
def test_a_polygon_in_its_box_is_the_one_laid_out_all_over(
    points: list[tuple[float, float]], height: int, width: int
) -> None:
    assert np.array_equal(polygon_to_mask({"points": points}, height, width), polygon_all_over(points, height, width))


@given(
    st.fixed_dictionaries(
        {"x": PERCENT, "y": PERCENT, "radiusX": PERCENT.map(abs), "radiusY": PERCENT.map(abs), "rotation": PERCENT}
    ),
    st.integers(1, 30),
    st.integers(1, 30),
)
def test_an_ellipse_in_its_box_is_the_one_laid_out_all_over(value: dict[str, float], height: int, width: int) -> None:
    assert np.array_equal(ellipse_to_mask(value, height, width), ellipse_all_over(value, height, width))


@pytest.mark.parametrize("outline", [polygon_to_mask, ellipse_to_mask])
def test_an_outline_in_a_large_photograph_takes_its_mask_and_little_more(
    outline: Callable[[dict[str, object], int, int], BoolMask],
) -> None:
    small = {"x": 50, "y": 50, "radiusX": 5, "radiusY": 5, "points": [[48, 48], [52, 48], [50, 52]]}
    tracemalloc.start()
    outline(small, 1500, 2000)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 1.5 * 1500 * 2000


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_an_ellipse_at_no_place_is_an_error(number: float) -> None:
    with pytest.raises((ValueError, OverflowError)):
        ellipse_to_mask({"x": number, "y": 50, "radiusX": 5, "radiusY": 5}, HEIGHT, WIDTH)


@given(MASKS)
def test_a_polygon_stands_for_one_part_without_hole_and_nothing_else(mask: BoolMask) -> None:
    parts = ndimage.label(mask)[1]
    surroundings = ndimage.label(np.pad(~mask, 1, constant_values=True), np.ones((3, 3)))[1]
    points = mask_to_polygon(mask)
    assert (points is not None) == (parts == 1 and surroundings == 1)
    if points is not None:
        back = polygon_to_mask({"points": points}, *mask.shape)
        assert (back & mask).sum() >= 0.98 * (back | mask).sum()
        assert 0 <= np.min(points) <= np.max(points) <= 100


@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_a_single_pixel_and_a_full_image_are_exact(height: int, width: int, data: st.DataObject) -> None:
    pixel = np.zeros((height, width), dtype=bool)
    pixel[data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))] = True
    for mask in (pixel, np.ones((height, width), dtype=bool)):
        points = mask_to_polygon(mask)
        assert points is not None
        assert np.array_equal(polygon_to_mask({"points": points}, height, width), mask)


def test_a_disc_needs_few_corners_and_a_ring_stays_a_mask() -> None:
    points = mask_to_polygon(DISC)
    assert points is not None
    assert len(points) < 40
    ring = DISC.copy()
    ring[30, 40] = False
    assert mask_to_polygon(ring) is None


@pytest.mark.parametrize("places", [[], [(2, 3), (3, 4)], [(0, 0), (9, 19)]], ids=["empty", "corner", "apart"])
def test_no_single_outline(places: list[tuple[int, int]]) -> None:
    mask = box(0, 0, 0, 0)
    for place in places:
        mask[place] = True
    assert mask_to_polygon(mask) is None
