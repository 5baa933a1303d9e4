"""Figures of matched objects: how many two people share, and how well the shared ones' outlines agree.

Each takes rows of table OBJECTS, all or a choice of them, and resamples whole groups of images.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from datalab.figure import Figure, undefined
from datalab.masks import band_width
from datalab.progress import Progress, unseen
from datalab.quality.agreement import groups_in, object_agreement, of_class
from datalab.quality.bootstrap import SHARES, bootstrap_ratios, bootstrap_statistic
from datalab.quality.boundary import Cut, band, cut_iou, cut_of
from datalab.quality.rated import RatedImage, RatedImages

THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())
"""IoU from which an object counts as found, in COCO's average."""
COUNTED = ("precision", "recall", "f1", "precision_50_95", "recall_50_95", "f1_50_95", "panoptic_quality")
OUTLINES = ("mean_iou", "mean_dice", "mean_boundary_iou")


def object_figures(objects: pd.DataFrame, rng: np.random.Generator) -> dict[str, Figure]:
    """`agreement` and, of the objects given, all of COUNTED and OUTLINES, each in [0, 1].

    `precision` and `recall` read annotator a as the truth and swap with the sides; nothing else does. The ones named
    50_95 average over THRESHOLDS, all read from the one matching. `panoptic_quality` is the sum of matched IoU over the
    mean number of objects of the two (Kirillov et al. 2019), which is mean_iou * f1. OUTLINES are means over matched
    objects; the boundary's needs the column `boundary_iou` (`boundary_ious`), and is undefined without it.
    """
    if objects.empty:
        nothing = undefined("nothing to count")
        return {"agreement": object_agreement(objects, rng), **dict.fromkeys((*COUNTED, *OUTLINES), nothing)}
    counts = _counts(objects)
    matched, hits, iou, a, b = (counts[name] for name in ("matched", "hits", "iou", "a", "b"))
    ratios: dict[str, tuple[pd.Series[float], pd.Series[float]]] = {
        "precision": (matched, b),
        "recall": (matched, a),
        "f1": (2 * matched, a + b),
        "precision_50_95": (hits, b),
        "recall_50_95": (hits, a),
        "f1_50_95": (2 * hits, a + b),
        "panoptic_quality": (2 * iou, a + b),
        "mean_iou": (iou, matched),
        "mean_dice": (counts["dice"], matched),
        "mean_boundary_iou": (counts["boundary"], counts["bounded"]),
    }
    agreement = object_agreement(objects, rng)
    return {"agreement": agreement, **bootstrap_ratios(ratios, rng, groups=groups_in(objects))}


def mean_panoptic_quality(objects: pd.DataFrame, classes: Sequence[str], rng: np.random.Generator) -> Figure:
    """Mean over the classes somebody drew of their panoptic quality, as Kirillov et al. (2019) report it.

    Over the same classes in every draw of the bootstrap: one without a hard class shows no better agreement. Where many
    draws lack a class, or one of a few groups has it alone, there is no interval.
    """
    if objects.empty:
        return undefined("nothing to count")
    groups = dict(zip(objects["image_id"], objects["group"], strict=True))
    places = {image_id: place for place, image_id in enumerate(groups)}
    tables = np.zeros((len(places), len(classes), 2))
    for number, name in enumerate(classes):
        rows = of_class(objects, name)
        counts = _counts(rows)
        at = [places[image_id] for image_id in counts["iou"].index]
        tables[at, number, 0], tables[at, number, 1] = counts["iou"], (counts["a"] + counts["b"]) / 2
    drawn = tables[..., 1].sum(axis=0) > 0
    return bootstrap_statistic(tables[:, drawn], _mean_over_classes, rng, groups=list(groups.values()), bounds=SHARES)


def boundary_ious(images: RatedImages, objects: pd.DataFrame, progress: Progress = unseen) -> npt.NDArray[np.float64]:
    """Boundary IoU of every row of `objects` that both sides drew, NaN for the others; shape (rows,).

    The band is `boundary.band_width` wide. Only masks that are matched are decoded, each once.
    """
    found = np.full(len(objects), np.nan)
    both = (objects["place_a"] >= 0) & (objects["place_b"] >= 0)
    by_image = list(objects.assign(row=np.arange(len(objects)))[both].groupby("image_id", sort=False))
    for image_id, rows in progress("compare boundaries", by_image):
        rated = {one.annotator: one for one in images[str(image_id)]}
        bands: dict[tuple[str, int], Cut] = {}
        columns = ("annotator_a", "place_a", "annotator_b", "place_b", "row")
        for first, at_first, second, at_second, row in zip(*(rows[name] for name in columns), strict=True):
            sides = [_band(rated[who], at, bands) for who, at in ((first, at_first), (second, at_second))]
            found[row] = cut_iou(*sides)
    return found


def _band(rated: RatedImage, place: int, known: dict[tuple[str, int], Cut]) -> Cut:
    if (rated.annotator, place) not in known:
        whole = cut_of(rated.regions[place][1], rated.height)
        known[rated.annotator, place] = band(whole, band_width(rated.height, rated.width))
    return known[rated.annotator, place]


def _counts(objects: pd.DataFrame) -> dict[str, pd.Series[float]]:
    """Per image: matched objects, share of thresholds reached, sums of overlap, objects of a and of b."""
    matched = objects["outcome"] == "matched"
    iou = objects["iou"].where(matched, 0.0)
    boundary = objects["boundary_iou"] if "boundary_iou" in objects else pd.Series(np.nan, index=objects.index)
    columns = {
        "matched": matched,
        "hits": np.mean([matched & (iou >= threshold) for threshold in THRESHOLDS], axis=0),
        "iou": iou,
        "dice": 2 * iou / (1 + iou),
        "boundary": boundary.where(matched, 0.0).fillna(0.0),
        "bounded": matched & boundary.notna(),
        "a": objects["label_a"] != "",
        "b": objects["label_b"] != "",
    }
    counts = pd.DataFrame(columns, index=objects.index).groupby(objects["image_id"]).sum().astype("float64")
    return {name: counts[name] for name in columns}


def _mean_over_classes(table: npt.NDArray[np.floating]) -> float | None:
    return float((table[:, 0] / table[:, 1]).mean()) if table.size and table[:, 1].all() else None
