"""What one person did on images whose truth is known, image by image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from datalab.errors import InputError
from datalab.masks import band_width, lies_in, rle_areas
from datalab.quality.boundary import band, cut_iou, cut_of, outline_offset
from datalab.quality.matching import Matching, match_regions
from datalab.tables import known_objects, unknown_pixels

Regions = list[tuple[str, str]]
"""(label, rle) per object."""


@dataclass(frozen=True)
class Outlines:
    """Sums over the hits of an image; an outline is `measured` where it does not lie on the image's edge alone."""

    iou: float
    boundary_iou: float
    measured: int
    offset_px: float
    """Above 0: drawn too wide."""
    distance_px: float


@dataclass(frozen=True)
class GoldImage:
    """One image as one person labelled it, against the truth. A hit is a match of the right class."""

    image_id: str
    group: str
    """The first of the gold images that hang together with it; itself where none does."""
    round_id: str
    hits: int
    drawn: int
    true: int
    small_hits: int
    small_true: int
    outlines: Outlines
    confusions: tuple[tuple[str, str], ...]
    """The truth, and what was said."""
    true_of: Mapping[str, int]
    """Class to its objects in the truth."""
    presence: npt.NDArray[np.int64]
    """(2, 2): truth and answer, absent and present, summed over the classes."""
    seconds: float
    """NaN where it was not measured."""

    @property
    def agreement(self) -> float | None:
        """Sum of matched IoU over distinct objects, as among people; None where neither side has any."""
        objects = self.drawn + self.true - self.hits - len(self.confusions)
        return self.outlines.iou / objects if objects else None


@dataclass(frozen=True)
class Against:
    """The truth and how to compare with it."""

    gold: pd.DataFrame
    """Table GOLD."""
    classes: Sequence[str]
    iou_threshold: float
    small_share: float
    """Objects below this share of the image are small."""
    groups: Mapping[str, str]
    """image_id to its group; an image that is not in it is one by itself."""


def score_images(ratings: pd.DataFrame, regions: pd.DataFrame, against: Against) -> list[GoldImage]:
    """One GoldImage per row of `ratings` (table RATINGS, of one person, on gold images), in their order.

    `regions`: their table ANNOTATED_REGIONS, without those `in_unknown_pixels`. InputError where a gold mask has
    another size than the image as labelled.
    """
    drawn: dict[int, Regions] = {}
    for row in regions.to_dict("records"):
        drawn.setdefault(row["annotation_id"], []).append((row["label"], row["rle"]))
    truth = {str(image_id): rows for image_id, rows in against.gold.groupby("image_id")}
    return [
        _score(row, drawn.get(row["annotation_id"], []), _known(row, truth[row["image_id"]]), against)
        for row in ratings.to_dict("records")
    ]


def in_unknown_pixels(regions: pd.DataFrame, gold: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """(n,) which of n masks (columns of REGIONS) lie where table `gold` does not know the class.

    They are neither right nor wrong.
    """
    unknown = unknown_pixels(gold)
    found = np.zeros(len(regions), dtype=bool)
    for place in np.flatnonzero(regions["image_id"].isin(unknown)).tolist():
        row = regions.iloc[place]
        found[place] = lies_in(row["rle"], unknown[row["image_id"]], int(row["height"]), int(row["width"]))
    return found


def _score(rating: dict[Any, Any], drawn: Regions, known: Regions, against: Against) -> GoldImage:
    height, width = int(rating["height"]), int(rating["width"])
    matching = match_regions(drawn, known, height, width, against.iou_threshold)
    small = rle_areas([rle for _, rle in known], height, width) < against.small_share * height * width
    labels = [label for label, _ in known]
    return GoldImage(
        image_id=rating["image_id"],
        group=against.groups.get(rating["image_id"], rating["image_id"]),
        round_id=rating["round_id"],
        hits=len(matching.matches),
        drawn=len(drawn),
        true=len(known),
        small_hits=sum(bool(small[pair.right]) for pair in matching.matches),
        small_true=int(small.sum()),
        outlines=_outlines(matching, drawn, known, height, width),
        confusions=tuple((known[pair.right][0], drawn[pair.left][0]) for pair in matching.confusions),
        true_of={name: labels.count(name) for name in sorted(set(labels))},
        presence=_presence(drawn, known, against.classes),
        seconds=float("nan") if pd.isna(rating["lead_time_s"]) else float(rating["lead_time_s"]),
    )


def _outlines(matching: Matching, drawn: Regions, known: Regions, height: int, width: int) -> Outlines:
    iou = boundary = 0.0
    offsets = []
    for pair in matching.matches:
        ours, theirs = (cut_of(rle, height) for rle in (drawn[pair.left][1], known[pair.right][1]))
        iou += pair.iou
        boundary += cut_iou(*(band(one, band_width(height, width)) for one in (ours, theirs)))
        offsets.append(outline_offset(ours, theirs, height, width))
    found = [offset for offset in offsets if offset is not None]
    return Outlines(iou, boundary, len(found), sum(one for one, _ in found), sum(one for _, one in found))


def _presence(drawn: Regions, known: Regions, classes: Sequence[str]) -> npt.NDArray[np.int64]:
    table = np.zeros((2, 2), dtype=np.int64)
    said, true = ({label for label, _ in regions} for regions in (drawn, known))
    for name in classes:
        table[int(name in true), int(name in said)] += 1
    return table


def _known(rating: dict[Any, Any], rows: pd.DataFrame) -> Regions:
    truth = rows[rows["rle"] != ""]
    for width, height in zip(truth["width"].astype(int), truth["height"].astype(int), strict=True):
        if (width, height) != (rating["width"], rating["height"]):
            raise InputError(
                f"the gold mask of image {rating['image_id']} has {width} x {height} pixels, it was labelled at "
                f"{rating['width']} x {rating['height']}; make its gold mask again"
            )
    objects = known_objects(truth)
    return list(zip(objects["label"], objects["rle"], strict=True))
