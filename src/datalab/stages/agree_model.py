"""Stage `agree_model`: the model as one more voter, on images it has not learned from and on those it has."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datalab.adapters.files import read_label_map, read_table, write_json
from datalab.adapters.image_groups import load_rules, read_groups
from datalab.adapters.stage_progress import stage_bar
from datalab.config import load_guidelines, load_params
from datalab.errors import InputError, one_line_errors
from datalab.figure import plain
from datalab.learning.splits import GroupRules
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
    catalog: Path
    metadata: Path
    guidelines: Path


def run(inputs: Inputs, report: Path, params: Params, rules: GroupRules) -> None:
    """Write `report`: `unseen` (gold, and the test split) and `learned_from`, each the figures of `model_report`.

    On what it learned from the model repeats people's answers; only `unseen` says how it would vote. Images that hang
    together with a learned one, by `rules`, are in neither: `left_out` counts them.
    """
    guidelines = load_guidelines(inputs.guidelines)
    voter = Voter({one.id: one.name for one in guidelines.classes}, params.min_area_share, params.iou_threshold)
    rated, drawn = read_table(inputs.ratings, RATINGS), read_table(inputs.regions, ANNOTATED_REGIONS)
    groups = read_groups(set(rated["image_id"]), inputs.catalog, inputs.metadata, rules)
    images = rated_images(rated, drawn, at_least=1, groups=groups)
    joined = with_model(images, _predicted(images, inputs.predictions, voter))
    index = read_table(inputs.dataset / "index.parquet", DATASET)
    learned = set(index.loc[index["split"].isin(LEARNED_FROM), "image_id"])
    known = {groups.get(image_id, image_id) for image_id in learned}
    parts = {
        "unseen": {image_id: votes for image_id, votes in joined.items() if groups[image_id] not in known},
        "learned_from": {image_id: votes for image_id, votes in joined.items() if image_id in learned},
    }
    rng = np.random.default_rng(params.seed)
    found = {name: model_report(part, guidelines.names, voter, rng) for name, part in parts.items()}
    write_json(report, {**plain(found), "left_out": len(joined) - sum(map(len, parts.values()))})


def _predicted(images: RatedImages, folder: Path, voter: Voter) -> dict[str, tuple[tuple[str, str], ...]]:
    found = {}
    for image_id, rated in stage_bar("agree with model", len(images), "image", images.items()):
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
    read = ("ratings", "regions", "dataset", "predictions", "catalog", "metadata", "guidelines")
    for name in (*read, "report", "params"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = vars(parser.parse_args())
    params = load_params(given["params"], "agree_model", Params)
    run(Inputs(*(given[name] for name in read)), given["report"], params, load_rules(given["params"]))


if __name__ == "__main__":
    with one_line_errors():
        main()
