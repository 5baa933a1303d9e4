"""How far two people agree on the objects of an image: the same objects, the same outlines, the same classes."""

from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt
import pandas as pd

from datalab.figure import Figure, undefined
from datalab.masks import iou_matrix, rle_areas
from datalab.progress import Progress, unseen
from datalab.quality.bootstrap import bootstrap_ratio
from datalab.quality.matching import match_overlap
from datalab.quality.rated import RatedImage, RatedImages, pairs_of

OBJECTS = (
    "image_id", "group", "annotator_a", "annotator_b", "outcome", "iou",
    "label_a", "label_b", "area_a", "area_b", "origin_a", "origin_b", "place_a", "place_b",
)  # fmt: skip
"""One row per distinct object of an image and pair. `group`: as in `rated.RatedImage`; `outcome`: "matched", "confused"
(another class), "only_a" or "only_b"; `iou`: of the two masks, 0 for one that only one of them drew; `area`: share of
the image; `place`: which of that person's regions it is. Label and origin are "", the area is 0 and the place -1 on the
side that did not draw it. Any choice of rows (a class, a pair, a size, an origin) can be given to the figures below."""

PAIRS = (
    "image_id", "annotator_a", "annotator_b",
    "agreement", "iou_sum", "objects", "matched", "confused", "only_a", "only_b",
)  # fmt: skip
"""One row per image and pair of annotators. `agreement`: iou_sum / objects, NaN where neither marked anything."""

PAIR = ["image_id", "annotator_a", "annotator_b"]
OUTCOMES = ("matched", "confused", "only_a", "only_b")


def object_table(images: RatedImages, iou_threshold: float, progress: Progress = unseen) -> pd.DataFrame:
    """Table OBJECTS of all images and pairs; objects whose masks overlap less than the threshold are different ones."""
    shown = progress("compare objects", images.values())
    rows = chain.from_iterable(_image_objects(rated, iou_threshold) for rated in shown)
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
        rows.loc[other, f"place_{side}"] = -1
    confused = rows["outcome"] == "confused"
    rows.loc[confused, "iou"] = 0.0
    rows.loc[confused, "outcome"] = np.where(rows.loc[confused, "label_a"] == label, "only_a", "only_b")
    return rows


def object_agreement(objects: pd.DataFrame, rng: np.random.Generator) -> Figure:
    """Mean over images and pairs of sum of matched IoU / (matched + confused + missed + extra), in [0, 1].

    Its interval is over groups of images. An image on which a pair marked nothing has no score and does not count.
    """
    if objects.empty:
        return undefined("no object was marked on an image that two people labelled")
    counted = objects["iou"].where(objects["outcome"] == "matched", 0.0)
    scores = counted.groupby([objects[column] for column in PAIR]).mean()
    by_image = scores.groupby("image_id").agg(["sum", "count"])
    return bootstrap_ratio(by_image["sum"], by_image["count"], rng, groups=groups_in(objects))


def groups_in(objects: pd.DataFrame) -> list[str]:
    """The group of each image in table OBJECTS, in the order in which pandas groups by image_id."""
    return objects.groupby("image_id")["group"].first().tolist()


def class_confusions(objects: pd.DataFrame) -> dict[str, int]:
    """How often two people gave one object two classes: "cup | coin" in the order of the alphabet."""
    rows = objects[objects["outcome"] == "confused"]
    names = [" | ".join(sorted(pair)) for pair in zip(rows["label_a"], rows["label_b"], strict=True)]
    return {name: names.count(name) for name in sorted(set(names))}


Sides = list[tuple[str, float, str, int]]
"""label, area, origin and place of one person's regions, and last of one that is not there."""


def _image_objects(rated: Sequence[RatedImage], iou_threshold: float) -> Iterator[tuple[object, ...]]:
    sides = [_sides(one) for one in rated]
    for (a, of_a), (b, of_b), overlap in _pairs(rated, sides):
        labels_a, labels_b = ([label for label, _ in one.regions] for one in (a, b))
        matching = match_overlap(overlap, labels_a, labels_b, iou_threshold)
        found = [
            *(("matched", match.iou, match.left, match.right) for match in matching.matches),
            *(("confused", match.iou, match.left, match.right) for match in matching.confusions),
            *(("only_a", 0.0, place, -1) for place in matching.only_left),
            *(("only_b", 0.0, -1, place) for place in matching.only_right),
        ]
        for outcome, iou, left, right in found:
            both = chain.from_iterable(zip(of_a[left], of_b[right], strict=True))
            yield (a.image_id, a.group, a.annotator, b.annotator, outcome, iou, *both)


def _pairs(
    rated: Sequence[RatedImage], sides: Sequence[Sides]
) -> Iterator[tuple[tuple[RatedImage, Sides], tuple[RatedImage, Sides], npt.NDArray[np.float64]]]:
    """Every two people with the IoU of their objects: one call for a person and all who come later."""
    people = list(zip(rated, sides, strict=True))
    for place, (one, of_one) in enumerate(people, start=1):
        later = [rle for other in rated[place:] for _, rle in other.regions]
        overlap = iou_matrix([rle for _, rle in one.regions], later, one.height, one.width)
        end = 0
        for other in people[place:]:
            begin, end = end, end + len(other[0].regions)
            yield (one, of_one), other, overlap[:, begin:end]


def _sides(rated: RatedImage) -> Sides:
    areas = rle_areas([rle for _, rle in rated.regions], rated.height, rated.width) / (rated.height * rated.width)
    drawn = zip(rated.regions, areas.tolist(), rated.origins, strict=True)
    return [*((label, area, origin, at) for at, ((label, _), area, origin) in enumerate(drawn)), ("", 0.0, "", -1)]
