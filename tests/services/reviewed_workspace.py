"""A workspace after its first round, for reviewers: three labelled images of squares, in a repository of its own."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from PIL import Image

from datalab.adapters.dvc import initialise
from datalab.adapters.files import write_label_map, write_table
from datalab.adapters.label_studio.results import region_to_result
from datalab.masks import mask_to_rle
from datalab.rounds.state import STEPS, Round, save_round
from datalab.stages import collect
from datalab.tables import (
    ADJUDICATION,
    ANNOTATED_REGIONS,
    ANNOTATIONS,
    CATALOG,
    CONSENSUS,
    DATASET,
    GOLD,
    REVIEWS,
    ROUND_BATCH,
    empty,
)
from datalab.workspace import Workspace
from tests.services.conftest import ROOT
from tests.simulate.people import SIDE, square

IMAGES = ("a", "b", "c")
CLASSES = [
    {"id": 1, "name": "coin", "color": "#e69f00", "hotkey": "1"},
    {"id": 2, "name": "cup", "color": "#56b4e9", "hotkey": "2"},
]
COIN, CUP = square(2, 2, 12), square(22, 22, 14)
GRAPH = {"stages": {"embed": {"cmd": "true"}}}
"""Images have no embeddings here, and need none: all of them are labelled."""


def reviewed_workspace(root: Path, env: Path) -> Workspace:
    """Every image has a coin and a cup, drawn by ann; the model sees the coins only."""
    (root / "guidelines").mkdir(parents=True)
    (root / "guidelines" / "classes.yaml").write_text(yaml.safe_dump({"classes": CLASSES}))
    (root / "dvc.yaml").write_text(yaml.safe_dump(GRAPH))
    shutil.copy(ROOT / "params.yaml", root / "params.yaml")
    shutil.copy(env, root / ".env")
    initialise(root)
    workspace = Workspace.at(root)
    for place, image_id in enumerate(IMAGES):
        write_pixels(workspace.images / f"{image_id}.png", 40 + 60 * place)
    catalog = [(one, f"{one}.png", f"{one}.png", SIDE, SIDE, "0" * 16, one) for one in IMAGES]
    write_table(workspace.catalog, pd.DataFrame(catalog, columns=list(CATALOG)))
    for table, columns in ((workspace.gold, GOLD), (workspace.adjudication, ADJUDICATION)):
        write_table(table, empty(columns))
    write_round(workspace)
    collect_all(workspace)
    write_consensus(workspace)
    return workspace


def write_pixels(path: Path, grey: int) -> None:
    """A grey image with its coin and its cup, light."""
    pixels = np.full((SIDE, SIDE, 3), grey, dtype=np.uint8)
    pixels[COIN | CUP] = 230
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_round(workspace: Workspace) -> None:
    """Round 1, over."""
    folder = workspace.round_folder(1)
    drawn = [region_to_result(name, name, mask_to_rle(mask), SIDE, SIDE) for name, mask in objects()]
    rows = [
        (place, place, "0001", one, "ann@datalab.local", 9.0, "2026-01-01", "2026-01-01", False, "g", "o", SIDE, SIDE,
         json.dumps(drawn))
        for place, one in enumerate(IMAGES)
    ]  # fmt: skip
    batch = [(one, "batch", 1, rank, "cold_start", True) for rank, one in enumerate(IMAGES)]
    write_table(folder / "annotations.parquet", pd.DataFrame(rows, columns=list(ANNOTATIONS)))
    write_table(folder / "batch.parquet", pd.DataFrame(batch, columns=list(ROUND_BATCH)))
    save_round(workspace, Round(1, "g", "o", dict.fromkeys(STEPS, 1.0)))


def objects() -> list[tuple[str, np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]]:
    return [("coin", COIN), ("cup", CUP)]


def collect_all(workspace: Workspace) -> None:
    """The stage, as DVC runs it."""
    if not workspace.reviews.exists():
        write_table(workspace.reviews, empty(REVIEWS))
    earlier = workspace.data / "earlier_ratings.parquet", workspace.data / "earlier_regions.parquet"
    newest = workspace.ratings, workspace.regions, workspace.attributes, workspace.first_labels
    outputs = collect.Outputs(*newest, *earlier)
    collect.run(collect.Inputs(workspace.rounds, workspace.gold, workspace.reviews), outputs)


def write_consensus(workspace: Workspace) -> None:
    """What ann drew, the label maps of it, and a model that knows no cup."""
    drawn = pd.read_parquet(workspace.regions, columns=list(ANNOTATED_REGIONS))
    numbers = drawn.groupby("image_id").cumcount().astype(str)
    merged = drawn.assign(region_id=drawn["image_id"] + "-c" + numbers, votes=1, raters=1, agreement=1.0)
    write_table(workspace.consensus, merged.loc[:, list(CONSENSUS)])
    index = [(one, f"{one}.png", split, one, 1) for one, split in zip(IMAGES, ("train", "test", "train"), strict=True)]
    write_table(workspace.dataset / "index.parquet", pd.DataFrame(index, columns=list(DATASET)))
    for one in IMAGES:
        write_label_map(workspace.dataset / "masks" / f"{one}.png", (COIN * 1 + CUP * 2).astype(np.uint8))
        write_label_map(workspace.predictions / f"{one}.png", COIN.astype(np.uint8))
