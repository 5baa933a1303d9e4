"""Folds for out-of-fold predictions: every image is judged by a model that saw neither it nor a copy of it."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from datalab.errors import InputError


def assign_folds(groups: Sequence[str], folds: int, rng: np.random.Generator) -> list[int]:
    """The fold, 0 to folds - 1, of every image; images of one group share a fold, and folds are even in images.

    The largest group first, each to the fold with the fewest images so far; groups of a size in a drawn order.
    InputError where there are fewer groups than folds, or fewer than two folds.
    """
    distinct = sorted(set(groups))
    if not 2 <= folds <= len(distinct):
        raise InputError(f"{folds} folds of {len(distinct)} different images cannot be made; label more images")
    sizes = Counter(groups)
    drawn = [distinct[place] for place in rng.permutation(len(distinct))]
    filled, dealt = [0] * folds, dict[str, int]()
    for group in sorted(drawn, key=lambda one: -sizes[one]):
        dealt[group] = filled.index(min(filled))
        filled[dealt[group]] += sizes[group]
    return [dealt[group] for group in groups]
