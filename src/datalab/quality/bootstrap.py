"""Intervals by resampling whole images: pixels and objects of one image are not independent."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from datalab.quality.figure import Figure, undefined

REPLICATES = 2000
Statistic = Callable[[npt.NDArray[np.floating]], float | None]


def bootstrap_ratio(
    numerators: npt.ArrayLike, denominators: npt.ArrayLike, rng: np.random.Generator, replicates: int = REPLICATES
) -> Figure:
    """sum(numerators) / sum(denominators) over images, with a percentile bootstrap interval of 95%.

    A mean is a ratio with denominators of 1. Undefined where the denominators sum to 0; no interval below 2 images.
    """
    top, bottom = np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)
    n = int(np.count_nonzero(bottom))
    if bottom.sum() == 0:
        return undefined("nothing to count", n)
    value = float(top.sum() / bottom.sum())
    if n < 2:
        return Figure(value, n, reason="no interval from one image")
    weights = rng.multinomial(len(top), np.full(len(top), 1 / len(top)), size=replicates)
    drawn = weights @ bottom
    ratios = (weights @ top)[drawn > 0] / drawn[drawn > 0]
    low, high = np.quantile(ratios, [0.025, 0.975])
    return Figure(value, n, float(low), float(high))


def bootstrap_statistic(
    tables: npt.NDArray[np.floating] | npt.NDArray[np.integer],
    statistic: Statistic,
    rng: np.random.Generator,
    replicates: int = REPLICATES,
) -> Figure:
    """A statistic of the sum of per-image tables (images, ...), with a percentile bootstrap interval of 95%.

    Undefined where the statistic of all images is; replicates in which it is undefined are left out.
    """
    value = statistic(tables.sum(axis=0)) if len(tables) else None
    if value is None:
        return undefined("only one category was seen" if len(tables) else "nothing to count", len(tables))
    if len(tables) < 2:
        return Figure(value, len(tables), reason="no interval from one image")
    weights = rng.multinomial(len(tables), np.full(len(tables), 1 / len(tables)), size=replicates)
    sums = np.tensordot(weights, tables, axes=1)
    drawn = [one for one in map(statistic, sums) if one is not None]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Figure(value, len(tables), float(low), float(high))
