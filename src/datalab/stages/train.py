"""Train the segmenter on the labelled images."""

import argparse
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd

from datalab.adapters.backbones import starting_weights
from datalab.adapters.dataset_folder import DatasetFolder, read_dataset
from datalab.adapters.embedding_cache import embedded_by
from datalab.adapters.files import read_label_map, read_rgb, write_json
from datalab.adapters.image_vectors import check_same_model
from datalab.adapters.plots import for_tile, plot_labels
from datalab.adapters.segmenter import Segmenter, save_segmenter
from datalab.adapters.segmenter_augment import Augmentation, Policy, check_policy
from datalab.adapters.segmenter_check import check_learnable
from datalab.adapters.segmenter_loss import check_loss
from datalab.adapters.segmenter_models import MODELS, check_model
from datalab.adapters.segmenter_network import EMBEDDING_DECODER, STRIDE, NetworkSize
from datalab.adapters.segmenter_processes import is_first_process
from datalab.adapters.segmenter_samples import Sample, in_one_piece, read_sample, without_embedding
from datalab.adapters.segmenter_schedule import Look, Schedule, check_sampling, is_late
from datalab.adapters.segmenter_state import StateFile, run_key
from datalab.adapters.segmenter_temperature import temperature_of
from datalab.adapters.segmenter_training import Recipe, train_segmenter
from datalab.adapters.stage_progress import stage_bar
from datalab.adapters.training_log import TrainingLog
from datalab.config import load_guidelines, load_named, load_number, load_params
from datalab.errors import InputError, one_line_errors
from datalab.ranges import Amount, Count, Natural, Seed, Share, Within

Imbalance = Annotated[float, Within(0, 4)]
"""Power of the class weights: at 4 a pixel of a class of one in a hundred weighs as much as 10^8 others."""
LOGGER = logging.getLogger(__name__)
TOGETHER = 50
"""Samples that lie in one piece of memory."""
TOLD = 0.1
"""Share of the images that show a class, from which it is told to be too thin: slivers of large objects are common."""


@dataclass(frozen=True)
class Params:
    """Size of the network, how it learns, and how images are varied."""

    seed: Seed
    model: str
    """One of datalab.adapters.segmenter_models.MODELS."""
    pretrained: bool
    """Whether a model with a backbone starts from ImageNet weights, where they are on this machine."""
    longest_side: Count
    """Working size in pixels."""
    width: Count
    """Channels of the embedding decoder, a multiple of 16; the other models have widths of their own."""
    members: Count
    """Heads of the committee."""
    loss: str
    sampling: str
    steps: Count
    batch_size: Count
    learning_rate: Amount
    backbone_rate: Amount
    frozen_share: Share
    weight_decay: Share
    ema: Share
    validate_every: Count
    patience: Count
    imbalance: Imbalance
    compile_from: Natural
    crop: Count
    object_share: Share
    augmentation: str
    """A name of the section of that name."""
    sheet: Natural
    """Images on the sheet."""


@dataclass(frozen=True)
class Inputs:
    """Folders of the stage."""

    dataset: Path
    images: Path
    embeddings: Path
    guidelines: Path
    """With classes.yaml, for the colours of the sheet."""


@dataclass(frozen=True)
class Outputs:
    """Files of the stage."""

    model: Path
    report: Path
    sheet: Path
    """Picture of training images with their labels; written first, so that it is there when training is refused."""
    log: Path
    """Folder of what dvclive logs at every look."""
    states: Path
    """Folder for a run that may be killed; no output of the stage."""


def run(inputs: Inputs, outputs: Outputs, params: Params, policy: Policy, flip: bool) -> None:
    """Train on split "train", stop by split "validation"; write the model and the curve.

    Refused (StateError) where not even one batch can be learned by heart. The report holds the curve (step, loss,
    validation_miou), the best step, counts, `thin_classes` and, as the log does, `warnings` of them, and which weights
    the model started from; no timings, so that the same inputs give the same bytes. A run that was killed goes on at
    its last look. Of several processes one writes.
    `flip`: whether the temperature is of a committee with the mirrored view, as that of `score`, which works with it.
    """
    check(params)
    folder = read_dataset(inputs.dataset)
    if folder.split("train").empty:
        raise InputError("the dataset has no training image; label more images")
    if is_first_process():
        _draw_sheet(folder, inputs, outputs.sheet, params.sheet)
    rows = [folder.split(split) for split in ("train", "validation")]
    samples = read_samples(folder, pd.concat(rows), inputs.images, inputs.embeddings, params)
    train, validation = samples[: len(rows[0])], samples[len(rows[0]) :]
    thin = thin_classes(train, folder.class_names)
    warnings = [
        thin_line(name, found, params.longest_side)
        for name, found in thin.items()
        if found["lost"] >= TOLD * found["images"]
    ]
    for line in warnings if is_first_process() else ():
        LOGGER.warning("%s", line)
    recipe = recipe_of(params, policy, train[0].embedding.shape[0], len(folder.class_ids))
    backbone, start = starting_weights(params.model, params.pretrained)
    if backbone is None and params.model != EMBEDDING_DECODER:
        LOGGER.warning("%s starts %s", params.model, start)
    left = check_learnable(train, recipe, backbone)
    state = StateFile(outputs.states, run_key(recipe, train, validation, backbone or {}))
    with ExitStack() as stack:
        on_look = stack.enter_context(TrainingLog(outputs.log)).add if is_first_process() else None
        network, looks = train_segmenter(train, validation, recipe, backbone, state, on_look)
    if not is_first_process():
        return
    heat = temperature_of(network, validation, flip)
    encoder = embedded_by(inputs.embeddings)
    segmenter = Segmenter(network, folder.class_ids, folder.class_names, params.longest_side, heat, encoder)
    save_segmenter(outputs.model, segmenter)
    state.forget()
    facts = {
        "thin_classes": thin,
        "warnings": warnings,
        "one_batch_loss_left": round(left, 6),
        "temperature": round(heat, 4),
        "model": params.model,
        "start": start,
    }
    write_json(outputs.report, {**_report(looks, params.steps, len(train), len(validation)), **facts})


