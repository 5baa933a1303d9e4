"""From a task's JSON to an annotation's."""

from typing import Any

import pandas as pd
import pytest

from datalab.adapters.label_studio.results import region_to_result, results_to_regions
from datalab.errors import InputError
from datalab.masks import mask_to_rle
from datalab.simulate.annotator import truth_by_image
from datalab.simulate.answers import answer_task
from datalab.tables import GOLD
from tests.simulate.people import CLASSES, FAULTLESS, SIDE, square

COIN, CUP = mask_to_rle(square(0, 0)), mask_to_rle(square(20, 20))
TRUTH = truth_by_image(
    pd.DataFrame(
        [
            ("a", "t0", "coin", COIN, SIDE, SIDE),
            ("a", "t1", "cup", CUP, SIDE, SIDE),
            ("bare", "t2", "", "", SIDE, SIDE),
        ],
        columns=list(GOLD),
    ),
    CLASSES,
)


def task(image_id: str, *predictions: dict[str, Any]) -> dict[str, Any]:
    return {"id": 7, "data": {"image_id": image_id}, "predictions": list(predictions)}


def prediction(number: int, label: str, rle: str, side: int = SIDE) -> dict[str, Any]:
    return {"id": number, "result": [region_to_result("p0", label, rle, side, side)]}


def answer(one: dict[str, Any], seed: int = 0) -> dict[str, Any]:
    return answer_task(one, TRUTH, CLASSES, FAULTLESS, seed)


def test_the_answer_is_in_label_studios_words() -> None:
    given = answer(task("a", prediction(3, "coin", COIN)))
    rows = results_to_regions(given["result"])
    assert [(row["label"], row["rle"], row["origin"]) for row in rows] == [
        ("coin", COIN, "proposal"),
        ("cup", CUP, "manual"),
    ]
    assert given["parent_prediction"] == 3
    assert given["was_cancelled"] is False
    assert given["lead_time"] > 4


def test_the_newest_prediction_counts() -> None:
    given = answer(task("a", prediction(9, "coin", COIN), prediction(3, "cup", CUP)))
    assert given["parent_prediction"] == 9
    assert [one["origin"] for one in given["result"]] == ["prediction", "manual"]


def test_without_a_prediction_there_is_no_parent() -> None:
    assert "parent_prediction" not in answer(task("a"))


def test_nobody_draws_what_nobody_knows_the_class_of() -> None:
    void = TRUTH["a"].iloc[:1].assign(label="", rle=mask_to_rle(square(40, 40)))
    given = answer_task(task("a"), {"a": pd.concat([TRUTH["a"], void])}, CLASSES, FAULTLESS, 0)
    assert [row["label"] for row in results_to_regions(given["result"])] == ["coin", "cup"]


def test_an_image_with_nothing_in_it_is_submitted_empty() -> None:
    given = answer(task("bare"))
    assert given == {"result": [], "lead_time": 4.0, "was_cancelled": False}


@pytest.mark.parametrize("data", [{"image_id": "unknown"}, {}])
def test_an_image_without_truth_is_skipped(data: dict[str, str]) -> None:
    given = answer({"id": 7, "data": data, "predictions": []})
    assert given["was_cancelled"] is True
    assert given["result"] == []


def test_proposals_of_another_size_are_an_input_error() -> None:
    with pytest.raises(InputError, match="20 x 20 pixels, the truth for 40 x 40"):
        answer(task("a", prediction(3, "coin", mask_to_rle(square(0, 0, canvas=20)), side=20)))


def test_a_class_that_the_guidelines_do_not_know_is_an_input_error() -> None:
    truth = pd.DataFrame([("a", "t0", "spoon", COIN, SIDE, SIDE)], columns=list(GOLD))
    with pytest.raises(InputError, match=r"'spoon'.*coin, cup"):
        truth_by_image(truth, CLASSES)


def test_a_truth_without_masks_is_an_input_error() -> None:
    with pytest.raises(InputError, match="rle"):
        truth_by_image(pd.DataFrame({"image_id": ["a"], "label": ["coin"]}), CLASSES)
