import numpy as np
import numpy.typing as npt
import pytest

from datalab.figure import Figure
from datalab.learning.forecast import (
    CANNOT_TELL,
    GO_ON,
    STOP,
    forecast,
    hindsight,
    in_points,
    verdict,
)

Floats = npt.NDArray[np.float64]
IMAGES = np.array([30.0, 60.0, 90.0, 120.0, 150.0])
SCORES: Floats = 0.8 - 0.3 * (IMAGES / 30) ** -0.5


def same(scores: Floats, count: int = 50) -> Floats:
    return np.tile(scores, (count, 1))


def test_an_exact_curve_goes_on_exactly_and_is_sure() -> None:
    seen, reason = forecast(IMAGES, SCORES, same(SCORES), np.array([180.0, 210.0]), np.random.default_rng(0))
    assert seen is not None
    assert reason is None
    assert seen.images.tolist() == [150, 180, 210]
    assert seen.score == pytest.approx(0.8 - 0.3 * np.array([5, 6, 7]) ** -0.5, abs=1e-4)
    assert seen.gain.value == pytest.approx(0.3 * (5**-0.5 - 6**-0.5), abs=1e-4)
    assert seen.high - seen.low == pytest.approx(0, abs=0.003)


def test_what_all_rounds_share_widens_the_level_and_not_the_gain() -> None:
    rng = np.random.default_rng(0)
    level = SCORES + rng.normal(0, 0.05, (400, 1))
    seen, _ = forecast(IMAGES, SCORES, level, np.array([180.0]), rng)
    own = SCORES + rng.normal(0, 0.05, (400, 5))
    alone, _ = forecast(IMAGES, SCORES, own, np.array([180.0]), rng)
    assert seen is not None
    assert alone is not None
    assert seen.high[0] - seen.low[0] == pytest.approx(0.2, abs=0.04)
    widths = [one.gain.high - one.gain.low for one in (seen, alone) if one.gain.high and one.gain.low is not None]
    assert widths[0] < 0.01 < widths[1]


def test_points_off_their_curve_widen_the_interval() -> None:
    off = SCORES + np.array([0.01, -0.02, 0.02, -0.02, 0.01])
    seen, _ = forecast(IMAGES, off, same(off, 400), np.array([180.0]), np.random.default_rng(0))
    assert seen is not None
    assert seen.gain.high is not None
    assert seen.gain.high - (seen.gain.low or 0) > 0.01


@pytest.mark.slow
def test_the_interval_of_the_gain_covers_what_comes() -> None:
    rng = np.random.default_rng(5)
    truth = 0.3 * (5**-0.5 - 6**-0.5)
    covered = []
    for _ in range(150):
        seen_scores = SCORES + rng.normal(0, 0.01, 5) + rng.normal(0, 0.04)
        draws = seen_scores + rng.normal(0, 0.04, (200, 1)) + rng.normal(0, 0.01, (200, 5))
        seen, _ = forecast(IMAGES, seen_scores, draws, np.array([180.0]), rng)
        assert seen is not None
        covered.append((seen.gain.low or 0) <= truth <= (seen.gain.high or 0))
    assert np.mean(covered) >= 0.9


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        ([], "0 of the 3 comparable rounds that a forecast needs"),
        ([30.0, 60.0], "2 of the 3 comparable rounds that a forecast needs"),
        ([0.0, 30.0, 60.0], "a round without a labelled image has a score"),
        ([30.0, 60.0, 60.0], "fewer than 3 different numbers of labelled images"),
    ],
)
def test_too_few_rounds_have_no_forecast(images: list[float], reason: str) -> None:
    scores = np.full(len(images), 0.5)
    found = forecast(np.array(images), scores, same(scores), np.array([90.0]), np.random.default_rng(0))
    assert found == (None, reason)


def test_figures_without_an_interval_have_no_forecast() -> None:
    draws = same(SCORES)
    draws[:, 1] = np.nan
    _, reason = forecast(IMAGES, SCORES, draws, np.array([180.0]), np.random.default_rng(0))
    assert reason == "how sure the scores are is not known: a round's figures have no interval"


@pytest.mark.parametrize(
    ("gain", "batch", "said", "why"),
    [
        (Figure(0.02, low=0.005, high=0.04), 36, GO_ON, "bring 2.0 points (0.5 to 4.0), the price is 1.0"),
        (Figure(0.01, low=0.0, high=0.04), 36, GO_ON, "bring 1.0 points"),
        (Figure(0.004, low=0.0, high=0.009), 36, STOP, "all of it below the price of 1.0"),
        (Figure(0.004, low=0.0, high=0.01), 36, CANNOT_TELL, "less than the price of 1.0, but it may be more"),
        (Figure(None, reason="2 of 3 rounds"), 36, CANNOT_TELL, "2 of 3 rounds"),
        (Figure(0.02, low=0.01, high=0.04), 0, STOP, "no image is left"),
    ],
)
def test_stopping_has_to_be_sure(gain: Figure, batch: int, said: str, why: str) -> None:
    found = verdict(gain, 4, batch, 0.01)
    assert found.value == said
    assert why in found.reason


def test_three_rounds_stop_nobody() -> None:
    found = verdict(Figure(0.004, low=0.0, high=0.009), 3, 36, 0.01)
    assert found.value == CANNOT_TELL
    assert found.reason.endswith("less than the price of 1.0, by a curve that fits any 3 rounds")


def test_numbers_are_said_in_points() -> None:
    assert in_points(Figure(0.012, low=0.003, high=0.025)) == "1.2 points (0.3 to 2.5)"
    assert in_points(Figure(0.012, reason="one image")) == "1.2 points"
    assert in_points(Figure(None, reason="one round")) == "undefined: one round"


def test_hindsight_uses_nothing_that_came_later() -> None:
    """A curve that is flat from the fourth round on, but for a jump in the newest: nobody could have known."""
    scores = np.array([0.5, 0.59, 0.6, 0.6, 0.6, 0.9])
    images = np.array([30.0, 60.0, 90.0, 120.0, 150.0, 180.0])
    before = hindsight(images[:5], scores[:5], same(scores[:5]), 0.01, np.random.default_rng(0))
    found = hindsight(images, scores, same(scores), 0.01, np.random.default_rng(0))
    assert [one.verdict.value for one in found] == [CANNOT_TELL, CANNOT_TELL, CANNOT_TELL, STOP, STOP]
    assert [one.verdict.value for one in before] == [one.verdict.value for one in found[:4]]
    assert [one.place for one in found] == [0, 1, 2, 3, 4]
    assert (found[4].came.value, found[4].came.low) == pytest.approx((0.3, 0.3))
    assert found[0].verdict.reason == "1 of the 3 comparable rounds that a forecast needs"


def test_what_came_has_no_interval_where_the_figures_have_none() -> None:
    draws = same(SCORES[:2])
    draws[:, 0] = np.nan
    (found,) = hindsight(IMAGES[:2], SCORES[:2], draws, 0.01, np.random.default_rng(0))
    assert found.came.value == pytest.approx(SCORES[1] - SCORES[0])
    assert found.came.low is None
