"""How well each annotator does on images whose truth is known."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from datalab.quality.bootstrap import bootstrap_ratio
from datalab.quality.figure import Figure
from datalab.quality.matching import match_regions

PRIOR_HITS, PRIOR_OBJECTS = 2.0, 4.0
"""Two hits in four objects are assumed before anything is seen: few gold objects say little about a person."""


@dataclass(frozen=True)
class GoldScore:
    """One annotator against gold, objects matched at the threshold and of the same class."""

    f1: Figure
    precision: Figure
    recall: Figure
    mean_iou: Figure
    """Over matched objects: how well outlines are drawn."""
    skill: float
    """F1 in [0, 1], drawn towards one half where there were few objects; the weight in the consensus."""
    median_seconds: float | None

    def as_json(self) -> dict[str, object]:
        """Plain numbers."""
        figures = {"f1": self.f1, "precision": self.precision, "recall": self.recall, "mean_iou": self.mean_iou}
        seconds = None if self.median_seconds is None else round(self.median_seconds, 1)
        return {
            **{name: figure.as_json() for name, figure in figures.items()},
            "skill": round(self.skill, 6),
            "median_seconds": seconds,
        }


def score_annotator(
    ratings: pd.DataFrame, regions: pd.DataFrame, gold: pd.DataFrame, iou_threshold: float, rng: np.random.Generator
) -> GoldScore:
    """Score of one person: `ratings` are theirs on gold images, `regions` theirs, `gold` the table GOLD."""
    counts = np.array(
        [_counts(row, regions, gold, iou_threshold) for row in ratings.to_dict("records")], dtype=np.float64
    ).reshape(-1, 4)
    hits, drawn, true, iou = counts.T
    seconds = ratings["lead_time_s"]
    return GoldScore(
        f1=bootstrap_ratio(2 * hits, drawn + true, rng),
        precision=bootstrap_ratio(hits, drawn, rng),
        recall=bootstrap_ratio(hits, true, rng),
        mean_iou=bootstrap_ratio(iou, hits, rng),
        skill=float((hits.sum() + PRIOR_HITS) / ((drawn + true).sum() / 2 + PRIOR_OBJECTS)),
        median_seconds=float(seconds.median()) if len(seconds) else None,
    )


def _counts(
    rating: dict[Any, Any], regions: pd.DataFrame, gold: pd.DataFrame, iou_threshold: float
) -> tuple[int, int, int, float]:
    """Hits, objects drawn, objects in truth, sum of the hits' IoU on one image."""
    theirs = regions[regions["annotation_id"] == rating["annotation_id"]]
    truth = gold[(gold["image_id"] == rating["image_id"]) & (gold["rle"] != "")]
    drawn = list(zip(theirs["label"], theirs["rle"], strict=True))
    known = list(zip(truth["label"], truth["rle"], strict=True))
    matching = match_regions(drawn, known, rating["height"], rating["width"], iou_threshold)
    return len(matching.matches), len(drawn), len(known), matching.iou_sum
