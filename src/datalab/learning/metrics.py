"""How good label maps are: pooled confusion matrices, and what follows from them.

A confusion matrix is int64 (K, K): row = true class, column = predicted class, counts of pixels. A figure that is
undefined is NaN here and becomes null with a reason in a report. Functions named `*_per_class` return shape (..., K).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from datalab.figure import Figure
from datalab.masks import IGNORE_ID, band_width, outline_band

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
ABSENT = "no pixel of this class in the images"


def confusion_matrix(
    truth: npt.NDArray[np.integer[Any]], predicted: npt.NDArray[np.integer[Any]], classes: int
) -> Counts:
    """Pixel counts (classes, classes) of two label maps of the same shape with values 0 to classes - 1.

    Pixels whose truth is 255 are not judged. ValueError where shapes differ or a value lies outside.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"truth has shape {truth.shape}, predicted {predicted.shape}")
    judged = truth != IGNORE_ID
    rows, columns = truth[judged].astype(np.int64), predicted[judged].astype(np.int64)
    if rows.size and (max(rows.max(), columns.max()) >= classes or min(rows.min(), columns.min()) < 0):
        raise ValueError(f"a label map has a value outside 0 to {classes - 1}")
    return np.bincount(rows * classes + columns, minlength=classes * classes).reshape(classes, classes)


def iou_per_class(confusion: npt.NDArray[Any]) -> Floats:
    """Intersection over union, (..., K) of (..., K, K) counts, in [0, 1]; NaN for a class without a true pixel.

    A class that is predicted but nowhere true has nothing to measure; the wrong pixels lower the IoU of the classes
    they were taken from.
    """
    return overlap_iou(overlap_counts(confusion))


def dice_per_class(counts: npt.NDArray[Any]) -> Floats:
    """Dice (F1), (..., K) of (..., K, 3) `overlap_counts`, in [0, 1]; NaN for a class without a true pixel."""
    hit, true, predicted = _parts(counts)
    return _ratio(2 * hit, true + predicted, true)


def precision_per_class(counts: npt.NDArray[Any]) -> Floats:
    """Share of the predicted pixels that are right, (..., K) of (..., K, 3) `overlap_counts`, in [0, 1].

    NaN for a class without a true pixel; 0 for one that is true somewhere and never predicted.
    """
    hit, true, predicted = _parts(counts)
    return _ratio(hit, predicted, true)


def recall_per_class(counts: npt.NDArray[Any]) -> Floats:
    """Share of the true pixels that are found, (..., K) of (..., K, 3) `overlap_counts`, in [0, 1].

    NaN for a class without a true pixel.
    """
    hit, true, _ = _parts(counts)
    return _ratio(hit, true, true)


def boundary_counts(
    truth: npt.NDArray[np.integer[Any]], predicted: npt.NDArray[np.integer[Any]], classes: int
) -> Counts:
    """What `overlap_iou` needs of an image's outlines: (classes, 3) pixels in both bands, the true, the predicted.

    Both label maps are (H, W) with values 0 to classes - 1. Where the truth is 255 it takes the prediction's word, so
    that what nobody judged has no outline, and is then left out.
    """
    judged = truth != IGNORE_ID
    filled = np.where(judged, truth, predicted)
    width = band_width(truth.shape[0], truth.shape[1])
    counts = np.zeros((classes, 3), dtype=np.int64)
    there = sum(np.bincount(one.ravel(), minlength=classes) for one in (filled, predicted))
    for position in np.flatnonzero(there).tolist():  # a class that is in neither map has no outline
        true, found = (outline_band(one == position, width) & judged for one in (filled, predicted))
        counts[position] = (true & found).sum(), true.sum(), found.sum()
    return counts


def overlap_counts(confusion: npt.NDArray[Any]) -> Counts:
    """What figures of pixels need of (..., K, K) counts: (..., K, 3) pixels that are right, the true, the predicted."""
    hit = np.diagonal(confusion, axis1=-2, axis2=-1)
    return np.stack([hit, confusion.sum(axis=-1), confusion.sum(axis=-2)], axis=-1)


def overlap_iou(counts: npt.NDArray[Any]) -> Floats:
    """IoU, (..., K) of (..., K, 3) `overlap_counts`, and boundary IoU (Cheng et al. 2021) of `boundary_counts`.

    NaN for a class without a true pixel.
    """
    both, true, predicted = _parts(counts)
    return _ratio(both, true + predicted - both, true)


def pixel_accuracy(counts: npt.NDArray[Any]) -> Floats:
    """Share of pixels with the right class, (...) of (..., K, 3) `overlap_counts`; NaN where there is no pixel."""
    hit, true, _ = _parts(counts)
    return _ratio(hit.sum(axis=-1), true.sum(axis=-1), true.sum(axis=-1))


def mean_defined(values: Floats) -> Floats:
    """Mean over the last axis of what is not NaN, shape (...); NaN where nothing is."""
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1), known.sum(axis=-1))


def mean_iou(confusion: npt.NDArray[Any]) -> Floats:
    """Mean IoU over the classes that occur in the truth, background among them: (...) of (..., K, K) counts."""
    return mean_defined(iou_per_class(confusion))


def figure_of(value: float, low: float, high: float, alone: str, absent: str = ABSENT) -> Figure:
    """NaN in words: no value, of which the reason is `absent`; no interval, and then it is `alone`."""
    if np.isnan(value):
        return Figure(None, reason=absent)
    if np.isnan(low):
        return Figure(float(value), reason=alone)
    return Figure(float(value), low=float(low), high=float(high))


def _parts(counts: npt.NDArray[Any]) -> tuple[Floats, Floats, Floats]:
    """Right, true and predicted pixels of (..., K, 3) counts, each (..., K)."""
    hit, true, predicted = np.moveaxis(counts.astype(np.float64), -1, 0)
    return hit, true, predicted


def _ratio(above: npt.NDArray[Any], below: npt.NDArray[Any], defined: npt.NDArray[Any]) -> Floats:
    quotient: Floats = np.where(defined > 0, above / np.maximum(below, 1), np.nan)
    return quotient
