"""Agreement of two label maps, pixel by pixel, from one confusion matrix per image and pair."""

import numpy as np
import numpy.typing as npt

Confusion = npt.NDArray[np.int64]


def pixel_confusion(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8], classes: int) -> Confusion:
    """(classes, classes) counts of pixels: row is the class in `a`, column in `b`. Maps hold 0 to classes - 1.

    ValueError for maps of different shape or a larger class.
    """
    if a.shape != b.shape:
        raise ValueError(f"label maps of shape {a.shape} and {b.shape} cannot be compared")
    if max(a.max(initial=0), b.max(initial=0)) >= classes:
        raise ValueError(f"a label map holds a class above {classes - 1}")
    pairs = a.ravel().astype(np.int64) * classes + b.ravel()
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def class_iou(confusion: Confusion) -> list[float | None]:
    """Intersection over union per class; None for a class in neither map."""
    both = np.diag(confusion)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - both
    return [float(i / u) if u else None for i, u in zip(both, union, strict=True)]


def class_dice(confusion: Confusion) -> list[float | None]:
    """Dice coefficient per class; None for a class in neither map."""
    both = np.diag(confusion)
    sizes = confusion.sum(axis=0) + confusion.sum(axis=1)
    return [float(2 * i / s) if s else None for i, s in zip(both, sizes, strict=True)]


def quantity_and_allocation(confusion: Confusion) -> tuple[float, float]:
    """Shares of pixels that differ in how much there is of a class, and in where it lies (Pontius & Millones 2011)."""
    shares = confusion / max(1, confusion.sum())
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    quantity = float(np.abs(rows - columns).sum() / 2)
    return quantity, float(1 - np.trace(shares) - quantity) if confusion.sum() else 0.0
