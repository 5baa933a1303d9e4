"""Folds for out-of-fold predictions: every image is judged by a model that saw neither it nor a copy of it."""

from collections.abc import Sequence

import numpy as np

from datalab.errors import InputError


def assign_folds(groups: Sequence[str], folds: int, rng: np.random.Generator) -> list[int]:
    """The fold, 0 to folds - 1, of every image; images of one duplicate group share a fold, groups are dealt evenly.

    InputError where there are fewer groups than folds, or fewer than two folds.
    """
    distinct = sorted(set(groups))
    if not 2 <= folds <= len(distinct):
        raise InputError(f"{folds} folds of {len(distinct)} different images cannot be made; label more images")
    dealt = {distinct[place]: turn % folds for turn, place in enumerate(rng.permutation(len(distinct)))}
    return [dealt[group] for group in groups]
