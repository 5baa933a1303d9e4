"""The random control: whether choosing found images that are harder for the model than chance finds, and at what cost.

`caution` turns the same comparison into how far the choice is trusted; here it is for people to read. It says how wrong
the model was that chose, about images that it had not seen. That a hard image also teaches much is likely and not
shown: for that the model would have to be trained with and without each part.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t as students_t

from datalab.figure import Figure
from datalab.learning.metrics import Floats
from datalab.resampling import joint_freedom, raised_spreads

LEAST_IMAGES = 3
"""Of each part; fewer say nothing about a batch."""
TOO_FEW = f"a part has fewer than {LEAST_IMAGES} images to compare"


@dataclass(frozen=True)
class Part:
    """The chosen or the random images of one batch."""

    surprise: Floats
    """(N,) in [0, 1]: how wrong the model that chose the batch was about the image (stages/surprise.py)."""
    minutes: Floats
    """(N,) of one person's time for it, NaN where nobody's time is known."""

    def timed(self) -> "Part":
        """The images whose time is known and more than nothing."""
        known = self.minutes > 0
        return Part(self.surprise[known], self.minutes[known])


@dataclass(frozen=True)
class Comparison:
    """One figure of both parts."""

    chosen: Figure
    random: Figure
    difference: Figure
    """Chosen - random, batch by batch, with its 95% interval."""


def surprise_of(surprise: pd.DataFrame, round_id: str, image_ids: Sequence[str]) -> "pd.Series[float]":
    """What table SURPRISE knows of these images in that round, by (round_id, image_id)."""
    known = surprise[surprise["round_id"] == round_id].set_index(["round_id", "image_id"])["surprise"]
    return known.reindex(pd.MultiIndex.from_product([[round_id], image_ids])).dropna()


def per_image(batches: Sequence[tuple[Part, Part]]) -> Comparison:
    """Surprise per image of (chosen, random) parts, one pair per batch."""
    return _compare([(chosen.surprise, random.surprise) for chosen, random in batches])


def per_minute(batches: Sequence[tuple[Part, Part]]) -> Comparison:
    """Surprise per annotator minute, sum over sum, of the images whose time is known.

    A ratio's spread is that of its residuals: each image counts as ratio + (surprise - ratio * minutes) / mean minutes,
    whose mean is the ratio (linearisation of the ratio estimator, Cochran 1977, chapter 6).
    """
    return _compare([(_rates(chosen.timed()), _rates(random.timed())) for chosen, random in batches])


def _rates(part: Part) -> Floats:
    if not len(part.minutes):
        return part.minutes
    ratio = part.surprise.sum() / part.minutes.sum()
    return np.asarray(ratio + (part.surprise - ratio * part.minutes) / part.minutes.mean(), dtype=np.float64)


def _compare(batches: Sequence[tuple[Floats, Floats]]) -> Comparison:
    """Batches with too small a part are left out: there is nothing to compare them with."""
    kept = [pair for pair in batches if min(map(len, pair)) >= LEAST_IMAGES]
    if not kept:
        nothing = Figure(None, reason=TOO_FEW)
        return Comparison(nothing, nothing, nothing)
    weights = _weights(kept)
    means = np.array([[values.mean() for values in pair] for pair in kept])
    chosen, random = weights @ means
    return Comparison(Figure(float(chosen)), Figure(float(random)), difference(kept))


def difference(batches: Sequence[tuple[Floats, Floats]], level: float = 0.95) -> Figure:
    """Mean of (first - second) over batches, weighted by their effective sizes, with an interval of this level.

    Student's t with unequal variances (Welch 1947, Satterthwaite 1946), no part's below the pooled one of its batch:
    four random images with nothing wrong on them are alike by chance, and their bootstrap is far too sure as well. Each
    part has two values or more; there is no interval where all of them are equal.
    """
    weights = _weights(batches)
    value = float(weights @ [first.mean() - second.mean() for first, second in batches])
    if all(np.ptp(values) == 0 for pair in batches for values in pair):
        return Figure(value, reason="no interval: all images of a part are alike")
    freedoms = np.array([[len(values) - 1.0 for values in pair] for pair in batches])
    spreads = np.array([[values.var(ddof=1) for values in pair] for pair in batches])
    raised = np.array([raised_spreads(*parts) for parts in zip(spreads, freedoms, strict=True)])
    shares = weights[:, None] ** 2 * raised / (freedoms + 1)
    freedom = joint_freedom(shares.ravel(), freedoms.ravel())
    reach = float(students_t.ppf((1 + level) / 2, freedom) * np.sqrt(shares.sum()))
    return Figure(value, low=value - reach, high=value + reach)


def _weights(batches: Sequence[tuple[Floats, Floats]]) -> Floats:
    """(B,) that sum to 1: harmonic means of the parts' sizes."""
    sizes = np.array([1 / (1 / len(first) + 1 / len(second)) for first, second in batches])
    return np.asarray(sizes / sizes.sum(), dtype=np.float64)
