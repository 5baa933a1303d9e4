"""Stage `score_gold`: every annotator against the images whose truth is known."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datalab.adapters.files import read_table, write_json
from datalab.config import load_params
from datalab.errors import one_line_errors
from datalab.quality.advice import advice
from datalab.quality.gold import Against, score_images
from datalab.quality.gold_score import GoldLimits, as_json, score_gold
from datalab.tables import ANNOTATED_REGIONS, GOLD, RATINGS


@dataclass(frozen=True)
class Params:
    """Section `score_gold` of params.yaml."""

    seed: int
    iou_threshold: float
    small_share: float
    least_objects: int
    target: float
    pause_below: float
    recent_rounds: int
    advise_px: float
    advise_share: float

    @property
    def limits(self) -> GoldLimits:
        """What people are judged by."""
        return GoldLimits(
            self.least_objects,
            self.target,
            self.pause_below,
            self.recent_rounds,
            self.advise_px,
            self.advise_share,
        )


def run(ratings: Path, regions: Path, gold: Path, report: Path, params: Params) -> None:
    """Write `report`: annotator to figures with intervals, skill, trend, the action that follows, and advice.

    Without gold, or for somebody who saw none, figures are null with the reason and the skill is one half. InputError
    where a gold mask has another size than its image.
    """
    rated, drawn, truth = read_table(ratings, RATINGS), read_table(regions, ANNOTATED_REGIONS), read_table(gold, GOLD)
    classes = sorted({*truth["label"], *drawn["label"]} - {""})
    against = Against(truth, classes, params.iou_threshold, params.small_share)
    on_gold = rated[rated["image_id"].isin(truth["image_id"])]
    rng = np.random.default_rng(params.seed)
    scores = {}
    for annotator in sorted(rated["annotator"].unique()):
        theirs = on_gold[on_gold["annotator"] == annotator]
        images = score_images(theirs, drawn[drawn["annotator"] == annotator], against)
        score = score_gold(images, params.limits, rng)
        scores[annotator] = as_json(score, params.limits, advice(images, score, params.limits))
    write_json(report, {"annotators": scores})


def main() -> None:
    """Paths come from dvc.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("ratings", "regions", "gold", "report", "params"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    paths = parser.parse_args()
    params = load_params(paths.params, "score_gold", Params)
    run(paths.ratings, paths.regions, paths.gold, paths.report, params)


if __name__ == "__main__":
    with one_line_errors():
        main()
