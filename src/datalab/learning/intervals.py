"""Intervals of figures that are pooled over images: what is alike is drawn together, and few are never taken for many.

Resamples of a few images are far too alike: on two to six of them "95%" percentile intervals held the true mIoU in 49
to 85% of simulated test splits, and a comparison told equal models apart in 44 to 13%. So few have Student's t of the
jackknife (Tukey 1958), and more the percentiles widened to match t (Hesterberg 2015, "What Teachers Should Know About
the Bootstrap"): 94% and more where images vary like a bell. Nothing mends a handful of images of which the one that is
unlike all others is missing.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from datalab.resampling import SIDE, tail

Floats = npt.NDArray[np.float64]
Statistic = Callable[[npt.NDArray[Any]], Floats]
FEW = 8
"""From so many independent images on they are resampled; below, the widest percentile there is would be too narrow."""
ALIKE = 1e-9
"""Standard error of a few figures that are the same but for rounding: it says nothing of how images vary."""
FIGURES, DIFFERENCES = (0.0, 1.0), (-1.0, 1.0)
"""What a share, and the difference of two, can be."""


def places_of(groups: Sequence[str]) -> npt.NDArray[np.intp]:
    """(N,) which independent unit, 0 to G - 1, each of N images belongs to: copies, frames of a clip, one patient's."""
    _, places = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    return np.asarray(places, dtype=np.intp)


def sum_units(counts: npt.NDArray[Any], places: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
    """(G, ...) sums of the (N, ...) counts of images, by `places_of`."""
    sums = np.zeros((int(places.max(initial=-1)) + 1, *counts.shape[1:]), dtype=counts.dtype)
    np.add.at(sums, places, counts)
    return sums


def bootstrap_interval(
    counts: npt.NDArray[Any],
    statistic: Statistic,
    rng: np.random.Generator,
    resamples: int,
    in_draws: Statistic | None = None,
    bounds: tuple[npt.ArrayLike, npt.ArrayLike] = FIGURES,
) -> tuple[Floats, Floats]:
    """95% interval of `statistic` of pooled counts, over units that are independent of each other.

    Args:
        counts: (N, ...), for example one confusion matrix per image, or sums of those that are alike (`sum_units`).
        statistic: (R, ...) sums of them over units -> (R, ...) values; NaN where undefined.
        rng: Where the draws come from.
        resamples: R, how many draws.
        in_draws: `statistic` as it is of a draw, in which a rare class may be missing; None for the same.
        bounds: What the values can be at least and at most: of a few units no interval reaches farther.

    Returns:
        (low, high), each of the statistic's shape (...). How few are few goes by the units that have a figure at all: a
        class by those that show it. NaN where leaving out a unit leaves it undefined, as what hangs on a single one
        says nothing about the spread over many, and where a few are all alike.
    """
    units, ask = len(counts), in_draws or statistic
    total = counts.sum(axis=0)
    without_one = statistic(total - counts)
    has_it = ~np.isnan(ask(counts))
    many = has_it.sum(axis=0)
    weights = rng.multinomial(units, np.full(units, 1 / units), size=resamples)
    pooled = (weights @ counts.reshape(units, -1)).reshape(resamples, *counts.shape[1:])
    enough = ~np.isnan(without_one).any(axis=0) & (many > 1)
    known = np.where(enough, ask(pooled), 0.0)
    some = np.where(enough, many, FEW)
    student = _student(statistic(total[None])[0], without_one, some, bounds)
    widened = _widened(known, some)
    return tuple(  # type: ignore[return-value]
        np.where(enough, np.where(many < FEW, few, more), np.nan) for few, more in zip(student, widened, strict=True)
    )


def _widened(draws: Floats, units: npt.NDArray[np.integer[Any]]) -> tuple[Floats, Floats]:
    """Percentiles of the draws (R, ...) whose normal quantile is that of t; undefined draws are left out."""
    tails = tail(units)
    ends, flat = np.empty((2, tails.size)), draws.reshape(len(draws), -1)
    for share in np.unique(tails):
        which = tails.ravel() == share
        ends[:, which] = np.nanquantile(flat[:, which], [share, 1 - share], axis=0)
    return ends[0].reshape(tails.shape), ends[1].reshape(tails.shape)


def _student(
    value: Floats, without_one: Floats, units: npt.NDArray[np.integer[Any]], bounds: tuple[npt.ArrayLike, npt.ArrayLike]
) -> tuple[Floats, Floats]:
    """Of the jackknife over all N units, `without_one` (N, ...): a class is found wrongly where none of it is, too.

    The degrees of freedom are those of the `units` that have the figure.
    """
    error = np.sqrt(np.where(np.isnan(without_one), 0.0, without_one).var(axis=0) * (len(without_one) - 1))
    reach = np.where(error > ALIKE, stdtrit(np.maximum(units - 1, 1), SIDE) * error, np.nan)
    return np.clip(value - reach, *bounds), np.clip(value + reach, *bounds)
