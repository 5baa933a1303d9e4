"""Images unlike all that a model has learned from: farther from them than they are from each other."""

import numpy as np
import numpy.typing as npt

from datalab.learning.cover import Vectors

BLOCK = 2048
"""Rows compared at once: with 10,000 others 80 MB."""


def novelty(vectors: Vectors, learned: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """(N,) in [0, 1): how much farther each row of `vectors` (N, D), of unit length, lies from the learned ones than is
    usual among these.

    1 minus the conformal p-value of the cosine distance to the nearest learned row (Laxhammar and Falkman 2010): images
    of the same kind as the learned ones get more than 0.95 in one case of twenty. A learned row is compared with the
    others. `learned`: their row numbers; all NaN where there are fewer than two.
    """
    if len(learned) < 2:
        return np.full(len(vectors), np.nan)
    distances = _nearest(vectors, learned)
    usual = np.sort(distances[learned])
    farther = len(usual) - np.searchsorted(usual, distances, side="left")
    # a learned row is one of those that it is compared with
    others = np.ones(len(vectors), dtype=np.int64)
    others[learned] = 0
    return np.asarray(1 - (farther + others) / (len(usual) + others), dtype=np.float64)


def _nearest(vectors: Vectors, learned: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """(N,) cosine distance to the nearest learned row other than itself, rounded: equal images are equally far."""
    known = np.asarray(vectors[learned], dtype=np.float32)
    place = np.full(len(vectors), -1)
    place[learned] = np.arange(len(learned))
    found = np.empty(len(vectors))
    for start in range(0, len(vectors), BLOCK):
        part = slice(start, min(start + BLOCK, len(vectors)))
        distances = 1 - np.asarray(vectors[part], dtype=np.float32) @ known.T
        own = np.flatnonzero(place[part] >= 0)
        distances[own, place[part][own]] = np.inf
        found[part] = distances.min(axis=1)
    return np.round(found, 6)
