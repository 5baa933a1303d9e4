"""Stage `adapt`: SAM's mask decoder learns from this workspace's labels, and is used only where that made it better."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch

from datalab.adapters.checkpoints import SamParams
from datalab.adapters.dataset_folder import read_dataset
from datalab.adapters.embedding_cache import sound_embedding
from datalab.adapters.files import read_rgb, read_table, write_json
from datalab.adapters.sam import load_sam, model_version
from datalab.adapters.sam_adapt import Course, Floats, Lesson, adapt, judge, lessons_of
from datalab.adapters.sam_adapted import write_decoder
from datalab.adapters.sam_training import BOX, CLICK
from datalab.adapters.stage_progress import stage_bar
from datalab.adapters.torch_threads import side_by_side
from datalab.config import load_params
from datalab.errors import one_line_errors
from datalab.learning.intervals import DIFFERENCES, bootstrap_interval
from datalab.masks import rle_to_mask
from datalab.ranges import Amount, Count, Seed, Within
from datalab.resampling import places_of, sum_units
from datalab.tables import CONSENSUS

PROMPTS = {"box": BOX, "click": CLICK}
ENDS = ("low", "high")
MOST_JUDGED = 1000
"""Objects of the validation images; each holds up to a megabyte."""


@dataclass(frozen=True)
class Params:
    """Section `adapt` of params.yaml; SAM is that of section `sam`."""

    enabled: bool
    seed: Seed
    steps: Count
    batch_size: Count
    learning_rate: Amount
    least_objects: Count
    """Of the training images; with fewer nothing is tried."""
    least_images: Annotated[int, Within(2)]
    """Validation images with an object, without which nobody could tell whether it got better."""
    resamples: Count
    """Draws of the bootstrap."""


@dataclass(frozen=True)
class Inputs:
    """What it reads."""

    consensus: Path
    dataset: Path
    images: Path
    embeddings: Path
    """As `embed` made them, one <image_id>.npy each; an image that lacks one is encoded."""


def run(inputs: Inputs, decoder: Path, report: Path, params: Params, sam_params: SamParams) -> None:
    """Write the decoder's weights, none where it was not tried or is no better, and the report.

    Learns from the consensus of split "train", of many objects from as many as it can draw, and is judged on that of
    split "validation", of many on MOST_JUDGED dealt over the images. `report` has `kept`, why not in `reason`, the
    counts, and for boxes, clicks and both (`all`) the mean over images of the IoU `before` and `after` and the
    `difference` with its 95% interval over groups of images; kept where that of both lies above 0.
    """
    facts: dict[str, Any] = {"kept": False, "reason": "adapt.enabled is false", "sam": None}
    weights: dict[str, torch.Tensor] = {}
    if params.enabled:
        facts = {"kept": False, "reason": None, "sam": model_version(sam_params.checkpoint)}
        weights = _try(inputs, params, sam_params, facts)
    write_decoder(decoder, weights, facts["sam"] or "")
    write_json(report, facts)


def _try(inputs: Inputs, params: Params, sam_params: SamParams, facts: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The weights where they are better, else none; fills in the facts."""
    objects = _objects(inputs)
    learned, held_out = (objects[objects["split"] == split] for split in ("train", "validation"))
    facts |= {"objects": len(learned), "images_held_out": held_out["image_id"].nunique()}
    if len(learned) < params.least_objects or facts["images_held_out"] < params.least_images:
        facts["reason"] = (
            f"too little to learn from or to judge by: {len(learned)} of {params.least_objects} objects, "
            f"{facts['images_held_out']} of {params.least_images} validation images with an object"
        )
        return {}
    rng = np.random.default_rng(params.seed)
    sam = load_sam(sam_params.checkpoint)
    chosen = drawn(learned, params.steps * params.batch_size, rng), dealt(held_out, MOST_JUDGED, rng)
    facts |= {"objects_drawn": len(chosen[0]), "objects_judged": len(chosen[1])}
    lessons, exam = (_lessons(sam, rows, inputs, rng) for rows in chosen)
    before = judge(sam, exam)
    adapt(sam, lessons, Course(params.steps, params.batch_size, params.learning_rate), rng)
    groups = dict(zip(held_out["image_id"], held_out["group"], strict=True))
    facts |= figures(exam, groups, before, judge(sam, exam), rng, params.resamples)
    low = facts["all"]["difference"]["low"]
    facts["kept"] = low is not None and low > 0
    if facts["kept"]:
        return {name: value.cpu().contiguous() for name, value in sam.mask_decoder.state_dict().items()}
    facts["reason"] = "not visibly better on the validation images"
    return {}


