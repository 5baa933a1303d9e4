"""The learning curve of a labeling project: what the model of every round scored, made comparable.

Every round adds test images, harder or easier than those before: a model may improve while its score falls, or stay as
it is while that rises. So the curve is linked, like a price index: from one round to the next it moves by what the two
models differ on the images that both were judged on, and it ends at what the newest one scored on all of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from datalab.figure import Figure
from datalab.learning.metrics import Counts, Floats, overlap_iou
from datalab.learning.power_law import LEAST_POINTS
from datalab.resampling import widening

LINKED, REPORTED = "linked", "as reported"
LEAST_SHARED = 3
"""Images that two rounds need in common to be linked; fewer say nothing about the classes."""
FEWEST_DRAWN = 2
"""Groups of test images of a round; below there is nothing to draw from."""
STANDARD_ERRORS = 2 * 1.959964
"""Width of a 95% interval of a normal distribution."""


@dataclass(frozen=True)
class Point:
    """One round, as its report has it."""

    number: int
    """Of the round, from 1."""
    images: int
    """Labelled images, training, validation and test."""
    minutes: float | None
    """Annotators' time so far; None where no answer tells its time."""
    miou: Figure
    classes: frozenset[str]
    """Whose mean `miou` is."""


@dataclass(frozen=True)
class Judged:
    """What the models of the rounds made of every test image."""

    overlaps: Counts
    """(R, I, K, 3) `overlap_counts` per round and image; zeros where the image was not judged."""
    judged: npt.NDArray[np.bool_]
    """(R, I)"""
    places: npt.NDArray[np.intp]
    """(I,) `places_of` the images: those of a group are drawn together."""


@dataclass(frozen=True)
class LearningCurve:
    """The rounds that can be compared: always the newest ones."""

    points: tuple[Point, ...]
    scores: Floats
    """(R,) in [0, 1] but for rounding errors of the links."""
    draws: Floats
    """(B, R) what other test images might have shown, drawn together; NaN where that is not known."""
    basis: str
    """LINKED or REPORTED."""


def learning_curve(points: Sequence[Point], judged: Judged, rng: np.random.Generator, resamples: int) -> LearningCurve:
    """The linked curve where it covers enough rounds for a forecast, or all; else the reported figures.

    `points` are in the order of the rounds, as the rows of `judged`. Reported figures are compared only back to the
    last change of the classes that are in the test images: a mean over other classes is another figure.
    """
    start = _first_linked(judged.judged)
    length = len(points) - start
    if judged.judged[-1:].any() and (length >= LEAST_POINTS or start == 0):
        part = Judged(judged.overlaps[start:], judged.judged[start:], judged.places)
        drawn = linked_scores(part, rng, resamples)
        return LearningCurve(tuple(points[start:]), drawn[0], drawn[1:], LINKED)
    kept = _comparable(points)
    scores = np.array([one.miou.value for one in kept], dtype=np.float64)
    errors = [_standard_error(one.miou) for one in kept]
    draws = scores + rng.normal(size=(resamples, len(kept))) * np.array(errors)
    return LearningCurve(kept, scores, draws, REPORTED)


def linked_scores(judged: Judged, rng: np.random.Generator, resamples: int) -> Floats:
    """(1 + resamples, R): mIoU of every round in its first row, then with images drawn with replacement.

    An image is drawn or not for all rounds alike, so that what they have in common cancels in their differences. A
    class that a draw lacks counts there as over all images. Every two rounds in a row need an image in common. What is
    drawn lies farther from its value than resamples of few do (`widening`): the newest score by its own groups of
    images, each link by those that both rounds share. Draws of a round that was judged on a single group are NaN.
    """
    rounds, images = judged.judged.shape
    units = int(judged.places.max(initial=-1)) + 1
    drawn = rng.multinomial(units, np.full(units, 1 / units), size=resamples)[:, judged.places]
    # in floats, exact up to 2 ** 53 pixels: matrix products of integers are a hundred times slower
    weights = np.concatenate([np.ones((1, images)), drawn])
    scores = np.empty((1 + resamples, rounds))
    scores[:, -1] = _widened(_mean_iou(judged, -1, -1, weights), judged, -1, -1)
    for place in range(rounds - 2, -1, -1):
        change = _mean_iou(judged, place + 1, place, weights) - _mean_iou(judged, place, place + 1, weights)
        scores[:, place] = scores[:, place + 1] - _widened(change, judged, place, place + 1)
    # every draw of one image is that image: as in the metrics, it says nothing about the spread over images
    many = np.array([_groups(judged, place, place) for place in range(rounds)])
    scores[1:, many < FEWEST_DRAWN] = np.nan
    return scores


def _widened(values: Floats, judged: Judged, place: int, other: int) -> Floats:
    """(B,) values on what both rounds have judged, the first of which is no draw."""
    return np.asarray(values[0] + (values - values[0]) * widening(_groups(judged, place, other)), dtype=np.float64)


def _groups(judged: Judged, place: int, other: int) -> int:
    """How many groups of images both rounds have judged."""
    return len(np.unique(judged.places[judged.judged[place] & judged.judged[other]]))


def _mean_iou(judged: Judged, place: int, other: int, weights: Floats) -> Floats:
    """(B,): mIoU of a round on the images that the other one has judged too, over the classes true in both."""
    shared = judged.judged[place] & judged.judged[other]
    own, others = (
        overlap_iou(np.tensordot(weights[:, shared], judged.overlaps[one][shared].astype(np.float64), axes=1))
        for one in (place, other)
    )
    present = ~np.isnan(own[0]) & ~np.isnan(others[0])
    values = own[:, present]
    return np.asarray(np.where(np.isnan(values), values[:1], values).mean(axis=1), dtype=np.float64)


def _first_linked(judged: npt.NDArray[np.bool_]) -> int:
    """The round from which on every two in a row share enough images, the newest one where the last two do not."""
    for place in range(len(judged) - 1, 0, -1):
        if (judged[place] & judged[place - 1]).sum() < LEAST_SHARED:
            return place
    return 0


def _comparable(points: Sequence[Point]) -> tuple[Point, ...]:
    """The newest rounds in a row that have a figure, over the same classes."""
    kept: list[Point] = []
    for one in reversed(points):
        if one.miou.value is None or one.classes != points[-1].classes:
            break
        kept.insert(0, one)
    return tuple(kept)


def _standard_error(miou: Figure) -> float:
    if miou.low is None or miou.high is None:
        return float("nan")
    return (miou.high - miou.low) / STANDARD_ERRORS
