"""Calibration against hand-worked pools of adjacent violators and against scikit-learn's own predictions."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from datalab.learning.gate import (
    BAD_IOU,
    Examples,
    GateParams,
    decide,
    fit_calibration,
    gate_scores,
    held_out_error,
    why_no_gate,
)

PARAMS = GateParams(
    least_examples=4, least_images=2, least_class_examples=3, propose_at=0.6, auto_accept=False, accept_at=0.9
)


def examples(scores: list[float], true_iou: list[float], labels: str = "", images: str = "") -> Examples:
    names = tuple(labels) if labels else ("",) * len(scores)
    return Examples(np.array(scores), np.array(true_iou), names, tuple(images or "ab" * len(scores))[: len(scores)])


def test_violators_are_pooled() -> None:
    found = fit_calibration(examples([0.1, 0.2, 0.3, 0.4], [0.0, 0.6, 0.2, 0.9]), PARAMS)
    # 0.6 and 0.2 are in the wrong order: both become their mean
    np.testing.assert_allclose(found.pooled(np.array([0.1, 0.2, 0.3, 0.4])), [0.0, 0.4, 0.4, 0.9])
    np.testing.assert_allclose(found.pooled(np.array([0.0, 0.35, 1.0])), [0.0, 0.65, 0.9])


def test_the_curve_is_scikit_learns() -> None:
    rng = np.random.default_rng(3)
    scores = rng.random(200)
    truth = np.clip(scores + rng.normal(0, 0.2, 200), 0, 1)
    reference = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, truth)
    asked = rng.random(50)
    found = fit_calibration(Examples(scores, truth, ("",) * 200, ("a",) * 200), PARAMS)
    np.testing.assert_allclose(found.expected(asked, [""] * 50), reference.predict(asked))


def test_a_class_with_enough_examples_has_its_own_curve() -> None:
    known = examples([0.5, 0.5, 0.5, 0.5, 0.5], [0.9, 0.9, 0.9, 0.1, 0.1], "aaabb")
    found = fit_calibration(known, PARAMS)
    assert set(found.classes) == {"a"}
    np.testing.assert_allclose(found.expected(np.array([0.5, 0.5, 0.5]), ["a", "b", "new"]), [0.9, 0.58, 0.58])


def test_errors_are_of_images_left_out() -> None:
    # each image is predicted from the other one: 0.8 by 0.4 and the other way round
    error = held_out_error(examples([0.5, 0.5, 0.5, 0.5], [0.8, 0.8, 0.4, 0.4], images="aabb"), PARAMS)
    assert error.mean_absolute_error == pytest.approx(0.4)
    assert error.shown == 2
    assert error.shown_mean_iou == pytest.approx(0.4)
    assert error.shown_bad_share == 1.0
    assert error.as_json()["reason"] is None


def test_an_image_left_out_is_judged_by_the_curves_of_its_own_classes() -> None:
    known = examples([0.5] * 8, [0.9, *[0.1] * 6, 0.9], "abbbbbba", images="xxxxyyyy")
    found = held_out_error(known, replace(PARAMS, least_class_examples=1))
    assert found.mean_absolute_error == pytest.approx(0)


def test_nothing_shown_has_no_mean_and_says_why() -> None:
    error = held_out_error(examples([0.5, 0.5], [0.1, 0.2]), PARAMS)
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
    assert decide(expected, PARAMS) == ["draw", "propose", "propose"]
    assert decide(expected, replace(PARAMS, auto_accept=True)) == ["draw", "propose", "accept"]


def test_scores_rise_with_both() -> None:
    np.testing.assert_allclose(gate_scores([0.5, 1.0], [0.5, 0.9]), [0.25, 0.9])


def test_a_mask_of_just_the_border_is_not_bad() -> None:
    found = held_out_error(examples([0.9] * 4, [BAD_IOU] * 4, images="abcd"), replace(PARAMS, propose_at=0.4))
    assert (found.shown, found.shown_bad_share) == (4, 0)
