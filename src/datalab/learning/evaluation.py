"""The figures of a report, each a value with its 95% interval over images, or null with a reason.

Images that are no independent samples (copies, frames of a clip) come in as one, the sum of their counts.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from datalab.figure import UNLEARNED
from datalab.learning.calibration import Reliability, calibration_error
from datalab.learning.intervals import Drawn, bootstrap_interval, drawn, interval, mean_of
from datalab.learning.metrics import (
    ABSENT,
    Counts,
    Floats,
    dice_per_class,
    figure_of,
    overlap_counts,
    overlap_iou,
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

    A mean is over the same classes in every draw of the bootstrap (`mean_of`). Dice is F1 of the pixels.
    """
    every = np.ones(len(names), dtype=bool)

    def per_class(counts: Counts) -> Floats:
        each = (overlap_iou, dice_per_class, precision_per_class, recall_per_class)
        return np.stack([one(counts) for one in each], axis=-2)

    overlaps = overlap_counts(confusions)
    of_classes = drawn(overlaps, per_class, rng, resamples)
    miou, dice, *_ = _rows(mean_of(of_classes, every))
    objects, *_ = _rows(mean_of(of_classes, np.arange(len(names)) > 0))
    (accuracy,) = _rows(drawn(overlaps, lambda counts: pixel_accuracy(counts)[..., None], rng, resamples))
    rows = iter(_rows(of_classes))
    return {
        **{"miou": miou, "miou_objects": objects, "dice": dice, "pixel_accuracy": accuracy},
        **{kind: {name: next(rows) for name in names} for kind in PER_CLASS},
    }


def with_unlearned(rows: Mapping[str, Row], unlearned: Collection[str]) -> dict[str, Row]:
    """Figures of classes, by name, those of what is `unlearned` with the reason why they are so low, and any other."""

    def told(row: Row) -> Row:
        return {**row, "reason": "; ".join([UNLEARNED, *([row["reason"]] if "reason" in row else [])])}

    low = {name for name, row in rows.items() if name in unlearned and row["value"] is not None}
    return {name: told(row) if name in low else row for name, row in rows.items()}


def boundary_figures(outlines: Counts, names: Sequence[str], rng: np.random.Generator, resamples: int) -> Row:
    """`boundary_iou`, the mean over the classes with an outline, and `boundary_iou_per_class`, of (N, K, 3) counts."""
    of_classes = drawn(outlines, overlap_iou, rng, resamples)
    (mean,) = _rows(mean_of(of_classes, np.ones(len(names), dtype=bool)))
    return {"boundary_iou": mean, "boundary_iou_per_class": dict(zip(names, _rows(of_classes), strict=True))}


def calibration(trusted: Reliability, rng: np.random.Generator, resamples: int) -> dict[str, Row]:
    """`ece_before` and `ece` with intervals, from (N, 2, bins, 3): each image before and after the temperature.

    An interval holds its value. Draws add to the gaps of the bins what chance adds to those of all images, so that of a
    model that is calibrated nearly all of them may have a larger error than these.
    """
    value = calibration_error(trusted.sum(axis=0))
    low, high = bootstrap_interval(trusted, calibration_error, rng, resamples)
    found = [figure(*triple) for triple in zip(value, np.minimum(low, value), high, strict=True)]
    return dict(zip(("ece_before", "ece"), found, strict=True))


def object_figures(
    hits: Counts,
    average_precision: Callable[[npt.NDArray[Any]], Floats],
    names: Sequence[str],
    rng: np.random.Generator,
    resamples: int,
) -> Row:
    """`ap` (over IoU 0.50 to 0.95) and `ap50`, means over the classes with an object in the truth, and `ap_per_class`;
    of what the model answers, `precision`, `recall` and `f1` at IoU 0.50 over all classes and `per_class`.

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
    def per_class(times: npt.NDArray[Any]) -> Floats:
        return np.where(present, np.moveaxis(average_precision(times), -1, -2), np.nan)

    of_classes = drawn(np.eye(images), per_class, rng, resamples)
    ap, ap50 = _rows(mean_of(of_classes, present), NO_OBJECTS)
    classes = _rows(of_classes, NO_OBJECT)[1 : len(names)]
    return {"ap": ap, "ap50": ap50, "ap_per_class": dict(zip(names[1:], classes, strict=True))}


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


def _rows(of: Drawn, absent: str = ABSENT) -> list[Row]:
    """A row for each of the figures, in their order."""
    low, high = interval(of)
    return [figure(*each, absent) for each in zip(of.value.ravel(), low.ravel(), high.ravel(), strict=True)]


def figure(value: float, low: float, high: float, absent: str = ABSENT) -> Row:
    """Null where undefined, and only then with a reason: these are DVC's metrics."""
    found = figure_of(value, low, high, ONE_IMAGE, absent).as_json()
    return {key: item for key, item in found.items() if key != "reason" or item is not None}
