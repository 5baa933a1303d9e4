"""Intervals of figures that are pooled over images: what is alike is drawn together, and few are never taken for many.

Resamples of a few images are far too alike: on two to six of them "95%" percentile intervals held the true mIoU in 49
to 85% of simulated test splits, and a comparison told equal models apart in 44 to 13%. So few have Student's t of the
jackknife (Tukey 1958), and more the percentiles widened to match t (Hesterberg 2015, "What Teachers Should Know About
the Bootstrap"): 94% and more where images vary like a bell. Nothing mends a handful of images of which the one that is
unlike all others is missing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from datalab.resampling import FEW, SIDE, tail

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Bounds = tuple[npt.ArrayLike, npt.ArrayLike]
Statistic = Callable[[npt.NDArray[Any]], Floats]
ALIKE = 1e-9
"""Standard error of a few figures that are the same but for rounding: it says nothing of how images vary."""
FIGURES, DIFFERENCES = (0.0, 1.0), (-1.0, 1.0)
"""What a share, and the difference of two, can be."""


@dataclass(frozen=True)
class Drawn:
    """Figures of N independent units, and what they are of others of their kind; NaN where undefined."""

    value: Floats
    """(...)"""
    without_one: Floats
    """(N, ...), of all units but one."""
    draws: Floats
    """(R, ...), of R draws of the bootstrap, in which a rare class may be missing."""
    shown: Bools
    """(N, ...) whether a unit has the figure at all: a class goes by those that show it."""
    units: Floats
    """(...) how many units tell how far it varies: Student's t has one degree of freedom less."""
    fewest: Floats
    """(...) of a mean over classes, those that show the rarest of them; of all others `units`."""


def bootstrap_interval(
    counts: npt.NDArray[Any],
    statistic: Statistic,
    rng: np.random.Generator,
    resamples: int,
    bounds: Bounds = FIGURES,
) -> tuple[Floats, Floats]:
    """`interval` of what is `drawn`, for figures that are no means over classes."""
    return interval(drawn(counts, statistic, rng, resamples), bounds)


def drawn(counts: npt.NDArray[Any], statistic: Statistic, rng: np.random.Generator, resamples: int) -> Drawn:
    """Figures of pooled counts, over units that are independent of each other.

    Args:
        counts: (N, ...), for example one confusion matrix per image, or sums of those that are alike (`sum_units`).
        statistic: (R, ...) sums of them over units -> (R, ...) values; NaN where undefined.
        rng: Where the draws come from.
        resamples: R, how many draws.
    """
    units, total = len(counts), counts.sum(axis=0)
    weights = rng.multinomial(units, np.full(units, 1 / units), size=resamples)
    # of whole numbers numpy makes no fast product; sums below 2**53 are the same
    pooled = (weights @ counts.reshape(units, -1).astype(np.float64)).reshape(resamples, *counts.shape[1:])
    shown = ~np.isnan(statistic(counts))
    many = shown.sum(axis=0).astype(np.float64)
    return Drawn(statistic(total[None])[0], statistic(total - counts), statistic(pooled), shown, many, many)


def mean_of(each: Drawn, classes: Bools) -> Drawn:
    """Mean over those of the `classes` (K,) that are defined in all units together, of figures (..., K).

    It is over the same classes in every draw, of which one that lacks a class has its value of all units: a draw
    without a hard class is no better model, and with many rare classes nearly all draws would be lost. What a class on
    two units of a hundred adds is known from two, not from a hundred (`_units_behind`). Undefined without a class.
    """
    part = classes & ~np.isnan(each.value)
    number = np.where(part.any(axis=-1), part.sum(axis=-1), np.nan)

    def mean(values: Floats) -> Floats:
        return np.asarray(np.where(part, values, 0.0).sum(axis=-1) / number, dtype=np.float64)

    filled = np.where(np.isnan(each.draws), each.value, each.draws)
    fewest = np.where(part, each.units, np.inf).min(axis=-1)
    shown = each.shown & part
    behind = _units_behind(each.without_one, shown)
    return Drawn(mean(each.value), mean(each.without_one), mean(filled), shown.any(axis=-1), behind, fewest)


def interval(of: Drawn, bounds: Bounds = FIGURES) -> tuple[Floats, Floats]:
    """95% interval (low, high), each (...). `bounds`: what the values can be; of a few units none reaches farther.

    NaN where leaving out a unit leaves it undefined, as what hangs on a single one says nothing about the spread over
    many, and where a few are all alike.
    """
    enough = ~np.isnan(of.without_one).any(axis=0) & (of.units > 1)
    units = np.where(enough, of.units, FEW)
    student = _student(of.value, of.without_one, units, bounds)
    widened = _widened(np.where(enough, of.draws, 0.0), units)
    return tuple(  # type: ignore[return-value]
        np.where(enough, np.where(of.fewest < FEW, few, more), np.nan)
        for few, more in zip(student, widened, strict=True)
    )


def _units_behind(without_one: Floats, shown: Bools) -> Floats:
    """(...) units behind the mean of K classes, each of them (N, ..., K) figures of all units but one.

    Satterthwaite (1946) in Welch's form, which allows for the variances being estimates: what a class adds to the
    variance of the mean, v, comes from the n units that show it, and where no unit shows two classes the degrees of
    freedom are (sum of v)^2 / sum of v^2 / (n + 1), less 2. A unit that shows several has what it adds to all of them,
    so that classes on the same n units have n - 1 together.
    """
    many = shown.sum(axis=0)
    added = np.where(many > 1, np.where(np.isnan(without_one), 0.0, without_one).var(axis=0), 0.0)
    by_unit = (shown * (added / np.sqrt(np.maximum(many * (many + 1), 1)))).sum(axis=-1)
    together, squares = added.sum(axis=-1) ** 2, (by_unit**2).sum(axis=0)
    most = len(shown) - 1
    freedom = np.divide(together, squares, where=squares > 0, out=np.full(squares.shape, np.inf)) - 2
    return np.asarray(1 + np.clip(freedom, 1, most), dtype=np.float64)


def _widened(draws: Floats, units: Floats) -> tuple[Floats, Floats]:
    """Percentiles of the draws (R, ...) whose normal quantile is that of t; undefined draws are left out."""
    tails = tail(units)
    ends, flat = np.empty((2, tails.size)), draws.reshape(len(draws), -1)
    for share in np.unique(tails):
        which = tails.ravel() == share
        ends[:, which] = np.nanquantile(flat[:, which], [share, 1 - share], axis=0)
    return ends[0].reshape(tails.shape), ends[1].reshape(tails.shape)


def _student(value: Floats, without_one: Floats, units: Floats, bounds: Bounds) -> tuple[Floats, Floats]:
    """Of the jackknife over all N units, `without_one` (N, ...): a class is found wrongly where none of it is, too.

    The degrees of freedom are those of the `units` that have the figure.
    """
    error = np.sqrt(np.where(np.isnan(without_one), 0.0, without_one).var(axis=0) * (len(without_one) - 1))
    reach = np.where(error > ALIKE, stdtrit(np.maximum(units - 1, 1), SIDE) * error, np.nan)
    return np.clip(value - reach, *bounds), np.clip(value + reach, *bounds)
