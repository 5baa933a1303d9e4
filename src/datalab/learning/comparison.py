"""Two models on the same images: the model of this round, the challenger, against the one before, the champion."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from datalab.figure import Figure
from datalab.learning.intervals import drawn, interval, mean_of
from datalab.learning.metrics import Counts, figure_of, mean_defined, overlap_counts, overlap_iou
from datalab.resampling import places_of, sum_units

Floats = npt.NDArray[np.float64]
ONE_IMAGE = "no interval: one test image decides, or a few that are all alike"
BOUNDS = np.array([0.0, 0.0, -1.0]), 1.0
"""Of the two means and their difference."""


@dataclass(frozen=True)
class Duel:
    """What two models did on N images."""

    champion: Figure
    """Pooled mean IoU over the classes in the truth, in [0, 1]."""
    challenger: Figure
    difference: Figure
    """Challenger - champion, with the interval of the difference: both are drawn on the same images."""
    by_image: Floats
    """(N, 2): mean IoU of champion and challenger on each image, NaN where no pixel is judged."""


def duel(champion: Counts, challenger: Counts, groups: Sequence[str], rng: np.random.Generator, resamples: int) -> Duel:
    """Compare (N, K, K) confusion matrices of two models on the same N images, in the same order.

    Images are drawn with replacement, those of one of the `groups` together, and both models of an image: what is hard
    for both does not widen the interval of the difference. ValueError where the shapes differ.
    """
    if champion.shape != challenger.shape:
        raise ValueError(f"champion has shape {champion.shape}, challenger {challenger.shape}")
    both = np.stack([overlap_counts(champion), overlap_counts(challenger)], axis=1)

    def per_class(counts: Counts) -> Floats:
        iou = overlap_iou(counts)
        return np.concatenate([iou, iou[..., 1:, :] - iou[..., :1, :]], axis=-2)

    each = drawn(sum_units(both, places_of(groups)), per_class, rng, resamples)
    means = mean_of(each, np.ones(both.shape[-2], dtype=bool))
    low, high = interval(means, BOUNDS)
    ends = zip(means.value.tolist(), low.tolist(), high.tolist(), strict=True)
    first, second, difference = (figure_of(*three, ONE_IMAGE) for three in ends)
    return Duel(first, second, difference, mean_defined(overlap_iou(both)))


def counts_of(confusions: pd.DataFrame, image_ids: list[str], names: tuple[str, ...]) -> Counts:
    """(N, K, K) matrices of table CONFUSIONS for these images and classes, in their order."""
    counts = np.zeros((len(image_ids), len(names), len(names)), dtype=np.int64)
    rows = confusions[confusions["image_id"].isin(image_ids)]
    places = [
        pd.Index(known).get_indexer(pd.Index(rows[column]))
        for known, column in ((image_ids, "image_id"), (names, "truth"), (names, "predicted"))
    ]
    counts[places[0], places[1], places[2]] = rows["pixels"]
    return counts