def thin_classes(samples: Sequence[Sample], names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Name of a class -> `images` that show it and `lost`, in how many it is too thin for the working size.

    Of classes that are so in any image; `names` in the order of the labels' positions.
    """
    lost = Counter(place for sample in samples for place in sample.thin)
    left = [(sample.thin, np.unique(sample.labels).tolist()) for sample in samples if sample.labels is not None]
    shown = Counter(place for thin, places in left for place in {*thin, *places})
    return {names[place]: {"images": shown[place], "lost": lost[place]} for place in sorted(lost)}


def thin_line(name: str, found: Mapping[str, int], longest_side: int) -> str:
    """What people are told of a class in `thin_classes`."""
    return (
        f"{name!r} falls between the label pixels of {found['lost']} of {found['images']} training images at "
        f"train.longest_side {longest_side}, and is learned there as coarse blocks at best; raise it, or label larger "
        "objects"
    )


def recipe_of(params: Params, policy: Policy, channels: int, classes: int) -> Recipe:
    """What `train` learns by; `channels` of the embeddings, `classes` with background."""
    size = NetworkSize(channels, classes, params.width, params.members, params.model)
    schedule = Schedule(**{field.name: getattr(params, field.name) for field in fields(Schedule)})
    return Recipe(size, schedule, Augmentation(params.crop, params.object_share, policy), params.seed)


def load_policy(path: Path, name: str) -> Policy:
    """A policy of section `augmentation` of params.yaml; InputError listing the known names."""
    policies = load_named(path, "augmentation", Policy)
    if name not in policies:
        raise InputError(f"train.augmentation is {name!r}; section augmentation of {path} has {', '.join(policies)}")
    check_policy(policies[name], name)
    return policies[name]


def _draw_sheet(folder: DatasetFolder, inputs: Inputs, sheet: Path, count: int) -> None:
    """Images spread evenly over the training split, since its order is that of the ids."""
    colors = {item.id: item.color for item in load_guidelines(inputs.guidelines).classes}
    rows = folder.split("train")
    shown = rows.iloc[np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int))]
    plot_labels(
        sheet,
        [
            (
                str(row.image_id)[:8],
                for_tile(read_rgb(inputs.images / str(row.file))),
                for_tile(read_label_map(folder.mask(str(row.image_id)))),
            )
            for row in shown.itertuples()
        ],
        colors,
    )


def read_samples(
    folder: DatasetFolder, rows: pd.DataFrame, images: Path, embeddings: Path, params: Params
) -> list[Sample]:
    """The images and labels of these rows of the dataset, with embeddings where `params.model` looks at them.

    InputError where the embeddings are of different models.
    """
    bar = stage_bar("read", len(rows), "image", rows.itertuples(), hidden=not is_first_process())
    read = (
        read_sample(
            images / str(row.file),
            embeddings / f"{row.image_id}.npy",
            params.longest_side,
            folder.mask(str(row.image_id)),
            folder.class_ids,
        )
        for row in bar
    )
    blocks = iter(lambda: list(islice(read, TOGETHER)), [])
    whole = (sample for block in blocks for sample in in_one_piece(block))
    samples = [sample if MODELS[params.model].uses_embedding else without_embedding(sample) for sample in whole]
    check_same_model((len(sample.embedding) for sample in samples), embeddings)
    return samples


def _report(looks: list[Look], steps: int, train: int, validation: int) -> dict[str, Any]:
    scored = [look for look in looks if look.validation_miou is not None and is_late(look.step, steps)]
    best = max(scored, key=lambda look: (look.validation_miou or 0.0, look.step), default=None)
    return {
        "best_step": None if best is None else best.step,
        "best_validation_miou": None if best is None else best.validation_miou,
        "images_train": train,
        "images_validation": validation,
        "curve": [asdict(look) for look in looks],
    }


def check(params: Params) -> None:
    """InputError for what no training can use, naming the key."""
    check_model(params.model)
    check_loss(params.loss)
    check_sampling(params.sampling)
    for name in ("longest_side", "crop"):
        if getattr(params, name) < STRIDE or getattr(params, name) % STRIDE:
            raise InputError(f"train.{name} must be a multiple of {STRIDE}, got {getattr(params, name)}")
    if params.width < 16 or params.width % 16:
        raise InputError(f"train.width must be a multiple of 16, got {params.width}")
    for name in ("frozen_share", "ema"):
        if getattr(params, name) == 1:
            raise InputError(f"train.{name} must be below 1: then nothing would be learned")


def main() -> None:
    """Command line of the stage; the paths are given in dvc.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("dataset", "images", "embeddings", "guidelines", "out", "report", "sheet", "log", "states", "params"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    inputs = Inputs(given.dataset, given.images, given.embeddings, given.guidelines)
    outputs = Outputs(given.out, given.report, given.sheet, given.log, given.states)
    params = load_params(given.params, "train", Params)
    flip = bool(load_number(given.params, "score", "flip", bool))
    run(inputs, outputs, params, load_policy(given.params, params.augmentation), flip)


if __name__ == "__main__":
    with one_line_errors():
        main()