def drawn(objects: pd.DataFrame, most: int, rng: np.random.Generator) -> pd.DataFrame:
    """At most so many rows, at random, in their order."""
    if len(objects) <= most:
        return objects
    return objects.iloc[np.sort(rng.choice(len(objects), most, replace=False))]


def dealt(objects: pd.DataFrame, most: int, rng: np.random.Generator) -> pd.DataFrame:
    """At most so many rows, in their order, of every image one before any has two."""
    if len(objects) <= most:
        return objects
    mixed = objects.iloc[rng.permutation(len(objects))]
    turns = mixed.groupby("image_id").cumcount().sort_values(kind="stable")
    return mixed.loc[turns.index[:most]].sort_index()


def figures(
    exam: list[Lesson],
    groups: Mapping[str, str],
    before: Floats,
    after: Floats,
    rng: np.random.Generator,
    resamples: int,
) -> dict[str, Any]:
    """`box`, `click` and `all`: mean over images of their objects' IoU, (N,) before and after, and the difference.

    `groups`: image_id to the group of images that it is no independent sample beside.
    """
    image_ids = np.array([one.image_id for one in exam])
    kinds = np.array([one.kind for one in exam])
    found = {}
    for name, chosen in (("all", kinds >= 0), *((name, kinds == kind) for name, kind in PROMPTS.items())):
        table = pd.DataFrame({"before": before[chosen], "after": after[chosen]}).groupby(image_ids[chosen]).mean()
        means = table.to_numpy()
        change = np.stack([means[:, 1] - means[:, 0], np.ones(len(means))], axis=1)
        units = sum_units(change, places_of([groups[image_id] for image_id in table.index]))
        ends = bootstrap_interval(units, _mean, rng, resamples, bounds=DIFFERENCES)
        found[name] = {
            "before": round(float(means[:, 0].mean()), 4),
            "after": round(float(means[:, 1].mean()), 4),
            "difference": {
                "value": round(float(change[:, 0].mean()), 4),
                **{end: None if np.isnan(one) else round(float(one), 4) for end, one in zip(ENDS, ends, strict=True)},
            },
        }
    return found


def _mean(sums: Floats) -> Floats:
    """Of (..., 2) sums of a value and of images."""
    mean: Floats = np.where(sums[..., 1] > 0, sums[..., 0] / np.maximum(sums[..., 1], 1), np.nan)
    return mean


def _objects(inputs: Inputs) -> pd.DataFrame:
    """Consensus objects with `split`, `file` and `group` of their image, in a fixed order."""
    index = read_dataset(inputs.dataset).index.loc[:, ["image_id", "file", "split", "group"]]
    consensus = read_table(inputs.consensus, CONSENSUS)
    return consensus.merge(index, on="image_id").sort_values(["image_id", "region_id"], ignore_index=True)


def _lessons(sam: Any, objects: pd.DataFrame, inputs: Inputs, rng: np.random.Generator) -> list[Lesson]:
    groups = [(str(image_id), rows) for image_id, rows in objects.groupby("image_id")]
    seeds = dict(zip((image_id for image_id, _ in groups), rng.spawn(len(groups)), strict=True))

    def of_image(group: tuple[str, pd.DataFrame]) -> list[Lesson]:
        image_id, rows = group
        # one after the other: each is of the image's size
        masks = (rle_to_mask(row["rle"], row["height"], row["width"]) for row in rows.to_dict("records"))
        pixels = read_rgb(inputs.images / str(rows["file"].iloc[0]))
        known = sound_embedding(inputs.embeddings / f"{image_id}.npy")
        # read: each map would hold a file open, and there are thousands
        whole = None if known is None else np.array(known)
        return lessons_of(sam, image_id, pixels, (mask for mask in masks if mask.any()), seeds[image_id], whole)

    found = stage_bar("embed objects", len(groups), "image", side_by_side(of_image, groups))
    return [one for lessons in found for one in lessons]


def main() -> None:
    """Paths come from dvc.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("consensus", "dataset", "images", "embeddings", "out", "report", "params"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    params, sam_params = load_params(given.params, "adapt", Params), load_params(given.params, "sam", SamParams)
    inputs = Inputs(given.consensus, given.dataset, given.images, given.embeddings)
    run(inputs, given.out, given.report, params, sam_params)


if __name__ == "__main__":
    with one_line_errors():
        main()
