"""What Label Studio sends while a person clicks, and what it is answered."""

from typing import Any

import numpy as np
import pytest

from datalab.adapters.label_studio.brush import brush_to_mask
from datalab.adapters.label_studio.click import (
    Asked,
    ClickRequest,
    notice_answer,
    read_request,
    regions_answer,
)
from datalab.adapters.label_studio.results import results_to_regions
from datalab.adapters.sam_prompt import Prompt
from datalab.errors import InputError
from tests.adapters.label_studio.clicks import body, box, point


def test_points_of_a_class_are_one_region_and_the_first_names_it() -> None:
    request = read_request(
        body(point(10, 20), point(50, 100, positive=False, name="k2"), point(0, 0, "coin", name="k3"))
    )
    cup = Asked("sam-k1", "cup", Prompt(((20.0, 20.0, True), (100.0, 100.0, False))))
    coin = Asked("sam-k3", "coin", Prompt(((0.0, 0.0, True),)))
    assert request == ClickRequest("/data/local-files/?d=tiles/a.png", 100, 200, (cup, coin))


def test_each_box_is_a_region_in_pixels_from_corner_to_corner() -> None:
    request = read_request(body(box(10, 20, 30, 40), box(90, 90, 30, 40, name="b2")))
    assert request is not None
    assert [(asked.region_id, asked.prompt.box) for asked in request.asked] == [
        ("sam-b1", (20.0, 20.0, 80.0, 60.0)),
        ("sam-b2", (180.0, 90.0, 200.0, 100.0)),
    ]


def test_a_point_that_has_a_class_of_the_other_list_too_is_no_box() -> None:
    doubled = {**point(10, 20), "from_name": "box", "type": "rectanglelabels"}
    doubled["value"] = {"x": 10, "y": 20, "width": 0.3, "rectanglelabels": ["coin"]}
    request = read_request(body(point(10, 20), doubled))
    assert request is not None
    assert request.asked == (Asked("sam-k1", "cup", Prompt(((20.0, 20.0, True),))),)


def test_a_turned_box_gives_the_upright_one_about_it() -> None:
    # a quarter turn about its corner (100, 50): 20 pixels along point down, 10 down point left
    request = read_request(body(box(50, 50, 10, 10, rotation=90)))
    assert request is not None
    assert request.asked[0].prompt.box == pytest.approx((90, 50, 100, 70))


@pytest.mark.parametrize("context", [{}, {"result": None}, {"result": []}])
def test_nothing_pointed_at_asks_for_nothing(context: Any) -> None:
    assert read_request({"tasks": [], "params": {"context": context}}) is None


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ([point(10, 10, positive=False)], "first click on the object,"),
        ([point(101, 10)], "outside of the image"),
        ([point(float("nan"), 10)], "outside of the image"),
        ([box(10, 10, 0, 10)], "smaller than a pixel"),
        ([box(10, 10, float("inf"), 10)], "cannot be read"),
        ([point(1, 1)] * 101, "101 points and boxes at once"),
        ([{**point(1, 1), "image_rotation": 90}], "not turned"),
        ([{**point(1, 1), "original_height": 0}], "not turned"),
        ([{**point(1, 1), "original_width": 10**9}], "not turned"),
        ([{**point(1, 1), "value": {}}], "cannot be read"),
        ([{"id": "x"}], "cannot be read"),
        ("text", "cannot be read"),
    ],
)
def test_what_cannot_be_answered_is_said_in_one_line(results: Any, said: str) -> None:
    request = body()
    request["params"]["context"]["result"] = results
    with pytest.raises(InputError, match=said) as caught:
        read_request(request)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("broken", [{"tasks": []}, {"tasks": [{"data": {}}]}, {"tasks": None}])
def test_a_request_without_a_task_is_told(broken: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_request({**body(point(1, 1)), **broken})


def test_the_answer_is_a_brush_region_of_the_chosen_class() -> None:
    mask = np.zeros((100, 200), dtype=bool)
    mask[10:30, 40:90] = True
    answer = regions_answer([(Asked("sam-k1", "cup", Prompt()), mask, 0.75)], "sam-small-1")
    (region,) = answer["results"][0]["result"]
    assert (region["type"], region["from_name"], region["value"]["brushlabels"]) == ("brushlabels", "mask", ["cup"])
    assert (region["id"], region["score"], region["origin"]) == ("sam-k1", 0.75, "manual")
    np.testing.assert_array_equal(brush_to_mask(region["value"]["rle"], 100, 200), mask)
    (row,) = results_to_regions([region])
    assert (row["label"], row["height"], row["width"]) == ("cup", 100, 200)


def test_points_boxes_and_notices_left_in_an_annotation_are_no_regions() -> None:
    notice = notice_answer("No mask: because", "sam-small-1")["results"][0]["result"]
    # an accepted mask keeps a result of the tool it was asked for with, under its own id
    leftover = {**point(10, 10), "id": "sam-k1", "value": {"keypointlabels": ["cup"]}}
    assert results_to_regions([point(10, 10), box(10, 10, 50, 50), leftover, *notice]) == []
