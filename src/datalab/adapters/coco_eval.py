"""COCO's average precision of objects, as pycocotools computes it, and precision and recall of all that was found."""

import contextlib
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from datalab.learning.objects import MapObject
from datalab.masks import BoolMask, crop_to_rle
from datalab.progress import Progress, unseen

LEAST_IOU = 0.5
"""From which a found object may be one of the truth's."""
MOST_FOUND = 100
"""COCO's, of a class in an image; raised where more are found."""


RECALLS = np.linspace(0, 1, 101)
"""At which COCO reads the curve of precision."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """What was found of one class, the surest first: D objects that count."""

    right: npt.NDArray[np.bool_]
    """(10, D), at IoU 0.50, 0.55, ..., 0.95."""
    image: npt.NDArray[np.intp]
    """(D,) place of its image."""
    there: npt.NDArray[np.int64]
    """(N,) objects in the truth of each image."""

    def average_precision(self, times: npt.NDArray[Any]) -> Floats:
        """(10,) COCO's AP of images that are there so many `times` (N,); NaN where no object is in them."""
        objects = times @ self.there
        if objects == 0:
            return np.full(len(self.right), np.nan)
        # a draw has two thirds of the images, and one image's own figure next to none of what was found
        drawn = np.flatnonzero(times[self.image])
        weights = times[self.image[drawn]]
        hits, found = np.cumsum(self.right[:, drawn] * weights, axis=1), np.cumsum(weights)
        precision = hits / np.maximum(found, 1)
        highest = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        curves = zip(hits / objects, np.pad(highest, ((0, 0), (0, 1))), strict=True)
        return np.array([curve[np.searchsorted(recall, RECALLS)].mean() for recall, curve in curves])


@dataclass(frozen=True)
class AveragePrecision:
    """Area under precision over recall, in [0, 1]; NaN for a class without an object in the truth."""

    per_class: Floats
    """(K,), the mean over IoU thresholds 0.50, 0.55, ..., 0.95; the first, background, is NaN."""
    per_class_50: Floats
    """(K,), at IoU 0.50."""
    hits: npt.NDArray[np.int64]
    """(N, K, 3), at IoU 0.50, image by image: objects that were found, objects found that are none, and missed ones; of
    what was found surely enough (`ObjectJudge.least_score`)."""
    found: tuple[Found, ...]
    """Of the K - 1 classes without background: by what the figures of drawn images are told."""

    def of_images(self, times: npt.NDArray[Any], progress: Progress = unseen) -> Floats:
        """(R, K, 2) `per_class` and `per_class_50` of R draws of images, each (N,) how often an image is in it."""
        values = np.full((len(times), len(self.per_class), 2), np.nan)
        for draw in progress("average precision", range(len(times))):
            for position, one in enumerate(self.found, start=1):
                each = one.average_precision(times[draw])
                values[draw, position] = each.mean(), each[0]
        return values


class ObjectJudge:
    """Collects image by image what is there and what was found; masks are kept run-length encoded."""

    def __init__(self, classes: int, least_score: float = 0.0) -> None:
        """K `classes`, background included; `AveragePrecision.hits` are of what was found with at least this score."""
        self.classes = classes
        self.least_score = least_score
        self.images: list[dict[str, Any]] = []
        self.truth: list[dict[str, Any]] = []
        self.found: list[dict[str, Any]] = []

    def add(self, truth: Iterable[MapObject], found: Iterable[MapObject], unknown: BoolMask, least: float = 1) -> None:
        """One image. Pixels that are `unknown` (H, W) count for nobody: found objects are cut to the others,
        and what lies mostly there and is none of the truth's is neither right nor wrong. (COCO's crowd regions would
        still ask an object's IoU of the pixels that nobody judged.)

        Truth of fewer than `least` pixels is not to be found, and who finds it is not wrong, as with COCO's ranges of
        area: at IoU 0.50 what is found counts where it is one of the larger ones, whatever its own size, and
        not where it is a smaller one of its class, or small itself. At higher IoUs, too: an answer is one or is none.
        Pieces of fewer than half of `least` may be left out on both sides, since none can be one of the other's.
        """
        number = len(self.images) + 1
        self.images.append({"id": number, "height": unknown.shape[0], "width": unknown.shape[1]})
        small, there = list[dict[str, Any]](), list[dict[str, Any]]()
        for one in truth:
            piece = _annotation(number, one, one.crop)
            (there if piece["area"] >= least else small).append(piece)
        self.truth += there
        for one in found:
            nobodys = unknown[one.top :, one.left :][: one.crop.shape[0], : one.crop.shape[1]]
            judged = _annotation(number, one, one.crop & ~nobodys)
            an_object = judged["area"] >= least and 2 * judged["area"] > one.crop.sum()
            if _is_one_of(judged, there) or (an_object and not _is_one_of(judged, small)):
                self.found.append({**judged, "score": one.score})

    def average_precision(self) -> AveragePrecision:
        """COCO's AP over all sizes (Lin et al. 2014), of all that was found: COCO stops at 100 of a class in an image.

        Where an image has 225 cells, 100 of them would be a recall of 0.44.
        """
        per_threshold = np.full((10, self.classes), np.nan)
        hits, found = np.zeros((len(self.images), self.classes, 3), dtype=np.int64), tuple[Found, ...]()
        if self.classes > 1 and self.images:
            categories = [{"id": position} for position in range(1, self.classes)]
            dataset = {"info": {}, "images": self.images, "categories": categories}
            of_class = Counter((one["image_id"], one["category_id"]) for one in self.found)
            most = max(MOST_FOUND, *of_class.values(), 0)
            judge = _evaluated(dataset, _numbered(self.truth), _numbered(self.found), most)
            precision = judge.eval["precision"][:, :, :, 0, -1].mean(axis=1)
            per_threshold[:, 1:] = np.where(precision < 0, np.nan, precision)
            hits[:, 1:], found = _hits(judge, self.least_score), _found(judge)
        return AveragePrecision(per_threshold.mean(axis=0), per_threshold[0], hits, found)


