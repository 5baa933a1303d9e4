"""The figures of a report, each a value with its 95% interval over images, or null with a reason."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from datalab.learning.calibration import Reliability, calibration_error
from datalab.learning.metrics import (
    Counts,
    Floats,
    bootstrap_interval,
    boundary_iou_per_class,
    dice_per_class,
    figure_of,
    iou_per_class,
    mean_over,
    pixel_accuracy,
    precision_per_class,
    recall_per_class,
)

Row = dict[str, Any]
"""A figure as it is written, or several by name."""
ONE_IMAGE = "no interval: it hangs on a single test image"
PER_CLASS = ("iou", "dice_per_class", "precision", "recall")


def figures(confusions: Counts, names: Sequence[str], rng: np.random.Generator, resamples: int) -> dict[str, Any]:
    """The content of metrics.json from one (K, K) confusion matrix per image, shape (N, K, K).

    A mean is over the same classes in every draw of the bootstrap: one that a draw lacks has its value of all images.
    Dice is F1 of the pixels.
    """
    total = confusions.sum(axis=0)
    present = ~np.isnan(iou_per_class(total))
    objects = present & (np.arange(len(names)) > 0)

    def statistic(counts: Counts, whole: Counts | None = None) -> Floats:
        wanted = ((iou_per_class, present), (iou_per_class, objects), (dice_per_class, present))
        means = [*(mean_over(each, counts, classes, whole) for each, classes in wanted), pixel_accuracy(counts)]
        per_class = (each(counts) for each in (iou_per_class, dice_per_class, precision_per_class, recall_per_class))
        return np.concatenate([np.stack(means, axis=-1), *per_class], axis=-1)

    value = statistic(total)
    low, high = bootstrap_interval(confusions, statistic, rng, resamples, in_draws=partial(statistic, whole=total))
    found = [figure(*triple) for triple in zip(value, low, high, strict=True)]
    classes = [found[start : start + len(names)] for start in range(4, len(found), len(names))]
    return {
        **dict(zip(("miou", "miou_objects", "dice", "pixel_accuracy"), found, strict=False)),
        **{name: dict(zip(names, rows, strict=True)) for name, rows in zip(PER_CLASS, classes, strict=True)},
        "test_images": len(confusions),
    }


def boundary_figures(outlines: Counts, names: Sequence[str], rng: np.random.Generator, resamples: int) -> Row:
    """`boundary_iou`, the mean over the classes with an outline, and `boundary_iou_per_class`, of (N, K, 3) counts."""
    total = outlines.sum(axis=0)
    present = ~np.isnan(boundary_iou_per_class(total))

    def statistic(counts: Counts, whole: Counts | None = None) -> Floats:
        mean = mean_over(boundary_iou_per_class, counts, present, whole)
        return np.concatenate([mean[..., None], boundary_iou_per_class(counts)], axis=-1)

    value = statistic(total)
    low, high = bootstrap_interval(outlines, statistic, rng, resamples, in_draws=partial(statistic, whole=total))
    mean, *found = [figure(*triple) for triple in zip(value, low, high, strict=True)]
    return {"boundary_iou": mean, "boundary_iou_per_class": dict(zip(names, found, strict=True))}


def calibration(trusted: Reliability, rng: np.random.Generator, resamples: int) -> dict[str, Row]:
    """`ece_before` and `ece` with intervals, from (N, 2, bins, 3): each image before and after the temperature."""
    value = calibration_error(trusted.sum(axis=0))
    low, high = bootstrap_interval(trusted, calibration_error, rng, resamples)
    found = [figure(*triple) for triple in zip(value, low, high, strict=True)]
    return dict(zip(("ece_before", "ece"), found, strict=True))


def figure(value: float, low: float, high: float) -> Row:
    """Null where undefined, and only then with a reason: these are DVC's metrics."""
    found = figure_of(value, low, high, ONE_IMAGE).as_json()
    return {key: item for key, item in found.items() if key != "reason" or item is not None}


def plain(value: Any) -> Any:
    """Rounded, null where undefined, also inside a dict."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return None if math.isnan(value) else round(float(value), 6)
