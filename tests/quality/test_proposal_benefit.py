"""Hand-counted answers: two tasks with proposals, two without."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from datalab.figure import Figure, undefined
from datalab.quality.proposal_benefit import Answer, measure_benefit, warning
from tests.quality.images import HEIGHT, WIDTH, rle

COIN = ("coin", rle(0, 0, 4, 4))
WIDER = ("coin", rle(0, 0, 4, 6))
OTHER = ("cup", rle(4, 6, 6, 8))


def answer(image_id: str, aided: bool, seconds: float | None, **others: Any) -> Answer:
    known: dict[str, Any] = {"regions": (COIN,), "origins": ("manual",), "proposals": (), "accepted": (), "truth": None}
    return Answer(image_id, aided, seconds, height=HEIGHT, width=WIDTH, **{**known, **others})


def measured(answers: list[Answer]) -> dict[str, Any]:
    return measure_benefit(answers, 0.5, 0, np.random.default_rng(1))


def test_seconds_per_object_are_sums_over_sums_and_times_nobody_noted_are_missing() -> None:
    answers = [
        answer("a", True, 2.0), answer("a", True, 4.0), answer("b", True, 6.0), answer("b", True, None),
        answer("c", False, 10.0, regions=(COIN, OTHER), origins=("manual", "manual")), answer("d", False, 8.0),
    ]  # fmt: skip
    found = measured(answers)
    assert found["tasks"] == {"with": 2, "without": 2}
    seconds = found["seconds_per_object"]
    assert seconds["with"]["value"] == 4.0
    assert seconds["without"]["value"] == 6.0
    # two images an arm: next to nothing is known
    assert seconds["with"]["low"] == seconds["without"]["low"] == 0
    assert seconds["with"]["high"] > 20
    assert seconds["ratio"]["value"] == pytest.approx(4 / 6, abs=1e-6)
    assert 0 < seconds["ratio"]["low"] < 1 / 6
    assert seconds["ratio"]["high"] > 4
    assert "do not visibly help: 0.67 times the seconds" in found["warning"]


def test_help_that_is_plain_has_no_warning() -> None:
    answers = [answer(str(place), place < 4, (2.0 if place < 4 else 9.0) + place / 10) for place in range(8)]
    assert measured(answers)["warning"] is None


def test_few_tasks_say_nothing_however_narrow_the_interval() -> None:
    answers = [answer(str(place), place < 4, (2.0 if place < 4 else 9.0) + place / 10) for place in range(8)]
    found = measure_benefit(answers, 0.5, 5, np.random.default_rng(1))
    assert found["warning"] == "whether proposals help cannot be told yet: 4 tasks with proposals, 5 are needed"
    assert measure_benefit(answers, 0.5, 4, np.random.default_rng(1))["warning"] is None


@pytest.mark.slow
def test_arms_that_take_equally_long_are_seldom_told_apart() -> None:
    """Ten images without proposals beside thirty with; plain percentiles told them apart in 14% of such rounds."""
    told = 0
    for seed in range(80):
        seconds = np.random.default_rng(seed).lognormal(2.0, 0.6, 40)
        answers = [answer(str(place), place < 30, float(one)) for place, one in enumerate(seconds)]
        ratio = measured(answers)["seconds_per_object"]["ratio"]
        told += not ratio["low"] <= 1 <= ratio["high"]
    assert told <= 5


def test_tasks_without_a_recorded_time_do_not_make_it_enough() -> None:
    """The seconds of two images are no more for eight others that nobody timed."""
    timed = [answer(str(place), place < 5, 2.0 if place < 5 else 9.0 + place) for place in range(7)]
    untimed = [answer(f"u{place}", False, None) for place in range(8)]
    found = measure_benefit([*timed, *untimed], 0.5, 5, np.random.default_rng(1))
    assert found["warning"] == "whether proposals help cannot be told yet: 2 tasks without proposals, 5 are needed"


def test_edits_are_counted_against_the_proposal_that_fits() -> None:
    edited = answer(
        "a", True, 1.0, proposals=(OTHER, COIN, ("cup", rle(5, 0, 6, 1))),
        regions=(WIDER, OTHER, ("coin", rle(0, 7, 1, 8))), origins=("edited", "proposal", "manual"),
    )  # fmt: skip
    edits = measured([edited])["edits"]
    assert edits["iou"]["value"] == pytest.approx((16 / 24 + 1) / 2, abs=1e-6)
    assert edits["pixels_added"]["value"] == pytest.approx(8 / 20)
    assert edits["pixels_removed"]["value"] == 0
    assert edits["regions_added"]["value"] == pytest.approx(1 / 3, abs=1e-6)
    assert edits["regions_removed"]["value"] == pytest.approx(1 / 3, abs=1e-6)
    assert edits["iou"]["reason"] == "no interval from one image"


def test_what_nobody_could_change_is_no_edit() -> None:
    third = ("cup", rle(5, 0, 6, 1))
    seen: dict[str, Any] = {
        "proposals": (COIN, third), "accepted": (OTHER,),
        "regions": (OTHER, WIDER, ("coin", rle(0, 7, 1, 8))), "origins": ("proposal", "edited", "manual"),
    }  # fmt: skip
    edits = measured([answer("a", True, 1.0, **seen)])["edits"]
    assert edits["iou"]["value"] == pytest.approx(16 / 24, abs=1e-6)
    assert edits["pixels_added"]["value"] == pytest.approx(8 / 16)
    assert edits["regions_added"]["value"] == 1 / 2
    assert edits["regions_removed"]["value"] == 1 / 2
    alone = {**seen, "proposals": (), "regions": (OTHER,), "origins": ("proposal",)}
    assert measured([answer("a", True, 1.0, **alone)])["edits"]["iou"]["reason"] == "no proposal was kept or edited"


def test_quality_on_gold_with_and_without() -> None:
    answers = [
        answer("a", True, 1.0, truth=(COIN,)), answer("b", True, 1.0, truth=(COIN, OTHER)),
        answer("c", False, 1.0, truth=(WIDER,)), answer("d", False, 1.0, truth=(OTHER,)),
    ]  # fmt: skip
    found = measured(answers)
    assert found["gold_f1"]["with"]["value"] == pytest.approx(4 / 5)
    assert found["gold_f1"]["without"]["value"] == pytest.approx(2 / 4)
    assert found["gold_f1"]["difference"]["value"] == pytest.approx(0.3)
    assert found["gold_iou"]["without"]["value"] == pytest.approx(16 / 24, abs=1e-6)


@pytest.mark.parametrize("aided", [True, False])
def test_a_missing_arm_is_null_with_its_reason(aided: bool) -> None:
    found = measured([answer("a", aided, 3.0), answer("b", aided, 3.0)])
    missing = "without" if aided else "with"
    reason = f"no answer with a recorded time and an object among the tasks {missing} proposals"
    assert found["seconds_per_object"][missing] == {"value": None, "low": None, "high": None, "n": 0, "reason": reason}
    assert found["seconds_per_object"]["ratio"]["value"] is None
    assert found["gold_f1"]["difference"]["reason"] == "no object on gold images among the tasks with proposals"
    assert found["warning"] == f"whether proposals help cannot be told: {reason}"
    assert found["edits"]["iou"]["reason"] == "no proposal was kept or edited"


def test_one_task_without_proposals_gives_no_interval() -> None:
    found = measured([answer("a", True, 3.0), answer("b", True, 3.0), answer("c", False, 6.0)])
    assert found["seconds_per_object"]["ratio"]["value"] == 0.5
    assert "no interval" in found["warning"]


def test_an_image_without_objects_does_not_make_an_interval() -> None:
    empty: dict[str, Any] = {"regions": (), "origins": ()}
    answers = [
        answer("a", True, 3.0),
        answer("b", True, 3.0),
        answer("c", False, 6.0),
        answer("d", False, 4.0, **empty),
    ]
    ratio = measured(answers)["seconds_per_object"]["ratio"]
    assert (ratio["value"], ratio["low"], ratio["high"]) == (0.3, None, None)
    answers += [answer("e", False, 6.0)]
    ratio = measured(answers)["seconds_per_object"]["ratio"]
    assert ratio["value"] == 0.375
    assert ratio["low"] < 0.3
    assert ratio["high"] > 0.5


def test_nobody_answered() -> None:
    assert measured([])["tasks"] == {"with": 0, "without": 0}


def test_saved_time_that_costs_quality_is_warned_about() -> None:
    faster, worse = Figure(0.5, 9, 0.4, 0.6), Figure(-0.2, 9, -0.3, -0.1)
    assert "F1 on gold -0.20 (-0.30 to -0.10)" in str(warning(faster, faster, worse))
    assert warning(faster, faster, replace(worse, high=0.01)) is None
    assert warning(faster, faster, undefined("no gold")) is None


def on_gold(arm: str, aided: bool, right: int, wrong: int) -> list[Answer]:
    """Answers on gold images of one coin each."""
    truths = [(COIN,)] * right + [(OTHER,)] * wrong
    return [answer(f"{arm}{place}", aided, None, truth=truth) for place, truth in enumerate(truths)]


def test_a_few_gold_images_do_not_show_that_quality_suffers() -> None:
    helped = [answer(str(place), place < 4, (2.0 if place < 4 else 9.0) + place / 10) for place in range(8)]

    def told(right: int, unaided: int) -> Any:
        answers = [*helped, *on_gold("with", True, right, 6 - right), *on_gold("without", False, unaided, 0)]
        return measure_benefit(answers, 0.5, 4, np.random.default_rng(1))["warning"]

    assert told(1, 3) is None
    assert str(told(1, 6)).startswith("proposals save time and cost quality: F1 on gold -0.83 (-1.00 to -0.")
    assert told(4, 6) is None


def test_gold_images_that_are_all_alike_give_no_interval() -> None:
    found = measured([*on_gold("with", True, 0, 3), *on_gold("without", False, 3, 0)])["gold_f1"]["difference"]
    assert (found["value"], found["low"], found["reason"]) == (-1, None, "no interval: all images are alike")


def test_junk_left_in_place_is_no_help() -> None:
    junk = {"regions": (COIN, WIDER, OTHER, OTHER, OTHER), "origins": ("proposal",) * 5}
    answers = [
        *(answer(str(place), True, 10.0 + place / 10, **junk) for place in range(4)),
        *(answer(str(place), False, 8.0 + place / 10) for place in range(4, 8)),
    ]
    found = measured(answers)
    assert found["seconds_per_object"]["ratio"]["high"] < 0.3
    assert found["seconds_per_answer"]["ratio"]["value"] == pytest.approx(10.15 / 8.55, abs=1e-6)
    assert "1.19 times the seconds per answer" in found["warning"]