def _evaluated(
    dataset: dict[str, Any], truth: list[dict[str, Any]], found: list[dict[str, Any]], most: int
) -> COCOeval:
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
    return judge


def _matches(judge: COCOeval) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """(place of the image, of the class without background, what COCO found there), of all sizes of objects."""
    for one in judge.evalImgs:
        if one is not None and one["aRng"] == judge.params.areaRng[0]:
            yield judge.params.imgIds.index(one["image_id"]), judge.params.catIds.index(one["category_id"]), one


def _hits(judge: COCOeval, least_score: float) -> npt.NDArray[np.int64]:
    """(images, classes without background, 3), at the first threshold; the surest are matched first, so that what is
    below `least_score` takes no object from what is not."""
    counts = np.zeros((len(judge.params.imgIds), len(judge.params.catIds), 3), dtype=np.int64)
    for image, position, one in _matches(judge):
        counted = ~np.asarray(one["dtIgnore"], dtype=bool)[0] & (np.asarray(one["dtScores"]) >= least_score)
        right = np.asarray(one["dtMatches"])[0] > 0
        objects = int((np.asarray(one["gtIgnore"]) == 0).sum())
        hit = int((right & counted).sum())
        counts[image, position] = hit, int((~right & counted).sum()), objects - hit
    return counts


def _found(judge: COCOeval) -> tuple[Found, ...]:
    """Of the classes without background. None of our objects is a crowd, so that all count."""
    images, classes = len(judge.params.imgIds), len(judge.params.catIds)
    there = np.zeros((classes, images), dtype=np.int64)
    parts: list[list[tuple[npt.NDArray[np.bool_], Floats, npt.NDArray[np.intp]]]] = [[] for _ in range(classes)]
    for image, position, one in _matches(judge):
        there[position, image] = len(one["gtIds"])
        right = np.asarray(one["dtMatches"]).reshape(10, -1) > 0
        parts[position].append((right, np.asarray(one["dtScores"]), np.full(right.shape[1], image)))
    found = []
    for of_class, objects in zip(parts, there, strict=True):
        nothing = (np.zeros((10, 0), dtype=bool), np.zeros(0), np.zeros(0, dtype=np.intp))
        right, scores, image_of = (np.concatenate(side, axis=-1) for side in zip(nothing, *of_class, strict=True))
        order = np.argsort(-scores, kind="mergesort")
        found.append(Found(right[:, order], image_of[order], objects))
    return tuple(found)


def _is_one_of(found: dict[str, Any], truth: list[dict[str, Any]]) -> bool:
    same = [one["segmentation"] for one in truth if one["category_id"] == found["category_id"]]
    return bool(same) and bool(coco_mask.iou([found["segmentation"]], same, [0] * len(same)).max() >= LEAST_IOU)


def _annotation(image: int, one: MapObject, crop: BoolMask) -> dict[str, Any]:
    """Of the pixels of `one` that are in `crop`, which is cut like its own."""
    encoded = {"size": list(one.size), "counts": crop_to_rle(crop, one.top, one.left, *one.size)}
    area = float(crop.sum())
    return {"image_id": image, "category_id": one.position, "segmentation": encoded, "area": area, "iscrowd": 0}


def _numbered(annotations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With ids from 1: COCOeval takes a match with id 0 for none."""
    return [{**one, "id": number} for number, one in enumerate(annotations, start=1)]
