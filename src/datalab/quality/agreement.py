"""How far two people agree on the objects of an image: the same objects, the same outlines, the same classes."""

from itertools import chain

import numpy as np
import pandas as pd

from datalab.masks import rle_area
from datalab.quality.bootstrap import bootstrap_ratio
from datalab.quality.figure import Figure, undefined
from datalab.quality.matching import match_regions
from datalab.quality.rated import RatedImage, RatedImages, pairs_of

OBJECTS = (
    "image_id", "annotator_a", "annotator_b", "outcome", "iou",
    "label_a", "label_b", "area_a", "area_b", "origin_a", "origin_b",
)  # fmt: skip
"""One row per distinct object of an image and pair. `outcome`: "matched", "confused" (another class), "only_a" or
"only_b"; `iou`: of the two masks, 0 for one that only one of them drew; `area`: share of the image. Label and origin
are "" and the area is 0 on the side that did not draw it. Any choice of rows (a class, a pair, a size, an origin) can
be given to the figures below."""

PAIRS = (
    "image_id", "annotator_a", "annotator_b",
    "agreement", "iou_sum", "objects", "matched", "confused", "only_a", "only_b",
)  # fmt: skip
"""One row per image and pair of annotators. `agreement`: iou_sum / objects, NaN where neither marked anything."""

PAIR = ["image_id", "annotator_a", "annotator_b"]
OUTCOMES = ("matched", "confused", "only_a", "only_b")


def object_table(images: RatedImages, iou_threshold: float) -> pd.DataFrame:
    """Table OBJECTS of all images and pairs; objects whose masks overlap less than the threshold are different ones."""
    rows = chain.from_iterable(_objects(a, b, iou_threshold) for a, b in pairs_of(images))
    return pd.DataFrame(rows, columns=list(OBJECTS))


def pair_table(images: RatedImages, objects: pd.DataFrame) -> pd.DataFrame:
    """Table PAIRS, in the order of `pairs_of`.

    Confused and unmatched objects count as IoU 0, so the score is symmetric and misses cost (Labelbox's rule). Two
    empty ratings agree on absence: they are listed, with an undefined score. Empty against something is 0.
    """
    rows = pd.DataFrame([(a.image_id, a.annotator, b.annotator) for a, b in pairs_of(images)], columns=PAIR)
    counts = objects.groupby([*PAIR, "outcome"]).size().unstack(fill_value=0).reindex(columns=list(OUTCOMES))
    matched = objects[objects["outcome"] == "matched"]
    counts["iou_sum"] = matched.groupby(PAIR)["iou"].sum()
    table = rows.merge(counts.reset_index(), on=PAIR, how="left", validate="1:1")
    table[list(OUTCOMES)] = table[list(OUTCOMES)].fillna(0).astype("int64")
    table["objects"] = table[list(OUTCOMES)].sum(axis=1)
    table["iou_sum"] = table["iou_sum"].fillna(0.0).astype("float64")
    table["agreement"] = table["iou_sum"] / table["objects"].where(table["objects"] > 0)
    return table.loc[:, list(PAIRS)]


def of_class(objects: pd.DataFrame, label: str) -> pd.DataFrame:
    """The objects of one class: one that the other side called something else was seen by one side only."""
    rows = objects[(objects["label_a"] == label) | (objects["label_b"] == label)].copy()
    for side in "ab":
        other = rows[f"label_{side}"] != label
        rows.loc[other, [f"label_{side}", f"origin_{side}"]] = ""
        rows.loc[other, f"area_{side}"] = 0.0
    confused = rows["outcome"] == "confused"
    rows.loc[confused, "iou"] = 0.0
    rows.loc[confused, "outcome"] = np.where(rows.loc[confused, "label_a"] == label, "only_a", "only_b")
    return rows


def object_agreement(objects: pd.DataFrame, rng: np.random.Generator) -> Figure:
    """Mean over images and pairs of sum of matched IoU / (matched + confused + missed + extra), in [0, 1].

    Images are resampled. An image on which a pair marked nothing has no score and does not count.
    """
    if objects.empty:
        return undefined("no object was marked on an image that two people labelled")
    counted = objects["iou"].where(objects["outcome"] == "matched", 0.0)
    scores = counted.groupby([objects[column] for column in PAIR]).mean()
    by_image = scores.groupby("image_id").agg(["sum", "count"])
    return bootstrap_ratio(by_image["sum"], by_image["count"], rng)


def object_rates(objects: pd.DataFrame, rng: np.random.Generator) -> dict[str, Figure]:
    """`precision`, `recall` and `f1` of matched objects, reading annotator a as the truth; images are resampled.

    F1 = 2 matched / (drawn by a + drawn by b) does not depend on who is who; the other two swap.
    """
    if objects.empty:
        return dict.fromkeys(("precision", "recall", "f1"), undefined("nothing to count"))
    columns = {
        "matched": objects["outcome"] == "matched",
        "a": objects["label_a"] != "",
        "b": objects["label_b"] != "",
    }
    counts = pd.DataFrame(columns).groupby(objects["image_id"]).sum()
    return {
        "precision": bootstrap_ratio(counts["matched"], counts["b"], rng),
        "recall": bootstrap_ratio(counts["matched"], counts["a"], rng),
        "f1": bootstrap_ratio(2 * counts["matched"], counts["a"] + counts["b"], rng),
    }


def class_confusions(objects: pd.DataFrame) -> dict[str, int]:
    """How often two people gave one object two classes: "cup | coin" in the order of the alphabet."""
    rows = objects[objects["outcome"] == "confused"]
    names = [" | ".join(sorted(pair)) for pair in zip(rows["label_a"], rows["label_b"], strict=True)]
    return {name: names.count(name) for name in sorted(set(names))}


def _objects(a: RatedImage, b: RatedImage, iou_threshold: float) -> list[tuple[object, ...]]:
    matching = match_regions(a.regions, b.regions, a.height, a.width, iou_threshold)
    named = (a.image_id, a.annotator, b.annotator)
    found = [
        *(("matched", match.iou, match.left, match.right) for match in matching.matches),
        *(("confused", match.iou, match.left, match.right) for match in matching.confusions),
        *(("only_a", 0.0, place, None) for place in matching.only_left),
        *(("only_b", 0.0, None, place) for place in matching.only_right),
    ]
    return [(*named, outcome, iou, *_sides(a, left, b, right)) for outcome, iou, left, right in found]


def _sides(a: RatedImage, left: int | None, b: RatedImage, right: int | None) -> tuple[object, ...]:
    """label_a, label_b, area_a, area_b, origin_a, origin_b."""
    sides = (_side(a, left), _side(b, right))
    return tuple(value for pair in zip(*sides, strict=True) for value in pair)


def _side(rated: RatedImage, place: int | None) -> tuple[str, float, str]:
    if place is None:
        return "", 0.0, ""
    label, rle = rated.regions[place]
    area = rle_area(rle, rated.height, rated.width) / (rated.height * rated.width)
    return label, area, rated.origins[place]
