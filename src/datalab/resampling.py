"""How far a few may be trusted: they are alike by chance, and their resamples by what t is wider than the normal.

Hesterberg 2015, "What Teachers Should Know About the Bootstrap", section on expanded percentile intervals.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri, stdtrit

Floats = npt.NDArray[np.float64]
SIDE = 0.975
"""Of two-sided 95%."""


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
