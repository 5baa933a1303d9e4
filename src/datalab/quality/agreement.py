"""Agreement between people who labelled the same images: objects, class presence, pixels.

Every function takes a long table of ratings (RATINGS: who looked at what) and one of regions (ANNOTATED_REGIONS: what
they drew). A rating without regions says "nothing there"; without a rating nothing is said.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from datalab.masks import label_map
from datalab.quality.bootstrap import bootstrap_ratio, bootstrap_statistic
from datalab.quality.figure import Figure, undefined
from datalab.quality.kappa import cohen_kappa, krippendorff_alpha
from datalab.quality.matching import Matching, match_regions
from datalab.quality.pixels import pixel_confusion

PAIRS = (
    "image_id", "annotator_a", "annotator_b",
    "agreement", "iou_sum", "objects", "matched", "confused", "only_a", "only_b",
)  # fmt: skip
"""One row per image and pair of annotators. `agreement`: iou_sum / objects, NaN where neither marked anything."""


@dataclass(frozen=True)
class RatedImage:
    """One image as one person labelled it: (label, rle) per object."""

    image_id: str
    annotator: str
    regions: tuple[tuple[str, str], ...]
    height: int
    width: int


def rated_images(ratings: pd.DataFrame, regions: pd.DataFrame, at_least: int = 2) -> dict[str, list[RatedImage]]:
    """image_id to its ratings, by annotator, for images that `at_least` so many people rated."""
    drawn: dict[int, list[tuple[str, str]]] = {}
    for row in regions.to_dict("records"):
        drawn.setdefault(row["annotation_id"], []).append((row["label"], row["rle"]))
    images: dict[str, list[RatedImage]] = {}
    for row in ratings.sort_values(["image_id", "annotator"]).to_dict("records"):
        rated = RatedImage(
            row["image_id"], row["annotator"], tuple(drawn.get(row["annotation_id"], ())), row["height"], row["width"]
        )
        images.setdefault(row["image_id"], []).append(rated)
    return {image_id: rated for image_id, rated in images.items() if len(rated) >= at_least}


def pair_table(images: dict[str, list[RatedImage]], iou_threshold: float) -> pd.DataFrame:
    """Table PAIRS: how well every two people agree on the objects of an image.

    Confused and unmatched objects count as IoU 0, so the score is symmetric and misses cost. Two empty ratings agree on
    absence: they are listed, with an undefined score. Empty against something is 0.
    """
    rows = [_pair_row(a, b, iou_threshold) for rated in images.values() for a, b in combinations(rated, 2)]
    return pd.DataFrame(rows, columns=list(PAIRS))


def object_agreement(pairs: pd.DataFrame, rng: np.random.Generator) -> Figure:
    """Mean of `agreement` over pairs, resampled over images."""
    by_image = pairs.dropna(subset=["agreement"]).groupby("image_id")["agreement"].agg(["sum", "count"])
    if by_image.empty:
        return undefined("no image was marked by two people")
    return bootstrap_ratio(by_image["sum"], by_image["count"], rng)


def per_pair(pairs: pd.DataFrame, rng: np.random.Generator) -> dict[str, Figure]:
    """Object agreement of every two people, "a | b"."""
    groups = pairs.groupby(["annotator_a", "annotator_b"], sort=True)
    return {f"{a} | {b}": object_agreement(rows, rng) for (a, b), rows in groups}


def per_class(
    images: dict[str, list[RatedImage]], classes: Sequence[str], iou_threshold: float, rng: np.random.Generator
) -> dict[str, Figure]:
    """Object agreement on the objects of one class at a time; images on which nobody marked the class do not count."""
    figures = {}
    for name in classes:
        only = {
            image_id: [
                RatedImage(one.image_id, one.annotator, _of_class(one, name), one.height, one.width) for one in rated
            ]
            for image_id, rated in images.items()
        }
        figures[name] = object_agreement(pair_table(only, iou_threshold), rng)
    return figures


def presence_alpha(
    images: dict[str, list[RatedImage]], classes: Sequence[str], rng: np.random.Generator
) -> dict[str, Figure]:
    """Krippendorff's nominal alpha on "is this class in the image", per class; any number of raters."""
    figures = {}
    for name in classes:
        votes = [[bool(_of_class(one, name)) for one in rated] for rated in images.values()]
        counts = np.array([[row.count(False), row.count(True)] for row in votes], dtype=np.int64).reshape(-1, 2)
        value = krippendorff_alpha(counts)
        if value is None:
            figures[name] = undefined("no variation: everybody gave the same answer everywhere", len(counts))
            continue
        draws = rng.integers(0, len(counts), (500, len(counts)))
        drawn = [one for one in (krippendorff_alpha(counts[draw]) for draw in draws) if one is not None]
        low, high = np.quantile(drawn, [0.025, 0.975])
        figures[name] = Figure(value, len(counts), float(low), float(high))
    return figures


def presence_kappa(images: dict[str, list[RatedImage]], classes: Sequence[str], rng: np.random.Generator) -> Figure:
    """Cohen's kappa on class presence, over all classes and pairs; resampled over images."""
    tables = np.zeros((len(images), 2, 2))
    for place, rated in enumerate(images.values()):
        for a, b in combinations(rated, 2):
            for name in classes:
                tables[place, int(bool(_of_class(a, name))), int(bool(_of_class(b, name)))] += 1
    return bootstrap_statistic(_symmetric(tables), cohen_kappa, rng)


def pixel_kappa(images: dict[str, list[RatedImage]], classes: Sequence[str], rng: np.random.Generator) -> Figure:
    """Cohen's kappa on the class of every pixel, background included; resampled over images.

    On images that are mostly background it tends to Dice, so it is reported and decides nothing.
    """
    ids = {name: place + 1 for place, name in enumerate(classes)}
    size = len(classes) + 1
    tables = np.zeros((len(images), size, size))
    for place, rated in enumerate(images.values()):
        maps = [_label_map(one, ids) for one in rated]
        for a, b in combinations(maps, 2):
            tables[place] += pixel_confusion(a, b, size)
    return bootstrap_statistic(_symmetric(tables), cohen_kappa, rng)


def _symmetric(tables: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Pairs have no order: each counts half in either direction."""
    return (tables + tables.transpose(0, 2, 1)) / 2


def _pair_row(a: RatedImage, b: RatedImage, iou_threshold: float) -> dict[str, object]:
    matching: Matching = match_regions(a.regions, b.regions, a.height, a.width, iou_threshold)
    return {
        "image_id": a.image_id,
        "annotator_a": a.annotator,
        "annotator_b": b.annotator,
        "agreement": matching.iou_sum / matching.objects if matching.objects else float("nan"),
        "iou_sum": matching.iou_sum,
        "objects": matching.objects,
        "matched": len(matching.matches),
        "confused": len(matching.confusions),
        "only_a": len(matching.only_left),
        "only_b": len(matching.only_right),
    }


def _of_class(rated: RatedImage, name: str) -> tuple[tuple[str, str], ...]:
    return tuple(region for region in rated.regions if region[0] == name)


def _label_map(rated: RatedImage, ids: dict[str, int]) -> npt.NDArray[np.uint8]:
    return label_map(_painted(rated, ids), rated.height, rated.width)


def _painted(rated: RatedImage, ids: dict[str, int]) -> Iterator[tuple[int, str]]:
    for name, rle in rated.regions:
        yield ids[name], rle
