"""Independent units, and how far a few may be trusted: they are alike by chance, and their resamples by what t is wider
than the normal.

Hesterberg 2015, "What Teachers Should Know About the Bootstrap", section on expanded percentile intervals.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri, stdtrit

Floats = npt.NDArray[np.float64]
SIDE = 0.975
"""Of two-sided 95%."""
FEW = 8
"""From so many independent units on they are resampled; below, the widest percentile there is would be too narrow."""


def places_of(groups: Sequence[str]) -> npt.NDArray[np.intp]:
    """(N,) which independent unit, 0 to G - 1 by name, each of N images belongs to: copies, frames of a clip, one
    patient's."""
    _, places = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    return np.asarray(places, dtype=np.intp)


def sum_units(counts: npt.NDArray[Any], places: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
    """(G, ...) sums of the (N, ...) counts of images, by `places_of`."""
    sums = np.zeros((int(places.max(initial=-1)) + 1, *counts.shape[1:]), dtype=counts.dtype)
    np.add.at(sums, places, counts)
    return sums


def widening(units: npt.NDArray[np.integer[Any] | np.floating[Any]] | int) -> Floats:
    """How much farther than resamples of so many (2 or more) the truth may lie: t over z, and a variance's n - 1."""
    n = np.maximum(np.asarray(units, dtype=np.float64), 2)
    return np.asarray(stdtrit(n - 1, SIDE) * np.sqrt(n / (n - 1)) / ndtri(SIDE), dtype=np.float64)


def tail(units: npt.NDArray[np.integer[Any] | np.floating[Any]] | int) -> Floats:
    """Share of the resamples of so many (2 or more) to be left out at either end for an interval of 95%.

    0.025 of many; of two none, and the interval from the lowest to the highest is still too narrow.
    """
    return np.asarray(ndtr(-ndtri(SIDE) * widening(units)), dtype=np.float64)


def raised_spreads(spreads: Floats, freedoms: Floats) -> Floats:
    """(n,) variances of compared parts, none below the pooled one: a few perfect images are alike by chance."""
    return np.asarray(np.maximum(spreads, freedoms @ spreads / freedoms.sum()), dtype=np.float64)


def joint_freedom(variances: Floats, freedoms: Floats) -> float:
    """Degrees of freedom of a sum of independent (n,) variances, not all 0 (Welch 1947, Satterthwaite 1946)."""
    return float(variances.sum() ** 2 / (variances**2 / freedoms).sum())
