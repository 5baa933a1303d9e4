"""Regions between our tables and Label Studio's annotation JSON."""

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from datalab.adapters.label_studio.results import region_to_result, results_to_regions
from datalab.errors import InputError
from datalab.masks import BoolMask, mask_to_rle, rle_to_mask

HEIGHT, WIDTH = 10, 20
MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=20)).filter(lambda mask: bool(mask.any()))


def box(top: int, left: int, bottom: int, right: int) -> BoolMask:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def shape(kind: str, value: dict[str, Any], label: str | None = "coin") -> dict[str, Any]:
    labels = {} if label is None else {kind: [label]}
    return {
        "id": "s1", "type": kind, "original_width": WIDTH, "original_height": HEIGHT, "value": {**value, **labels}
    }  # fmt: skip


def decoded(result: dict[str, Any]) -> BoolMask:
    (row,) = results_to_regions([result])
    return rle_to_mask(row["rle"], HEIGHT, WIDTH)


@pytest.mark.parametrize("origin", ["proposal", "edited", "manual"])
def test_a_region_goes_there_and_back(origin: str) -> None:
    rle = mask_to_rle(box(2, 3, 7, 9))
    result = region_to_result("r1", "coin", rle, HEIGHT, WIDTH, origin)
    assert results_to_regions([result]) == [
        {"region_id": "r1", "label": "coin", "rle": rle, "height": HEIGHT, "width": WIDTH, "origin": origin}
    ]


@given(MASKS, st.text(min_size=1), st.sampled_from(["proposal", "edited", "manual"]))
@settings(deadline=None)
def test_any_mask_and_class_goes_there_and_back(mask: BoolMask, label: str, origin: str) -> None:
    height, width = mask.shape
    row: dict[str, Any] = {
        "region_id": "r1", "label": label, "rle": mask_to_rle(mask), "height": height, "width": width, "origin": origin
    }  # fmt: skip
    assert results_to_regions([region_to_result(**row)]) == [row]


def test_a_result_has_what_the_labeling_screen_needs() -> None:
    mask = np.zeros((4, 5), dtype=bool)
    mask[1, 2:4] = True
    assert region_to_result("r1", "coin", mask_to_rle(mask), 4, 5, "edited") == {
        "id": "r1",
        "type": "brushlabels",
        "from_name": "mask",
        "to_name": "image",
        "original_width": 5,
        "original_height": 4,
        "image_rotation": 0,
        "origin": "prediction-changed",
        "value": {
            "format": "rle",
            "rle": [0, 0, 0, 80, 57, 27, 254, 27, 0, 159, 255, 21, 128, 0],
            "brushlabels": ["coin"],
        },
    }


def test_without_an_origin_somebody_drew_it() -> None:
    result = region_to_result("r1", "coin", mask_to_rle(box(0, 0, 1, 1)), HEIGHT, WIDTH)
    del result["origin"]
    assert results_to_regions([result])[0]["origin"] == "manual"


def test_nothing_found_is_no_region_and_neither_is_one_erased() -> None:
    assert results_to_regions([]) == []
    erased = region_to_result("r1", "coin", mask_to_rle(box(0, 0, 0, 0)), HEIGHT, WIDTH)
    assert results_to_regions([erased]) == []


def test_a_polygon_covers_the_pixels_whose_centre_it_holds() -> None:
    corners = [[10, 20], [50, 20], [50, 70], [10, 70]]
    assert np.array_equal(decoded(shape("polygonlabels", {"points": corners})), box(2, 2, 7, 10))


def test_a_triangle_pixel_by_pixel() -> None:
    triangle = decoded(shape("polygonlabels", {"points": [[0, 0], [20, 0], [0, 40]]}))
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
    assert results_to_regions([shape("polygonlabels", {"points": square + square})]) == []


def test_a_polygon_that_leaves_the_image_ends_at_its_border() -> None:
    corners = [[-30, -30], [50, -30], [50, 150], [-30, 150]]
    assert np.array_equal(decoded(shape("polygonlabels", {"points": corners})), box(0, 0, HEIGHT, 10))


def test_rectangles_straight_and_turned() -> None:
    straight = {"x": 10, "y": 20, "width": 40, "height": 50}
    assert np.array_equal(decoded(shape("rectanglelabels", straight)), box(2, 2, 7, 10))
    # a quarter turn about its corner (x 12, y 2): 5 long downwards, 4 wide to the left
    turned = {"x": 60, "y": 20, "width": 25, "height": 40, "rotation": 90}
    assert np.array_equal(decoded(shape("rectanglelabels", turned)), box(2, 8, 7, 12))


def test_an_ellipse_has_its_area_and_its_centre() -> None:
    mask = decoded(shape("ellipselabels", {"x": 50, "y": 50, "radiusX": 30, "radiusY": 40}))
    assert mask.sum() == pytest.approx(np.pi * 6 * 4, rel=0.1)
    assert np.array_equal(mask, mask[::-1, ::-1])
    turned = decoded(shape("ellipselabels", {"x": 50, "y": 50, "radiusX": 20, "radiusY": 20, "rotation": 90}))
    assert turned.any(axis=1).sum() == 8
    assert turned.any(axis=0).sum() == 4


def test_an_arrow_between_regions_is_no_region() -> None:
    rle = mask_to_rle(box(2, 3, 7, 9))
    arrow = {"type": "relation", "from_id": "r1", "to_id": "r2", "direction": "right"}
    assert len(results_to_regions([region_to_result("r1", "coin", rle, HEIGHT, WIDTH), arrow])) == 1


def test_a_class_unknown_or_missing_is_kept_as_it_is() -> None:
    corners = {"points": [[10, 20], [50, 20], [50, 70], [10, 70]]}
    rows = results_to_regions(
        [
            shape("polygonlabels", corners, "dragon"),
            shape("polygonlabels", corners, None),
            shape("polygon", corners, None),
        ]
    )
    assert [row["label"] for row in rows] == ["dragon", "", ""]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"type": "keypointlabels"}, "region s1: type 'keypointlabels' is no mask; known: brush"),
        ({"value": {}}, "region s1 is damaged"),
        ({"original_width": None}, "region s1 is damaged"),
        ({"value": {"points": [[1, 2], [3]]}}, "region s1 is damaged"),
        ({"value": {"points": []}}, "region s1 is damaged"),
        ({"type": "brushlabels", "value": {"rle": [1, 2, 3]}}, "region s1 is damaged"),
    ],
)
def test_what_cannot_be_read_is_named(change: dict[str, Any], said: str) -> None:
    result = {**shape("polygonlabels", {"points": [[0, 0], [50, 0], [0, 50]]}), **change}
    before = copy.deepcopy(result)
    with pytest.raises(InputError, match=said) as caught:
        results_to_regions([result])
    assert "\n" not in str(caught.value)
    assert result == before
