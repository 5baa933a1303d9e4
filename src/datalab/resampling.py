"""How far resamples of a few may be trusted: they are too alike, by what t is wider than a normal distribution.

Hesterberg 2015, "What Teachers Should Know About the Bootstrap", section on expanded percentile intervals.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri, stdtrit

SIDE = 0.975
"""Of two-sided 95%."""


def widening(units: npt.NDArray[np.integer[Any] | np.floating[Any]] | int) -> npt.NDArray[np.float64]:
    """How much farther than resamples of so many (2 or more) the truth may lie: t over z, and a variance's n - 1."""
    n = np.maximum(np.asarray(units, dtype=np.float64), 2)
    return np.asarray(stdtrit(n - 1, SIDE) * np.sqrt(n / (n - 1)) / ndtri(SIDE), dtype=np.float64)


def tail(units: npt.NDArray[np.integer[Any] | np.floating[Any]] | int) -> npt.NDArray[np.float64]:
    """Share of the resamples of so many (2 or more) to be left out at either end for an interval of 95%.

    0.025 of many; of two none, and the interval from the lowest to the highest is still too narrow.
    """
    return np.asarray(ndtr(-ndtri(SIDE) * widening(units)), dtype=np.float64)
