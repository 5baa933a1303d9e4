"""What is set aside, why, and that nothing of it is lost."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from datalab.adapters.label_studio.brush import mask_to_brush
from datalab.adapters.label_studio.reconcile import REASONS, PullParams, is_empty, reconcile, unknown_classes
from datalab.adapters.label_studio.results import region_to_result
from datalab.tables import ANNOTATIONS, QUARANTINE
from tests.quality.images import HEIGHT, WIDTH, rle

PARAMS = PullParams(empty_after_s=60.0)
COIN = region_to_result("r", "coin", rle(0, 0, 4, 4), HEIGHT, WIDTH)
CUP = region_to_result("s", "cup", rle(0, 0, 4, 4), HEIGHT, WIDTH)
CHOICE = {"id": "r", "type": "relation"}


def answers(*results: Any, **changes: Any) -> pd.DataFrame:
    """One annotation per result, by ann@x.org, after 12 seconds."""
    rows = [
        {
            "annotation_id": place, "task_id": place, "round_id": "0001", "image_id": "a", "annotator": "ann@x.org",
            "lead_time_s": 12.0, "created_at": "t", "updated_at": "t", "was_cancelled": False,
            "guideline_version": "g", "ontology_hash": "o", "width": WIDTH, "height": HEIGHT,
            "result_json": json.dumps(result), **changes,
        }
        for place, result in enumerate(results)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(ANNOTATIONS))


def found(table: pd.DataFrame, deleted: set[int] = frozenset(), confirmed: set[int] = frozenset()) -> list[Any]:  # type: ignore[assignment]
    """annotation, scope, place and reason of every row."""
    aside = reconcile(table, ["coin", "cup"], deleted, confirmed, PARAMS)
    assert list(aside.columns) == list(QUARANTINE)
    return aside[["annotation_id", "scope", "place", "reason"]].to_numpy().tolist()


def test_good_answers_pass() -> None:
    assert found(answers([], [COIN], [COIN, CUP], [COIN, CHOICE])) == []


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ([{**COIN, "original_width": 99}], "size mismatch"),
        ([{**COIN, "value": {**COIN["value"], "rle": COIN["value"]["rle"][:20]}}], "undecodable"),
        ([{**COIN, "value": {**COIN["value"], "rle": ["x"]}}], "undecodable"),
        ([{**COIN, "type": "keypoint"}], "undecodable"),
        ([{**COIN, "value": {**COIN["value"], "brushlabels": [["coin"]]}}], "undecodable"),
        ([{**COIN, "type": "polygonlabels", "value": {"points": [[0, 0], [float("inf"), 0], [9, 9]]}}], "undecodable"),
        ([{**COIN, "value": {**COIN["value"], "brushlabels": ["spoon"]}}], "unknown class"),
        ([{**COIN, "value": {**COIN["value"], "brushlabels": []}}], "unknown class"),
    ],
)
def test_a_bad_region_sets_the_annotation_aside(result: list[dict[str, Any]], reason: str) -> None:
    assert found(answers([CUP], [CUP, *result])) == [[1, "annotation", 1, reason]]


def test_a_click_whose_mask_nobody_kept_sets_the_annotation_aside() -> None:
    click = {
        "id": "k", "type": "keypointlabels", "from_name": "click", "original_width": WIDTH, "original_height": HEIGHT,
        "value": {"x": 99, "y": 99, "keypointlabels": ["coin"]}, "is_positive": True,
    }  # fmt: skip
    kept = {**click, "value": {**click["value"], "x": 1, "y": 1}}  # type: ignore[dict-item]
    assert found(answers([COIN, kept], [COIN, click])) == [[1, "annotation", 1, "click without a region"]]


def test_a_mask_of_an_absurd_size_is_not_made_to_look_for_a_click_in_it() -> None:
    click = {
        "id": "k", "type": "keypointlabels", "from_name": "click", "original_width": WIDTH, "original_height": HEIGHT,
        "value": {"x": 99, "y": 99, "keypointlabels": ["coin"]}, "is_positive": True,
    }  # fmt: skip
    huge = {"id": "e", "type": "ellipselabels", "original_width": 10**6, "original_height": 10**6,
            "value": {"x": 50, "y": 50, "radiusX": 9, "radiusY": 9, "ellipselabels": ["coin"]}}  # fmt: skip
    assert found(answers([huge, click])) == [
        [0, "annotation", 0, "size mismatch"], [0, "annotation", 1, "click without a region"],
    ]  # fmt: skip


ERASED = {**COIN, "value": {**COIN["value"], "rle": mask_to_brush(np.zeros((HEIGHT, WIDTH), dtype=bool))}}


@pytest.mark.parametrize(
    ("result", "empty"),
    [([], True), ([ERASED], True), ([CHOICE], True), ([ERASED, COIN], False), (["text"], False), ({"a": 1}, False),
     ([{**COIN, "original_width": 99}], False)],
)  # fmt: skip
def test_an_answer_of_erased_brushes_and_notices_is_empty(result: Any, empty: bool) -> None:
    assert is_empty(answers(result).to_dict("records")[0]) == empty


@pytest.mark.parametrize("result", [None, {"a": 1}, ["text"], 3])
def test_a_result_that_is_no_list_of_regions(result: Any) -> None:
    assert found(answers(result)) == [[0, "annotation", -1, "undecodable"]]


def test_of_a_region_drawn_twice_the_first_stays() -> None:
    assert found(answers([COIN, CUP, {**COIN, "id": "again"}])) == [[0, "region", 2, "duplicate region"]]


def test_an_untouched_proposal_without_a_class_is_left_out_alone() -> None:
    proposal = region_to_result("p", "", rle(0, 0, 2, 2), HEIGHT, WIDTH, "proposal")
    assert found(answers([proposal, COIN])) == [[0, "region", 0, "unknown class"]]


def test_only_classes_that_somebody_named_are_missed() -> None:
    grey = region_to_result("p", "", rle(0, 0, 2, 2), HEIGHT, WIDTH, "proposal")
    nameless = region_to_result("n", "", rle(0, 0, 2, 2), HEIGHT, WIDTH)
    table = answers([grey, COIN, CUP], [nameless], [CUP], [COIN])
    aside = reconcile(table, ["coin"], (), (), PARAMS)
    assert aside["reason"].tolist() == ["unknown class"] * 4
    assert unknown_classes(table, aside) == {"cup": 2}


def test_an_empty_answer_is_doubtful_after_long_work_alone() -> None:
    assert found(answers([], lead_time_s=60.0)) == []
    assert found(answers([], lead_time_s=float("nan"))) == []
    assert found(answers([], lead_time_s=61.0)) == [[0, "annotation", -1, "empty after long work"]]
    assert found(answers([], lead_time_s=61.0), confirmed={0}) == []
    assert found(answers([COIN], lead_time_s=999.0)) == []


def test_people_without_an_account_and_deleted_answers() -> None:
    assert found(answers([COIN], annotator="user 7")) == [[0, "annotation", -1, "unknown annotator"]]
    assert found(answers([COIN], annotator="deleted user")) == [[0, "annotation", -1, "unknown annotator"]]
    assert found(answers([COIN]), deleted={0}) == [[0, "annotation", -1, "deleted in Label Studio"]]


def test_a_skipped_answer_says_nothing() -> None:
    assert found(answers([], lead_time_s=999.0, was_cancelled=True)) == []


def test_every_reason_can_be_told() -> None:
    assert len(REASONS) == len(set(REASONS)) == 8


def test_a_damaged_answer_about_a_region_is_left_out_alone() -> None:
    answer = {"id": "r", "type": "choices", "from_name": "attribute_1_state", "value": {"choices": ["whole"]}}
    damaged = {**answer, "value": {"choices": ["whole", "broken"]}}
    assert found(answers([COIN, answer])) == []
    assert found(answers([COIN, damaged])) == [[0, "region", 1, "undecodable"]]
