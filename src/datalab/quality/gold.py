"""How well each annotator does on images whose truth is known."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from datalab.errors import InputError
from datalab.quality.bootstrap import bootstrap_ratio
from datalab.quality.figure import Figure, undefined
from datalab.quality.matching import match_regions
from datalab.quality.proportion import wilson, wilson_f1

PRIOR_HITS, PRIOR_OBJECTS = 2.0, 4.0
"""Two hits in four objects are assumed before anything is seen: few gold objects say little about a person."""


@dataclass(frozen=True)
class GoldCounts:
    """Objects over all gold images of a person."""

    matched: int
    confused: int
    missed: int
    extra: int


@dataclass(frozen=True)
class GoldScore:
    """One annotator against gold; a hit is an object matched at the threshold, of the right class.

    Rates have Wilson's interval over objects, which takes them as independent; the IoU one resampled over images.
    """

    f1: Figure
    precision: Figure
    recall: Figure
    mean_iou: Figure
    """Over hits: how well outlines are drawn."""
    counts: GoldCounts
    confusions: dict[str, int]
    """"coin as cup": the truth as what was said, and how often."""
    skill: float
    """F1 in [0, 1], drawn towards one half where there were few objects; the weight in the consensus."""
    median_seconds: float | None
    images: int

    def as_json(self) -> dict[str, object]:
        """Plain numbers."""
        figures = {"f1": self.f1, "precision": self.precision, "recall": self.recall, "mean_iou": self.mean_iou}
        return {
            **{name: figure.as_json() for name, figure in figures.items()},
            "objects": asdict(self.counts),
            "confusions": self.confusions,
            "skill": round(self.skill, 6),
            "median_seconds": None if self.median_seconds is None else round(self.median_seconds, 1),
            "images": self.images,
        }


@dataclass(frozen=True)
class _Image:
    hits: int
    drawn: int
    true: int
    iou: float
    confusions: tuple[str, ...]


def score_annotator(
    ratings: pd.DataFrame, regions: pd.DataFrame, gold: pd.DataFrame, iou_threshold: float, rng: np.random.Generator
) -> GoldScore:
    """Score of one person: `ratings` are theirs on gold images, `regions` theirs, `gold` the table GOLD.

    InputError where a gold mask has another size than the image as it was labelled.
    """
    images = [_score_image(row, regions, gold, iou_threshold) for row in ratings.to_dict("records")]
    hits, drawn, true = (sum(getattr(one, name) for one in images) for name in ("hits", "drawn", "true"))
    said = Counter(name for one in images for name in one.confusions)
    confused = said.total()
    seconds = ratings["lead_time_s"].dropna()
    return GoldScore(
        f1=_because(wilson_f1(hits, drawn + true - hits), images),
        precision=_because(wilson(hits, drawn), images),
        recall=_because(wilson(hits, true), images),
        mean_iou=_because(bootstrap_ratio([one.iou for one in images], [one.hits for one in images], rng), images),
        counts=GoldCounts(hits, confused, true - hits - confused, drawn - hits - confused),
        confusions=dict(sorted(said.items())),
        skill=(hits + PRIOR_HITS) / ((drawn + true) / 2 + PRIOR_OBJECTS),
        median_seconds=float(seconds.median()) if seconds.notna().any() else None,
        images=len(images),
    )


def _because(figure: Figure, images: Sequence[_Image]) -> Figure:
    """Nobody can tell from "nothing to count" whether gold was missing or just empty."""
    if figure.value is not None:
        return figure
    return undefined("no object to count on these gold images" if images else "labelled no gold image", figure.n)


def _score_image(rating: dict[Any, Any], regions: pd.DataFrame, gold: pd.DataFrame, iou_threshold: float) -> _Image:
    theirs = regions[regions["annotation_id"] == rating["annotation_id"]]
    truth = gold[(gold["image_id"] == rating["image_id"]) & (gold["rle"] != "")]
    _check_size(rating, truth)
    drawn = list(zip(theirs["label"], theirs["rle"], strict=True))
    known = list(zip(truth["label"], truth["rle"], strict=True))
    matching = match_regions(drawn, known, rating["height"], rating["width"], iou_threshold)
    confusions = tuple(f"{known[pair.right][0]} as {drawn[pair.left][0]}" for pair in matching.confusions)
    return _Image(len(matching.matches), len(drawn), len(known), matching.iou_sum, confusions)


def _check_size(rating: dict[Any, Any], truth: pd.DataFrame) -> None:
    for width, height in _sizes(truth):
        if (width, height) != (rating["width"], rating["height"]):
            raise InputError(
                f"the gold mask of image {rating['image_id']} has {width} x {height} pixels, it was labelled at "
                f"{rating['width']} x {rating['height']}; make its gold mask again"
            )


def _sizes(truth: pd.DataFrame) -> Iterator[tuple[int, int]]:
    yield from zip(truth["width"].astype(int), truth["height"].astype(int), strict=True)
