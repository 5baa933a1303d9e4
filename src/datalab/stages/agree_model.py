"""Stage `agree_model`: the model as one more voter, on images it has not learned from and on those it has."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datalab.adapters.files import read_label_map, read_table, write_json
from datalab.config import load_guidelines, load_params
from datalab.errors import InputError, one_line_errors
from datalab.figure import plain
from datalab.quality.model_voter import Voter, model_report, predicted_regions, with_model
from datalab.quality.rated import RatedImages, rated_images
from datalab.ranges import Seed, Share
from datalab.tables import ANNOTATED_REGIONS, DATASET, RATINGS

LEARNED_FROM = ("train", "validation")


@dataclass(frozen=True)
class Params:
    """Section `agree_model` of params.yaml."""

    seed: Seed
    iou_threshold: Share
    min_area_share: Share


@dataclass(frozen=True)
class Inputs:
    """Files of the stage."""

    ratings: Path
    regions: Path
    dataset: Path
    """Folder with index.parquet, table DATASET."""
    predictions: Path
    guidelines: Path


def run(inputs: Inputs, report: Path, params: Params) -> None:
    """Write `report`: `unseen` (gold, and the test split) and `learned_from`, each the figures of `model_report`.

    On what it learned from the model repeats people's answers; only `unseen` says how it would vote.
    """
    guidelines = load_guidelines(inputs.guidelines)
    voter = Voter({one.id: one.name for one in guidelines.classes}, params.min_area_share, params.iou_threshold)
    images = rated_images(
        read_table(inputs.ratings, RATINGS), read_table(inputs.regions, ANNOTATED_REGIONS), at_least=1
    )
    joined = with_model(images, _predicted(images, inputs.predictions, voter))
    index = read_table(inputs.dataset / "index.parquet", DATASET)
    learned = set(index.loc[index["split"].isin(LEARNED_FROM), "image_id"])
    rng = np.random.default_rng(params.seed)
    groups = {
        "unseen": {image_id: rated for image_id, rated in joined.items() if image_id not in learned},
        "learned_from": {image_id: rated for image_id, rated in joined.items() if image_id in learned},
    }
    write_json(report, plain({name: model_report(one, guidelines.names, voter, rng) for name, one in groups.items()}))


def _predicted(images: RatedImages, folder: Path, voter: Voter) -> dict[str, tuple[tuple[str, str], ...]]:
    found = {}
    for image_id, rated in images.items():
        path = folder / f"{image_id}.png"
        if not path.exists():
            continue
        label_map = read_label_map(path)
        if label_map.shape != (rated[0].height, rated[0].width):
            shown = f"{label_map.shape[1]} x {label_map.shape[0]}, labelled at {rated[0].width} x {rated[0].height}"
            raise InputError(f"the prediction of image {image_id} is {shown} pixels; label it again at one size")
        found[image_id] = predicted_regions(label_map, voter)
    return found


def main() -> None:
    """Paths come from dvc.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("ratings", "regions", "dataset", "predictions", "guidelines", "report", "params"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    inputs = Inputs(given.ratings, given.regions, given.dataset, given.predictions, given.guidelines)
    run(inputs, given.report, load_params(given.params, "agree_model", Params))


if __name__ == "__main__":
    with one_line_errors():
        main()
