"""Regions as Label Studio writes them, by hand."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from datalab.adapters.label_studio.results import region_to_result, results_to_regions
from datalab.errors import InputError
from datalab.masks import BoolMask, mask_to_rle, rle_to_mask

MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=20)).filter(lambda mask: bool(mask.any()))


def shape(kind: str, value: dict[str, Any], height: int = 10, width: int = 20) -> dict[str, Any]:
    return {
        "id": "r1", "type": kind, "from_name": "polygon", "to_name": "image", "image_rotation": 0,
        "original_width": width, "original_height": height, "value": {**value, kind: ["coin"]},
    }  # fmt: skip


def mask_of(result: dict[str, Any]) -> BoolMask:
    (row,) = results_to_regions([result])
    return rle_to_mask(row["rle"], row["height"], row["width"])


@given(MASKS, st.text(min_size=1), st.sampled_from(["proposal", "edited", "manual"]))
@settings(deadline=None)
def test_a_region_comes_back_as_it_went(mask: BoolMask, label: str, origin: str) -> None:
    height, width = mask.shape
    row: dict[str, Any] = {
        "region_id": "r1", "label": label, "rle": mask_to_rle(mask), "height": height, "width": width,
        "origin": origin,
    }  # fmt: skip
    assert results_to_regions([region_to_result(**row)]) == [row]


def test_a_brush_region_has_label_studios_keys() -> None:
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


def test_a_polygon_in_percent_of_the_image() -> None:
    # corners at (4, 2), (8, 2), (8, 6), (4, 6): 4 x 4 pixels have their centre inside
    mask = mask_of(shape("polygonlabels", {"points": [[20, 20], [40, 20], [40, 60], [20, 60]]}))
    expected = np.zeros((10, 20), dtype=bool)
    expected[2:6, 4:8] = True
    assert np.array_equal(mask, expected)


def test_a_polygon_that_reaches_beyond_the_image_is_cut() -> None:
    mask = mask_of(shape("polygonlabels", {"points": [[-50, -50], [150, -50], [150, 150], [-50, 150]]}))
    assert mask.all()


def test_the_diagonal_half_of_the_image() -> None:
    mask = mask_of(shape("polygonlabels", {"points": [[0, 0], [100, 100], [0, 100]]}, height=40, width=40))
    rows, columns = np.mgrid[:40, :40]
    # centres on the diagonal itself may count or not
    off = rows != columns
    assert np.array_equal(mask[off], (rows > columns)[off])


def test_a_rectangle() -> None:
    mask = mask_of(shape("rectanglelabels", {"x": 20, "y": 20, "width": 20, "height": 40, "rotation": 0}))
    expected = np.zeros((10, 20), dtype=bool)
    expected[2:6, 4:8] = True
    assert np.array_equal(mask, expected)


def test_a_rectangle_turned_by_a_right_angle_about_its_corner() -> None:
    # 4 pixels along, 2 across; turned clockwise "along" points down and "across" to the left
    mask = mask_of(shape("rectanglelabels", {"x": 50, "y": 20, "width": 20, "height": 20, "rotation": 90}))
    rows, columns = np.nonzero(mask)
    assert (rows.min(), rows.max()) == (2, 5)
    assert (columns.min(), columns.max()) == (8, 9)


def test_an_ellipse() -> None:
    # centre (10, 5), radii 4 and 2 pixels
    mask = mask_of(shape("ellipselabels", {"x": 50, "y": 50, "radiusX": 20, "radiusY": 20, "rotation": 0}))
    rows, columns = np.nonzero(mask)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 6, 6, 13)
    assert mask.sum() == pytest.approx(np.pi * 8, abs=3)
    assert np.array_equal(mask, mask[::-1])
    assert np.array_equal(mask, mask[:, ::-1])


def test_an_ellipse_turned_by_a_right_angle() -> None:
    mask = mask_of(shape("ellipselabels", {"x": 50, "y": 50, "radiusX": 20, "radiusY": 20, "rotation": 90}))
    rows, columns = np.nonzero(mask)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (1, 8, 8, 11)


def test_a_keypoint_is_an_error_that_names_the_region_and_what_is_known() -> None:
    with pytest.raises(InputError, match=r"region r1: type 'keypointlabels' is no mask; known: brushlabels, polygon"):
        results_to_regions([shape("keypointlabels", {"x": 1, "y": 1})])


def test_a_damaged_region_is_an_error_that_names_it() -> None:
    good = region_to_result("r7", "coin", mask_to_rle(np.ones((4, 5), dtype=bool)), 4, 5)
    good["value"]["rle"] = good["value"]["rle"][:8]
    with pytest.raises(InputError, match=r"region r7: .*damaged"):
        results_to_regions([good])


@pytest.mark.parametrize("missing", ["value", "original_width", "original_height"])
def test_a_region_with_a_missing_key_is_an_error_that_names_it(missing: str) -> None:
    result = region_to_result("r7", "coin", mask_to_rle(np.ones((4, 5), dtype=bool)), 4, 5)
    del result[missing]
    with pytest.raises(InputError, match="region r7"):
        results_to_regions([result])


def test_a_region_where_everything_was_erased_is_left_out() -> None:
    empty = region_to_result("r1", "coin", mask_to_rle(np.zeros((4, 5), dtype=bool)), 4, 5)
    full = region_to_result("r2", "cup", mask_to_rle(np.ones((4, 5), dtype=bool)), 4, 5)
    assert [row["region_id"] for row in results_to_regions([empty, full])] == ["r2"]


def test_a_region_of_unknown_origin_was_drawn_and_one_without_a_class_has_none() -> None:
    result = region_to_result("r1", "coin", mask_to_rle(np.ones((4, 5), dtype=bool)), 4, 5)
    del result["origin"], result["value"]["brushlabels"]
    (row,) = results_to_regions([result])
    assert (row["origin"], row["label"]) == ("manual", "")
