"""Stage `consensus`: one set of masks per image, out of everybody's."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from datalab.adapters.files import read_json, read_table, write_table
from datalab.config import load_params
from datalab.errors import one_line_errors
from datalab.quality.consensus import ADJUDICATION, merge_image
from datalab.quality.rated import RatedImage, rated_images
from datalab.tables import ANNOTATED_REGIONS, CONSENSUS, RATINGS


@dataclass(frozen=True)
class Params:
    """Section `consensus` of params.yaml."""

    iou_threshold: float


def run(ratings: Path, regions: Path, gold_report: Path, out: Path, adjudication: Path, params: Params) -> None:
    """Write `out` (table CONSENSUS) for every rated image that is not gold, and `adjudication` (table ADJUDICATION).

    Skills come from `gold_report`. An image that is rated and has no row in `out` is empty, but for what is undecided.
    """
    rated = read_table(ratings, RATINGS)
    rated = rated[rated["role"] != "gold"]
    scores = read_json(gold_report)["annotators"]
    skills = {annotator: float(score["skill"]) for annotator, score in scores.items()}
    images = rated_images(rated, read_table(regions, ANNOTATED_REGIONS), at_least=1)
    rows = [row for each in images.values() for row in _objects(each, skills, params.iou_threshold)]
    table = pd.DataFrame(rows, columns=list(dict.fromkeys((*CONSENSUS, *ADJUDICATION))))
    write_table(out, table.loc[table["kept"].astype(bool), list(CONSENSUS)])
    write_table(adjudication, table.loc[table["reason"] != "", list(ADJUDICATION)])


def _objects(rated: list[RatedImage], skills: dict[str, float], iou_threshold: float) -> Iterator[dict[str, object]]:
    first = rated[0]
    for place, merged in enumerate(merge_image(rated, skills, iou_threshold)):
        yield {
            "image_id": first.image_id,
            "region_id": f"{first.image_id}-c{place}",
            "label": merged.label,
            "rle": merged.rle,
            "height": first.height,
            "width": first.width,
            "votes": merged.votes,
            "raters": len(rated),
            "agreement": merged.agreement,
            "reason": merged.doubt,
            "kept": merged.kept,
        }


def main() -> None:
    """Paths come from dvc.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("ratings", "regions", "gold-report", "out", "adjudication", "params"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    paths = parser.parse_args()
    params = load_params(paths.params, "consensus", Params)
    run(paths.ratings, paths.regions, paths.gold_report, paths.out, paths.adjudication, params)


if __name__ == "__main__":
    with one_line_errors():
        main()
