"""Stage `score_gold`: every annotator against the images whose truth is known."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datalab.adapters.files import read_table, write_json
from datalab.config import load_params
from datalab.errors import one_line_errors
from datalab.quality.gold import score_annotator
from datalab.tables import ANNOTATED_REGIONS, GOLD, RATINGS


@dataclass(frozen=True)
class Params:
    """Section `score_gold` of params.yaml."""

    seed: int
    iou_threshold: float


def run(ratings: Path, regions: Path, gold: Path, report: Path, params: Params) -> None:
    """Write `report`: annotator to f1, precision, recall, mean_iou (each with interval), objects, confusions, skill.

    Without gold, or for somebody who saw none, figures are null with the reason and the skill is one half. InputError
    where a gold mask has another size than its image.
    """
    rated, drawn = read_table(ratings, RATINGS), read_table(regions, ANNOTATED_REGIONS)
    truth = read_table(gold, GOLD)
    rng = np.random.default_rng(params.seed)
    scores = {}
    for annotator in sorted(rated["annotator"].unique()):
        theirs = rated[(rated["annotator"] == annotator) & rated["image_id"].isin(truth["image_id"])]
        score = score_annotator(theirs, drawn[drawn["annotator"] == annotator], truth, params.iou_threshold, rng)
        scores[annotator] = score.as_json()
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
