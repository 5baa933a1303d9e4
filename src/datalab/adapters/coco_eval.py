"""COCO's average precision of objects, as pycocotools computes it, and precision and recall of all that was found."""

import contextlib
import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from datalab.learning.objects import MapObject
from datalab.masks import BoolMask

LEAST_IOU = 0.5
"""From which a found object may be one of the truth's."""
MOST_FOUND = 100
"""COCO's, of a class in an image; raised where more are found."""


@dataclass(frozen=True)
class AveragePrecision:
    """Area under precision over recall, in [0, 1]; NaN for a class without an object in the truth."""

    per_class: npt.NDArray[np.float64]
    """(K,), the mean over IoU thresholds 0.50, 0.55, ..., 0.95; the first, background, is NaN."""
    per_class_50: npt.NDArray[np.float64]
    """(K,), at IoU 0.50."""
    hits: npt.NDArray[np.int64]
    """(K, 3), at IoU 0.50: objects that were found, objects found that are none, objects that were missed."""


class ObjectJudge:
    """Collects image by image what is there and what was found; masks are kept run-length encoded."""

    def __init__(self, classes: int) -> None:
        """K `classes`, background included."""
        self.classes = classes
        self.images: list[dict[str, Any]] = []
        self.truth: list[dict[str, Any]] = []
        self.found: list[dict[str, Any]] = []

    def add(self, truth: Iterable[MapObject], found: Iterable[MapObject], unknown: BoolMask) -> None:
        """One image, all masks (H, W). Pixels that are `unknown` count for nobody: found objects are cut to the others,
        and what lies mostly there and is none of the truth's is neither right nor wrong. (COCO's crowd regions would
        still ask an object's IoU of the pixels that nobody judged.)
        """
        number = len(self.images) + 1
        self.images.append({"id": number, "height": unknown.shape[0], "width": unknown.shape[1]})
        there = [_annotation(number, one.position, one.mask) for one in truth]
        self.truth += there
        for one in found:
            judged = _annotation(number, one.position, one.mask & ~unknown)
            if 2 * judged["area"] > one.mask.sum() or _is_one_of(judged, there):
                self.found.append({**judged, "score": one.score})

    def average_precision(self) -> AveragePrecision:
        """COCO's AP over all sizes (Lin et al. 2014), of all that was found: COCO stops at 100 of a class in an image.

        Where an image has 225 cells, 100 of them would be a recall of 0.44.
        """
        per_threshold, hits = np.full((10, self.classes), np.nan), np.zeros((self.classes, 3), dtype=np.int64)
        if self.classes > 1:
            categories = [{"id": position} for position in range(1, self.classes)]
            dataset = {"info": {}, "images": self.images, "categories": categories}
            of_class = Counter((one["image_id"], one["category_id"]) for one in self.found)
            most = max(MOST_FOUND, *of_class.values(), 0)
            per_threshold[:, 1:], hits[1:] = _evaluated(dataset, _numbered(self.truth), _numbered(self.found), most)
        return AveragePrecision(per_threshold.mean(axis=0), per_threshold[0], hits)


def _evaluated(
    dataset: dict[str, Any], truth: list[dict[str, Any]], found: list[dict[str, Any]], most: int
) -> tuple[Any, Any]:
    """AP (10 thresholds, classes without background), NaN where there is no truth; and `hits` of these classes."""
    with contextlib.redirect_stdout(io.StringIO()):  # it tells how far it is, on stdout
        sides = []
        for annotations in (truth, found):
            side = COCO()
            side.dataset = {**dataset, "annotations": annotations}
            side.createIndex()
            sides.append(side)
        judge = COCOeval(*sides, iouType="segm")
        judge.params.maxDets = [most]
        judge.evaluate()
        judge.accumulate()
    precision = judge.eval["precision"][:, :, :, 0, -1].mean(axis=1)
    return np.where(precision < 0, np.nan, precision), _hits(judge)


def _hits(judge: COCOeval) -> npt.NDArray[np.int64]:
    """(classes without background, 3) of all sizes of objects, at the first threshold."""
    counts = np.zeros((len(judge.params.catIds), 3), dtype=np.int64)
    for one in judge.evalImgs:
        if one is not None and one["aRng"] == judge.params.areaRng[0]:
            counted = ~np.asarray(one["dtIgnore"], dtype=bool)[0]
            right = np.asarray(one["dtMatches"])[0] > 0
            objects = int((np.asarray(one["gtIgnore"]) == 0).sum())
            hit = int((right & counted).sum())
            counts[judge.params.catIds.index(one["category_id"])] += hit, int((~right & counted).sum()), objects - hit
    return counts


def _is_one_of(found: dict[str, Any], truth: list[dict[str, Any]]) -> bool:
    same = [one["segmentation"] for one in truth if one["category_id"] == found["category_id"]]
    return bool(same) and bool(coco_mask.iou([found["segmentation"]], same, [0] * len(same)).max() >= LEAST_IOU)


def _annotation(image: int, position: int, mask: BoolMask) -> dict[str, Any]:
    encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    area = float(coco_mask.area(encoded))
    return {"image_id": image, "category_id": position, "segmentation": encoded, "area": area, "iscrowd": 0}


def _numbered(annotations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With ids from 1: COCOeval takes a match with id 0 for none."""
    return [{**one, "id": number} for number, one in enumerate(annotations, start=1)]
