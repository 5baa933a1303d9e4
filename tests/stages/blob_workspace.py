"""A workspace of blobs, labelled by their exact masks, on which the learning stages run in seconds."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from PIL import Image

from datalab.adapters.embedding_cache import note_encoder
from datalab.adapters.files import read_label_map, read_table, write_table
from datalab.adapters.images_metadata import ensure_metadata
from datalab.learning.splits import SplitParams
from datalab.masks import mask_to_rle
from datalab.stages import dataset, train
from datalab.tables import ADJUDICATION, ANNOTATED_REGIONS, CATALOG, CONSENSUS, FIRST_LABELS, GOLD, RATINGS, empty
from datalab.workspace import Workspace
from tests.adapters.blobs import AUGMENTATION, write_blob

NAMES = {1: "disc", 2: "square"}
DATASET = SplitParams(seed=0, train=0.6, validation=0.2, test=0.2, group_by="", group_column="")
TRAIN = train.Params(
    seed=0,
    model="embedding_decoder",
    pretrained=True,
    longest_side=64,
    width=16,
    members=3,
    loss="cross_entropy+dice",
    sampling="shuffled",
    steps=40,
    batch_size=4,
    learning_rate=0.01,
    backbone_rate=0.1,
    frozen_share=0.0,
    weight_decay=0.01,
    ema=0.0,
    validate_every=20,
    patience=5,
    imbalance=0.5,
    compile_from=0,
    crop=48,
    object_share=0.5,
    augmentation="general",
    sheet=4,
)
POLICY = AUGMENTATION.policy


def image_ids(count: int) -> list[str]:
    return [f"{place:016x}" for place in range(count)]


def blob_workspace(root: Path, images: int = 24, labelled: int = 12, gold: int = 2) -> Workspace:
    """`images` blobs; the last `gold` are gold, the first `labelled` rated by one person, in two rounds."""
    ids = image_ids(images)
    for seed, image_id in enumerate(ids):
        write_blob(root / "data", image_id, seed)
    (root / "guidelines").mkdir()
    classes = [{"id": key, "name": name, "color": f"#{key}0a0f0"} for key, name in NAMES.items()]
    (root / "guidelines" / "classes.yaml").write_text(yaml.safe_dump({"classes": classes}))
    for name in ("params.yaml", "dvc.yaml"):
        (root / name).write_text("{}")
    workspace = Workspace.at(root)
    note_encoder(workspace.embeddings, "sam-of-blobs")
    hashes = [f"{random.Random(place).getrandbits(64):016x}" for place in range(images)]
    rows = [(one, f"{one}.png", "", 64, 48, phash, one) for one, phash in zip(ids, hashes, strict=True)]
    write_table(workspace.catalog, pd.DataFrame(rows, columns=list(CATALOG)))
    write_table(workspace.gold, regions_of(root, ids[images - gold :]).loc[:, list(GOLD)])
    label(workspace, ids[:labelled])
    return workspace


def label(workspace: Workspace, ids: list[str]) -> None:
    """Rate these images with their exact masks; the first half in round 0001, the others in 0002."""
    rounds = {image_id: "0001" if place < len(ids) / 2 else "0002" for place, image_id in enumerate(ids)}
    rated = [(f"a{key}", number, key, "a@b.c", 9.0, "batch", 64, 48) for key, number in rounds.items()]
    write_table(workspace.ratings, pd.DataFrame(rated, columns=list(RATINGS)))
    found = regions_of(workspace.root, ids)
    found = found[found["label"] != ""]
    drawn = found.assign(
        annotation_id="a" + found["image_id"],
        round_id=found["image_id"].map(rounds),
        annotator="a@b.c",
        origin="manual",
    )
    write_table(workspace.regions, drawn.loc[:, list(ANNOTATED_REGIONS)])
    merged = found.assign(votes=1, raters=1, agreement=1.0)
    write_table(workspace.consensus, merged.loc[:, list(CONSENSUS)])
    write_table(workspace.adjudication, empty(ADJUDICATION))


def regions_of(root: Path, ids: list[str]) -> pd.DataFrame:
    """Exact regions of images; an empty image has one row without a label."""
    rows = []
    for image_id in ids:
        truth = read_label_map(root / "data" / "masks" / f"{image_id}.png")
        present = [int(key) for key in np.unique(truth) if key]
        for key in present or [0]:
            rle = mask_to_rle(truth == key) if key else ""
            rows.append((image_id, f"{image_id}-{key}", NAMES.get(key, ""), rle, 48, 64))
    return pd.DataFrame(rows, columns=list(GOLD))


def enlarge(images: Path, masks: Path, size: tuple[int, int]) -> None:
    """Have every PNG of both folders (height, width) pixels, as a camera makes them."""
    for path in [*images.glob("*.png"), *masks.glob("*.png")]:
        with Image.open(path) as picture:
            large = picture.resize(size[::-1], Image.Resampling.NEAREST)
        large.save(path)


def first_labels(workspace: Workspace) -> pd.DataFrame:
    """Table FIRST_LABELS of what is rated and drawn now."""
    ratings = read_table(workspace.ratings, RATINGS).groupby("image_id")["round_id"].min()
    drawn = read_table(workspace.regions, ANNOTATED_REGIONS).groupby("image_id")["label"].unique()
    rows = [(one, number, label) for one, number in ratings.items() for label in drawn.get(one, [""])]
    return pd.DataFrame(rows, columns=list(FIRST_LABELS))


def run_dataset(workspace: Workspace, group_by: str = "", group_column: str = "") -> None:
    write_table(workspace.first_labels, first_labels(workspace))
    ensure_metadata(workspace)
    inputs = dataset.Inputs(
        workspace.consensus,
        workspace.adjudication,
        workspace.ratings,
        workspace.first_labels,
        workspace.catalog,
        workspace.metadata,
        workspace.guidelines,
    )
    params = replace(DATASET, group_by=group_by, group_column=group_column)
    dataset.run(inputs, workspace.dataset, params, distance=4)


def run_train(workspace: Workspace, params: train.Params = TRAIN, flip: bool = True) -> Path:
    """Returns the report's path."""
    report = workspace.reports / "train.json"
    inputs = train.Inputs(workspace.dataset, workspace.images, workspace.embeddings, workspace.guidelines)
    states = workspace.root / ".datalab" / "training"
    sheet, log = workspace.reports / "sheet.png", workspace.reports / "training"
    train.run(inputs, train.Outputs(workspace.model, report, sheet, log, states), params, POLICY, flip)
    return report
