"""Calibration against hand-worked pools of adjacent violators and against scikit-learn's own predictions."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from datalab.learning.gate import (
    BAD_IOU,
    GateError,
    GateParams,
    decide,
    errors_by_class,
    fit_calibration,
    gate_scores,
    held_out_error,
    held_out_expected,
    why_no_gate,
    why_none_shown,
    why_not_accepted,
)
from datalab.learning.gate_examples import Examples

PARAMS = GateParams(
    least_examples=4,
    least_images=2,
    least_class_examples=3,
    propose_at=0.6,
    auto_accept=False,
    accept_at=0.9,
    ungated_at=0.65,
)


def examples(scores: list[float], true_iou: list[float], labels: str = "", images: str = "") -> Examples:
    names = tuple(labels) if labels else ("",) * len(scores)
    truth = np.array(true_iou)
    image_ids = tuple(images or "ab" * len(scores))[: len(scores)]
    return Examples(np.array(scores), truth, truth, names, image_ids, image_ids)


def cups(true_iou: list[float], per_image: int = 1, named_iou: list[float] | None = None) -> Examples:
    """Cups that reach acceptance, so many on each image."""
    truth, count = np.array(true_iou), len(true_iou)
    images = tuple(str(place // per_image) for place in range(count))
    return Examples(np.full(count, 0.9), truth, np.array(named_iou or true_iou), ("cup",) * count, images, images)


def cups_error(known: Examples, params: GateParams = PARAMS) -> GateError:
    return held_out_error(known, known.scores, params)


def error_of(known: Examples, params: GateParams = PARAMS) -> GateError:
    return held_out_error(known, held_out_expected(known, params), params)


def test_violators_are_pooled() -> None:
    found = fit_calibration(examples([0.1, 0.2, 0.3, 0.4], [0.0, 0.6, 0.2, 0.9]), PARAMS)
    # 0.6 and 0.2 are in the wrong order: both become their mean
    np.testing.assert_allclose(found.shared(np.array([0.1, 0.2, 0.3, 0.4])), [0.0, 0.4, 0.4, 0.9])
    np.testing.assert_allclose(found.shared(np.array([0.0, 0.35, 1.0])), [0.0, 0.65, 0.9])


def test_the_curve_is_scikit_learns() -> None:
    rng = np.random.default_rng(3)
    scores = rng.random(200)
    truth = np.clip(scores + rng.normal(0, 0.2, 200), 0, 1)
    reference = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, truth)
    asked = rng.random(50)
    found = fit_calibration(Examples(scores, truth, truth, ("",) * 200, ("a",) * 200, ("a",) * 200), PARAMS)
    np.testing.assert_allclose(found.expected(asked, [""] * 50), reference.predict(asked))


def test_a_class_with_enough_examples_has_its_own_curve() -> None:
    known = examples([0.5] * 7, [0.9, 0.9, 0.9, 0.1, 0.1, 0.4, 0.4], "aaabbcc")
    found = fit_calibration(known, PARAMS)
    assert set(found.classes) == {"a"}
    # that a's masks are good says nothing about others: the rest share what is known of them
    np.testing.assert_allclose(found.expected(np.full(4, 0.5), ["a", "b", "c", "new"]), [0.9, 0.25, 0.25, 0.25])


def test_a_class_of_a_few_bad_masks_does_not_get_the_curve_of_a_common_one() -> None:
    known = examples([0.5] * 8, [0.9, 0.9, 0.9, 0.9, 0.9, 0.1, 0.1, 0.1], "aaaaabbb", "xyzxyxyz")
    params = replace(PARAMS, least_class_examples=4)
    found = fit_calibration(known, params)
    # b's are too few for a curve: that of all says 0.6, and on three images they are worth 0.1
    np.testing.assert_allclose(found.expected(np.full(3, 0.5), ["a", "b", "new"]), [0.9, 0.1, 0.6])
    assert found.lowered == pytest.approx({"b": 1 / 6})


def test_a_few_masks_lower_a_curve_as_far_as_they_are_sure() -> None:
    # common ones are worth 0.8 at the score 0.9 and 0.4 at 0.4; b's are worth 0.2, 0.3 and 0.4 less
    known = examples([0.9] * 40 + [0.4] * 40 + [0.9] * 3, [0.8] * 40 + [0.4] * 40 + [0.6, 0.5, 0.4], "a" * 80 + "bbb")
    image_ids = ("p", "q") * 40 + ("x", "y", "z")
    known = replace(known, image_ids=image_ids, groups=image_ids)
    found = fit_calibration(known, replace(PARAMS, least_class_examples=40))
    said = float(found.shared(np.array([0.9]))[0])  # b's belong to it
    assert said == pytest.approx((0.8 * 40 + 1.5) / 43)
    # their mean is 0.5, and Student's t of one side with two degrees of freedom 2.92
    high = 0.5 + 2.919986 * 0.1 / 3**0.5
    np.testing.assert_allclose(found.expected(np.array([0.9, 0.4]), ["b", "b"]), [high, 0.4 * high / said])


@pytest.mark.parametrize(
    ("true_iou", "images"),
    [
        ([0.1, 0.1, 0.1], "xyx"),  # two images tell nothing about a third
        ([0.1, 0.9, 0.9], "xyz"),
        ([0.95, 0.95, 0.95], "xyz"),
    ],
)
def test_a_curve_is_not_lowered_on_a_suspicion(true_iou: list[float], images: str) -> None:
    known = examples([0.5] * 8, [0.9] * 5 + true_iou, "aaaaabbb", "xyzxy" + images)
    found = fit_calibration(known, replace(PARAMS, least_class_examples=4))
    assert found.lowered == {}


def test_a_single_class_is_not_held_against_itself() -> None:
    # most masks are good, most images are not
    known = examples([0.5] * 9, [0.9] * 6 + [0.1] * 3, "a" * 9, "ppppppxyz")
    found = fit_calibration(known, replace(PARAMS, least_class_examples=99))
    assert (set(found.classes), found.lowered) == (set(), {})


def test_errors_are_of_images_left_out() -> None:
    # each image is predicted from the other one: 0.8 by 0.4 and the other way round
    known = examples([0.5, 0.5, 0.5, 0.5], [0.8, 0.8, 0.4, 0.4], images="aabb")
    np.testing.assert_allclose(held_out_expected(known, PARAMS), [0.4, 0.4, 0.8, 0.8])
    error = error_of(known)
    assert error.mean_absolute_error == pytest.approx(0.4)
    assert error.shown == 2
    assert error.shown_mean_iou == pytest.approx(0.4)
    assert error.shown_bad_share == 1.0
    assert error.as_json()["reason"] is None


def test_an_image_left_out_is_judged_by_the_curves_of_its_own_classes() -> None:
    known = examples([0.5] * 8, [0.9, *[0.1] * 6, 0.9], "abbbbbba", images="xxxxyyyy")
    found = error_of(known, replace(PARAMS, least_class_examples=1))
    assert found.mean_absolute_error == pytest.approx(0)


def test_nothing_shown_has_no_mean_and_says_why() -> None:
    error = error_of(examples([0.5, 0.5], [0.1, 0.2]))
    assert (error.shown, error.shown_mean_iou, error.shown_bad_share) == (0, None, None)
    assert error.reason == "no proposal on gold reaches 0.6"


@pytest.mark.parametrize(("count", "images", "enough"), [(4, "abab", True), (3, "aba", False), (4, "aaaa", False)])
def test_too_little_gold_is_told(count: int, images: str, enough: bool) -> None:
    reason = why_no_gate(examples([0.5] * count, [0.5] * count, images=images), PARAMS)
    assert (reason is None) is enough
    if reason:
        assert "the fixed thresholds decide" in reason


def test_one_gold_image_is_too_little_whatever_is_asked_for() -> None:
    one = replace(PARAMS, least_images=1)
    assert why_no_gate(examples([0.5] * 4, [0.5] * 4, images="aaaa"), one)


def test_no_examples_are_refused() -> None:
    with pytest.raises(ValueError, match="needs examples"):
        fit_calibration(examples([], []), PARAMS)


def test_decisions_and_their_limits() -> None:
    expected = np.array([0.59, 0.6, 0.9])
    accepting = replace(PARAMS, auto_accept=True)
    assert decide(expected, ["cup"] * 3, PARAMS, {"cup"}) == ["draw", "propose", "propose"]
    assert decide(expected, ["cup"] * 3, accepting, {"cup"}) == ["draw", "propose", "accept"]


def test_what_gold_has_not_proven_of_its_class_is_never_accepted() -> None:
    accepting = replace(PARAMS, auto_accept=True)
    assert decide(np.array([0.99, 0.99]), ["cup", "zebra"], accepting, {"cup"}) == ["accept", "propose"]


def test_what_has_no_class_is_never_accepted() -> None:
    accepting = replace(PARAMS, auto_accept=True)
    assert decide(np.array([0.99, 0.99, 0.1]), ["", "cup", ""], accepting, {"", "cup"}) == ["propose", "accept", "draw"]


def test_the_error_of_acceptance_is_stated_over_images_before_it_is_turned_on() -> None:
    # two accepted proposals on each of three images, b's are bad; what has no class or scores less does not count
    known = Examples(
        scores=np.array([0.9] * 7 + [0.1] * 3),
        true_iou=np.ones(10),
        named_iou=np.array([1.0, 0.9, 0.45, 0.45, 0.9, 0.9, 0.0, 0.0, 0.0, 0.0]),
        labels=("cup",) * 6 + ("",) + ("cup",) * 3,
        image_ids=("a", "a", "b", "b", "c", "c", "c", "a", "b", "c"),
        groups=("a", "a", "b", "b", "c", "c", "c", "a", "b", "c"),
    )
    found = held_out_error(known, np.array([0.9] * 7 + [0.1] * 3), PARAMS)
    assert found.accepted == 6
    # means 0.95, 0.45, 0.9: Student's t with two degrees of freedom, cut at 1
    assert found.accepted_mean_iou.value == pytest.approx(2.3 / 3)
    assert found.accepted_mean_iou.n == 3
    assert found.accepted_mean_iou.low == pytest.approx(2.3 / 3 - 4.302653 * np.std([0.95, 0.45, 0.9], ddof=1) / 3**0.5)
    assert found.accepted_mean_iou.high == 1
    # one bad image of three, by Clopper and Pearson's table
    bad = found.accepted_bad_share
    assert (bad.value, bad.low, bad.high) == pytest.approx((1 / 3, 0.0084, 0.9057), abs=1e-4)
    written = found.as_json()
    assert written["accepted_bad_share"]["high"] == pytest.approx(0.9057, abs=1e-4)
    assert written["accepted"] == 6


def test_that_nothing_accepted_was_bad_is_no_proof_that_nothing_is() -> None:
    bad = error_of(cups([0.95] * 8, per_image=2)).accepted_bad_share
    assert (bad.value, bad.low) == (0, 0)
    assert bad.high == pytest.approx(1 - 0.025 ** (1 / 4))  # four images, no more


def test_where_nothing_reaches_acceptance_there_is_a_reason() -> None:
    found = error_of(examples([0.9] * 4, [0.95] * 4, images="abcd"))  # without classes
    assert found.accepted == 0
    assert found.accepted_mean_iou.value is None
    assert found.accepted_bad_share.reason == "no proposal on gold that has a class reaches 0.9"


def test_the_best_mask_of_another_class_is_a_bad_one_to_accept() -> None:
    error = cups_error(cups([1.0] * 30, named_iou=[0.0] * 30))
    assert (error.shown_mean_iou, error.shown_bad_share) == (1, 0)  # people have but to name it
    assert (error.accepted_mean_iou.value, error.accepted_bad_share.value) == (0, 1)
    told = "those that reach 0.9 have a true IoU of 0.000 on gold, wrong classes as 0, and at worst 0.000"
    assert why_not_accepted(error, PARAMS) == told


def test_many_that_are_right_prove_a_class() -> None:
    assert why_not_accepted(cups_error(cups([0.97, 0.93, 0.95] * 10)), PARAMS) is None


def test_a_mean_that_may_be_luck_proves_nothing() -> None:
    error = cups_error(cups([1.0] * 30 + [0.0] * 2))
    # Student's t with 31 degrees of freedom
    low = 30 / 32 - 2.039513 * float(np.std([1.0] * 30 + [0.0] * 2, ddof=1)) / 32**0.5
    assert error.accepted_mean_iou.low == pytest.approx(low)
    told = f"those that reach 0.9 have a true IoU of 0.938 on gold, wrong classes as 0, and at worst {low:.3f}"
    assert why_not_accepted(error, PARAMS) == told


@pytest.mark.parametrize(
    ("count", "per_image", "told"),
    [
        (29, 1, "29 proposals on 29 gold images reach 0.9, 30 on 5 are needed"),
        (40, 10, "40 proposals on 4 gold images reach 0.9, 30 on 5 are needed"),
        (1, 1, "1 proposals on 1 gold images reach 0.9, 30 on 5 are needed"),
        (30, 6, None),
    ],
)
def test_a_few_lucky_masks_prove_nothing(count: int, per_image: int, told: str | None) -> None:
    params = replace(PARAMS, least_images=5)
    assert why_not_accepted(cups_error(cups([1.0] * count, per_image), params), params) == told


def test_nothing_proves_that_all_are_perfect() -> None:
    perfect = replace(PARAMS, accept_at=1.0)
    error = held_out_error(cups([1.0] * 40), np.ones(40), perfect)
    assert "3000000 on 2 are needed" in str(why_not_accepted(error, perfect))


def test_errors_are_stated_of_every_class_by_itself() -> None:
    known = replace(examples([0.9] * 5, [1.0, 0.8, 0.1, 0.1, 0.0]), labels=("a", "a", "b", "b", ""))
    found = errors_by_class(known, np.array([0.9, 0.9, 0.6, 0.6, 0.0]), PARAMS)
    assert list(found) == ["a", "b"]
    assert found["a"].mean_absolute_error == pytest.approx(0.1)
    assert found["b"].mean_absolute_error == pytest.approx(0.5)
    assert (found["a"].accepted, found["b"].accepted) == (2, 0)


def test_a_few_gold_images_can_say_that_all_of_a_source_is_bad() -> None:
    reason = why_none_shown(examples([0.8] * 6, [0.0, 0.1, 0.05, 0.1, 0.2, 0.0], images="aabbcc"))
    # means 0.05, 0.075, 0.1 and Student's t of one side, two degrees of freedom: 2.92
    high = 0.075 + 2.92 * 0.025 / 3**0.5
    assert reason == f"none is shown: 6 proposals on 3 gold images have a true IoU of 0.07, at most {high:.2f}"


@pytest.mark.parametrize(
    ("true_iou", "images"),
    [
        ([0.0, 0.0], "ab"),  # two images tell nothing about a third
        ([0.0, 0.0, 0.9], "abc"),
        ([0.45, 0.5, 0.5], "abc"),
        ([0.0] * 9 + [0.9, 0.6], "aaaaaaaaabc"),  # many on one image are no more than that image
        ([], ""),
    ],
)
def test_nothing_is_held_back_on_a_suspicion(true_iou: list[float], images: str) -> None:
    assert why_none_shown(examples([0.9] * len(images), true_iou, images=images)) is None


def test_scores_rise_with_both() -> None:
    np.testing.assert_allclose(gate_scores([0.5, 1.0], [0.5, 0.9]), [0.25, 0.9])


def test_a_mask_of_just_the_border_is_not_bad() -> None:
    found = error_of(examples([0.9] * 4, [BAD_IOU] * 4, images="abcd"), replace(PARAMS, propose_at=0.4))
    assert (found.shown, found.shown_bad_share) == (4, 0)
