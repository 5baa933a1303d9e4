"""What the next rounds are expected to bring, and whether that is worth another batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from datalab.figure import Figure
from datalab.learning.power_law import LEAST_POINTS, Floats, PowerLaw, fit, fit_many

GO_ON, STOP, CANNOT_TELL = "go on", "stop", "cannot tell yet"
POINTS = 100
"""A score of 0.01 is one point."""


@dataclass(frozen=True)
class Forecast:
    """Expected scores; every array goes with `images`, and `images[0]` is where the curve stands now."""

    images: Floats
    """(S,) labelled images, ascending."""
    score: Floats
    """(S,) in [0, 1]."""
    low: Floats
    """(S,) 95% interval."""
    high: Floats
    gain: Figure
    """Of the first step, `score[1] - score[0]`."""
    curve: PowerLaw


@dataclass(frozen=True)
class Verdict:
    """`value`: GO_ON, STOP or CANNOT_TELL."""

    value: str
    reason: str


def forecast(
    images: Floats, scores: Floats, draws: Floats, ahead: Floats, rng: np.random.Generator
) -> tuple[Forecast | None, str | None]:
    """Go on with the curve to `ahead` (S - 1,) labelled images; None and the reason where that is undefined.

    Args:
        images: (R,) labelled images of the rounds so far, ascending.
        scores: (R,) what was measured, in [0, 1].
        draws: (B, R) what might have been measured, drawn together: with other test images.
        ahead: Labelled images of the rounds to come, ascending, at least one.
        rng: Draws the scatter.

    Returns:
        The expected score is that of the curve through `scores`; the interval is of the curves through the draws. From
        the fourth round on the points' scatter about their curve is added to the draws (residual bootstrap): the luck
        of training, which other test images do not show.
    """
    reason = undefined(images, draws)
    if reason is not None:
        return None, reason
    curve = fit(images, scores)
    freedom = len(images) - LEAST_POINTS
    if freedom:
        scatter = np.sqrt(((scores - curve.at(images)[0]) ** 2).sum() / freedom)
        draws = draws + rng.normal(0.0, scatter, draws.shape)
    places = np.concatenate([images[-1:], ahead])
    expected, drawn = curve.at(places)[0], fit_many(images, draws).at(places)
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    gains = np.quantile(drawn[:, 1] - drawn[:, 0], (0.025, 0.975))
    gain = Figure(float(expected[1] - expected[0]), low=float(gains[0]), high=float(gains[1]))
    return Forecast(places, expected, low, high, gain, curve), None


def undefined(images: Floats, draws: Floats) -> str | None:
    """Why there is no forecast of so many rounds; None where there is one."""
    if len(images) < LEAST_POINTS:
        return f"{len(images)} of the {LEAST_POINTS} comparable rounds that a forecast needs"
    if (images <= 0).any():
        return "a round without a labelled image has a score"
    if len(np.unique(images)) < LEAST_POINTS:
        return f"fewer than {LEAST_POINTS} different numbers of labelled images"
    if not np.isfinite(draws).all():
        return "how sure the scores are is not known: a round's figures have no interval"
    return None


def verdict(gain: Figure, rounds: int, batch: int, least: float) -> Verdict:
    """Whether the next `batch` images are worth their price, at least `least` of score (0.01: one point).

    Going on is what happens anyway, so stopping needs to be sure: it is advised only where even the upper end of the
    interval is below the price, and from the fourth round on, since a curve of three numbers goes through any three
    points and does not show how far it is off. A gain that is expected to be too small, and may be large enough, cannot
    be told.
    """
    if batch == 0:
        return Verdict(STOP, "no image is left to be chosen")
    if gain.value is None or gain.high is None:
        return Verdict(CANNOT_TELL, gain.reason or "no interval")
    said = f"the next {batch} images are expected to bring {in_points(gain)}"
    price = f"{POINTS * least:.1f}"
    if gain.value >= least:
        return Verdict(GO_ON, f"{said}, the price is {price}")
    if gain.high < least and rounds == LEAST_POINTS:
        return Verdict(CANNOT_TELL, f"{said}, less than the price of {price}, by a curve that fits any {rounds} rounds")
    if gain.high < least:
        return Verdict(STOP, f"{said}, all of it below the price of {price}")
    return Verdict(CANNOT_TELL, f"{said}: less than the price of {price}, but it may be more")


def in_points(figure: Figure) -> str:
    """`1.2 points (0.3 to 2.5)`; the reason where there is no value."""
    if figure.value is None:
        return f"undefined: {figure.reason}"
    text = f"{POINTS * figure.value:.1f} points"
    if figure.low is None or figure.high is None:
        return text
    return f"{text} ({POINTS * figure.low:.1f} to {POINTS * figure.high:.1f})"


@dataclass(frozen=True)
class Hindsight:
    """What would have been said after a past round, and what then came."""

    place: int
    """Of the round among the points."""
    verdict: Verdict
    expected: Figure
    came: Figure


def hindsight(
    images: Floats, scores: Floats, draws: Floats, least: float, rng: np.random.Generator
) -> Sequence[Hindsight]:
    """The verdict after every round but the newest, from the points up to it alone; arguments as `forecast`."""
    found = []
    for last in range(len(images) - 1):
        now, ahead = slice(0, last + 1), images[last + 1 : last + 2]
        batch = round(float(ahead[0] - images[last]))
        if batch <= 0:  # labels were taken back: nothing was asked for
            continue
        seen, reason = forecast(images[now], scores[now], draws[:, now], ahead, rng)
        expected = Figure(None, reason=reason) if seen is None else seen.gain
        came = _difference(scores[last + 1] - scores[last], draws[:, last + 1] - draws[:, last])
        found.append(Hindsight(last, verdict(expected, last + 1, batch, least), expected, came))
    return found


def _difference(value: float, draws: Floats) -> Figure:
    if not np.isfinite(draws).all():
        return Figure(float(value), reason="no interval: a round's figures have none")
    low, high = np.quantile(draws, (0.025, 0.975))
    return Figure(float(value), low=float(low), high=float(high))
