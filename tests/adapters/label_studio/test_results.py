"""Regions between our tables and Label Studio's annotation JSON."""

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from datalab.adapters.label_studio.results import proposal_type, region_to_result, results_to_regions
from datalab.errors import InputError
from datalab.masks import BoolMask, mask_to_rle, rle_to_mask

HEIGHT, WIDTH = 10, 20
RASTER = st.sampled_from(["brush", "bitmask"])
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


@pytest.mark.slow
@given(MASKS, st.text(min_size=1), st.sampled_from(["proposal", "edited", "manual"]), RASTER)
def test_any_mask_and_class_goes_there_and_back(mask: BoolMask, label: str, origin: str, region_type: str) -> None:
    height, width = mask.shape
    row: dict[str, Any] = {
        "region_id": "r1", "label": label, "rle": mask_to_rle(mask), "height": height, "width": width, "origin": origin
    }  # fmt: skip
    assert results_to_regions([region_to_result(**row, region_type=region_type)]) == [row]


@given(MASKS, st.permutations(["brush", "bitmask"]))
def test_a_mask_survives_a_walk_through_all_raster_formats(mask: BoolMask, types: list[str]) -> None:
    height, width = mask.shape
    rle = mask_to_rle(mask)
    for region_type in types:
        (row,) = results_to_regions([region_to_result("r1", "coin", rle, height, width, region_type=region_type)])
        rle = row["rle"]
    assert np.array_equal(rle_to_mask(rle, height, width), mask)


@given(MASKS)
def test_a_polygon_is_close_or_the_region_stays_a_brush_region(mask: BoolMask) -> None:
    height, width = mask.shape
    result = region_to_result("r1", "coin", mask_to_rle(mask), height, width, region_type="polygon")
    (row,) = results_to_regions([result])
    back = rle_to_mask(row["rle"], height, width)
    if result["type"] == "brushlabels":
        assert np.array_equal(back, mask)
    else:
        assert (back & mask).sum() >= 0.98 * (back | mask).sum()


@pytest.mark.parametrize(
    ("region_type", "control", "key"),
    [("brush", "mask", "rle"), ("bitmask", "bitmask", "imageDataURL"), ("polygon", "polygon", "points")],
)
def test_each_type_has_its_tool_and_its_field(region_type: str, control: str, key: str) -> None:
    result = region_to_result(
        "r1", "coin", mask_to_rle(box(2, 3, 7, 9)), HEIGHT, WIDTH, "proposal", region_type=region_type
    )
    assert (result["type"], result["from_name"]) == (f"{region_type}labels", control)
    assert set(result["value"]) - {"format", "closed"} == {key, f"{region_type}labels"}


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


def test_proposals_are_masks_until_there_are_more_than_a_browser_bears() -> None:
    assert [proposal_type(count) for count in (1, 50, 51, 200)] == ["brush", "brush", "polygon", "polygon"]


def test_without_an_origin_somebody_drew_it() -> None:
    result = region_to_result("r1", "coin", mask_to_rle(box(0, 0, 1, 1)), HEIGHT, WIDTH)
    del result["origin"]
    assert results_to_regions([result])[0]["origin"] == "manual"


def test_nothing_found_is_no_region_and_neither_is_one_erased() -> None:
    assert results_to_regions([]) == []
    erased = region_to_result("r1", "coin", mask_to_rle(box(0, 0, 0, 0)), HEIGHT, WIDTH)
    assert results_to_regions([erased]) == []


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
        ({"type": "bitmasklabels", "value": {"imageDataURL": "data:image/png;base64,AAAA"}}, "region s1 is damaged"),
        ({"type": "bitmasklabels", "value": {"imageDataURL": None}}, "region s1 is damaged"),
    ],
)
def test_what_cannot_be_read_is_named(change: dict[str, Any], said: str) -> None:
    result = {**shape("polygonlabels", {"points": [[0, 0], [50, 0], [0, 50]]}), **change}
    before = copy.deepcopy(result)
    with pytest.raises(InputError, match=said) as caught:
        results_to_regions([result])
    assert "\n" not in str(caught.value)
    assert result == before
