"""Clicks whose mask nobody kept."""

from typing import Any

import numpy as np

from datalab.adapters.label_studio.prompts import unanswered_prompts
from datalab.adapters.label_studio.results import mask_to_result
from tests.adapters.label_studio.clicks import box, point


def region() -> dict[str, Any]:
    """Columns 100 to 149 and rows 20 to 39 of 200 x 100 pixels."""
    mask = np.zeros((100, 200), dtype=bool)
    mask[20:40, 100:150] = True
    return mask_to_result("sam-k1", "cup", mask)


def test_a_point_where_no_region_lies_is_told() -> None:
    assert unanswered_prompts([region(), point(10, 10), point(60, 30, name="k2")]) == ["k1"]
    assert unanswered_prompts([point(100, 100), point(0, 0, name="k2")]) == ["k1", "k2"]


def test_the_edge_of_a_region_counts() -> None:
    inside = [point(50, 20), point(74.9, 39.9)]
    outside = [point(49.9, 20, name="left"), point(75, 39, name="right"), point(50, 40, name="below")]
    assert unanswered_prompts([region(), *inside, *outside]) == ["left", "right", "below"]


def test_a_box_that_a_region_reaches_into_is_answered() -> None:
    assert unanswered_prompts([region(), box(40, 10, 15, 15), box(0, 0, 20, 20, name="b2")]) == ["b2"]


def test_a_click_on_what_is_not_meant_asks_for_nothing() -> None:
    assert unanswered_prompts([point(10, 10, positive=False)]) == []


def test_the_class_that_an_accepted_mask_carries_is_no_point() -> None:
    carried = {**point(0, 0), "id": "sam-k1", "value": {**region()["value"], "keypointlabels": ["cup"]}}
    assert unanswered_prompts([region(), carried]) == []


def test_without_points_nothing_is_decoded() -> None:
    damaged = {**region(), "value": {"rle": [1, 2, 3]}}
    assert unanswered_prompts([damaged]) == []
