"""The figures of a report, each a value with its 95% interval over images, or null with a reason.

Images that are no independent samples (copies, frames of a clip) come in as one, the sum of their counts.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from datalab.learning.calibration import Reliability, calibration_error
from datalab.learning.intervals import bootstrap_interval
from datalab.learning.metrics import (
    ABSENT,
    Counts,
    Floats,
    boundary_iou_per_class,
    dice_per_class,
    figure_of,
    iou_per_class,
    mean_over,
    pixel_accuracy,
    precision_per_class,
    recall_per_class,
)
from datalab.learning.objects import hit_shares

Row = dict[str, Any]
"""A figure as it is written, or several by name."""
ONE_IMAGE = "no interval: it hangs on a single test image, or a few that are all alike"
NO_OBJECT = "no object of this class in the test images"
NO_OBJECTS = "no object in the test images"
NONE_FOUND = "none was found"
HIT_SHARES = ("precision", "recall", "f1")
PER_CLASS = ("iou", "dice_per_class", "precision", "recall")


def figures(confusions: Counts, names: Sequence[str], rng: np.random.Generator, resamples: int) -> dict[str, Any]:
    """Figures of metrics.json from one (K, K) confusion matrix per independent image, shape (N, K, K).

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


def object_figures(
    hits: Counts,
    average_precision: Callable[[npt.NDArray[Any]], Floats],
    names: Sequence[str],
    rng: np.random.Generator,
    resamples: int,
) -> Row:
    """`ap` (over IoU 0.50 to 0.95) and `ap50`, means over the classes with an object in the truth, and `ap_per_class`;
    of all that was found, however unsure, `precision`, `recall` and `f1` at IoU 0.50 over all classes and `per_class`.

    `truth` and `found` count the objects.

    Args:
        hits: (N, K, 3) of N images and K classes, background first: objects right, wrong, missed.
        average_precision: (R, N), how often each image is in R draws -> (R, K, 2): AP and AP50 of the classes.
    """
    right, wrong, missed = hits.sum(axis=(0, 1)).tolist()
    counts = {"truth": right + missed, "found": right + wrong}
    present = hits[..., [0, 2]].sum(axis=(0, 2)) > 0
    found = _average_precision(average_precision, len(hits), present, names, rng, resamples)
    return {**found, **_hit_figures(hits, names, rng, resamples), **counts}


def _average_precision(
    average_precision: Callable[[npt.NDArray[Any]], Floats],
    images: int,
    present: npt.NDArray[np.bool_],
    names: Sequence[str],
    rng: np.random.Generator,
    resamples: int,
) -> Row:
    whole = average_precision(np.ones((1, images)))

    def statistic(times: npt.NDArray[Any], filled: Floats | None = None) -> Floats:
        each = average_precision(times)
        means = [
            mean_over(lambda values: values, each[..., kind], present, None if filled is None else filled[..., kind])
            for kind in range(2)
        ]
        return np.concatenate([np.stack(means, axis=-1), each[:, 1:, 0]], axis=-1)

    value = statistic(np.ones((1, images)))[0]
    in_draws = partial(statistic, filled=whole)
    low, high = bootstrap_interval(np.eye(images), statistic, rng, resamples, in_draws=in_draws)
    reasons = [NO_OBJECTS] * 2 + [NO_OBJECT] * (len(names) - 1)
    found = [figure(*each) for each in zip(value, low, high, reasons, strict=True)]
    return {"ap": found[0], "ap50": found[1], "ap_per_class": dict(zip(names[1:], found[2:], strict=True))}


def _hit_figures(hits: Counts, names: Sequence[str], rng: np.random.Generator, resamples: int) -> Row:
    """Of all classes together, and `per_class`."""

    def statistic(counts: Counts) -> Floats:
        # in the row of the background, which has no objects, all of them
        return hit_shares(np.concatenate([counts.sum(axis=-2, keepdims=True), counts[..., 1:, :]], axis=-2))

    total = hits.sum(axis=0)
    value, (low, high) = statistic(total), bootstrap_interval(hits, statistic, rng, resamples)
    there = [bool(total[..., [0, 2]].sum()), *(total[1:, [0, 2]].sum(axis=-1) > 0).tolist()]
    rows = []
    for place, is_there in enumerate(there):
        reason = NONE_FOUND if is_there else NO_OBJECT if place else NO_OBJECTS
        row = zip(value[place], low[place], high[place], [reason] * len(HIT_SHARES), strict=True)
        rows.append(dict(zip(HIT_SHARES, (figure(*each) for each in row), strict=True)))
    return {**rows[0], "per_class": dict(zip(names[1:], rows[1:], strict=True))}


def figure(value: float, low: float, high: float, absent: str = ABSENT) -> Row:
    """Null where undefined, and only then with a reason: these are DVC's metrics."""
    found = figure_of(value, low, high, ONE_IMAGE, absent).as_json()
    return {key: item for key, item in found.items() if key != "reason" or item is not None}
