"""Masks: boolean arrays (H, W) and their run-length form.

The one stored form is COCO's compressed run-length encoding: `rle`, a `str`, always beside `height` and `width`.
Names end in the format they give. Nothing here changes its input.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from datalab.errors import InputError

BoolMask = npt.NDArray[np.bool_]
IGNORE_ID = 255
"""Pixel value of a label map that says: not judged, leave this pixel out."""


def mask_to_rle(mask: npt.NDArray[np.generic]) -> str:
    """COCO compressed RLE of a (H, W) mask; every non-zero pixel is inside."""
    if mask.ndim != 2:
        raise InputError(f"a mask must have 2 axes (height, width), got shape {mask.shape}")
    counts = coco.encode(np.asfortranarray(mask != 0, dtype=np.uint8))["counts"]
    return counts.decode("ascii") if isinstance(counts, bytes) else str(counts)


def rle_to_mask(rle: str, height: int, width: int) -> BoolMask:
    """The (height, width) boolean mask of a COCO compressed RLE."""
    decoded: BoolMask = coco.decode(_coco_object(rle, height, width)).astype(bool)
    return decoded


def rle_area(rle: str, height: int, width: int) -> int:
    """How many pixels lie inside, without decoding."""
    return int(coco.area(_coco_object(rle, height, width)))


def rle_areas(rles: Sequence[str], height: int, width: int) -> npt.NDArray[np.int64]:
    """The same for many masks of one image, in one call; shape (len(rles),)."""
    return np.asarray(coco.area([_coco_object(rle, height, width) for rle in rles]), dtype=np.int64).reshape(-1)


def rle_box_xywh(rle: str, height: int, width: int) -> tuple[int, int, int, int]:
    """The tight box (x, y, width, height) in pixels; (0, 0, 0, 0) for an empty mask."""
    x, y, w, h = (int(value) for value in coco.toBbox(_coco_object(rle, height, width)))
    return x, y, w, h


def iou_matrix(a: Sequence[str], b: Sequence[str], height: int, width: int) -> npt.NDArray[np.float64]:
    """Intersection over union of every pair, shape (len(a), len(b)), in [0, 1]; two empty masks give 0."""
    if not a or not b:
        return np.zeros((len(a), len(b)))
    left = [_coco_object(rle, height, width) for rle in a]
    right = [_coco_object(rle, height, width) for rle in b]
    return np.asarray(coco.iou(left, right, [0] * len(right)), dtype=np.float64)


def label_map(regions: Iterable[tuple[int, str]], height: int, width: int) -> npt.NDArray[np.uint8]:
    """Paint (class id, rle) pairs into a (height, width) uint8 map of class ids, 0 where nothing lies.

    Larger regions are painted first, so that a small object on a large one stays visible; the order of the input
    decides between regions of equal area (the later one lies on top).
    """
    canvas = np.zeros((height, width), dtype=np.uint8)
    for class_id, rle in sorted(regions, key=lambda pair: -rle_area(pair[1], height, width)):
        canvas[rle_to_mask(rle, height, width)] = class_id
    return canvas


def _coco_object(rle: str, height: int, width: int) -> dict[str, object]:
    return {"size": [int(height), int(width)], "counts": rle.encode("ascii")}
