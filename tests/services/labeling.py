"""A small labeling round for the tests at the real Label Studio: squares on six grey images, typed by hand."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from datalab.adapters.label_studio.client import Client
from datalab.adapters.label_studio.media import image_url, publish_images
from datalab.adapters.label_studio.project import ensure_project
from datalab.adapters.label_studio.push import PushedRound, push_batch
from datalab.config import Guidelines, LabelClass
from datalab.masks import mask_to_rle
from datalab.settings import Settings
from datalab.tables import BATCH, CATALOG, GOLD, PROPOSALS
from datalab.workspace import Workspace
from tests.simulate.people import SIDE, square

COIN = LabelClass(1, "coin", "#e69f00", "", "1")
CUP = LabelClass(2, "cup", "#56b4e9", "", "2")
GUIDELINES = Guidelines((COIN, CUP), (("README.md", "# Mark coins"),), "0123456789ab", "ba9876543210")
OVERLAP = {"f": 3, "b": 2, "d": 2, "a": 2, "e": 3, "c": 1}
"""Images in the order of their ranks, and how many people label each; "f" and "e" are gold."""
TRUE, CLOSE = mask_to_rle(square(0, 0)), mask_to_rle(square(3, 0))
"""An object and a proposal for it with an IoU of 70 / 130."""
OTHER = mask_to_rle(square(20, 20))
"""An object whose proposal is exact."""


@dataclass(frozen=True)
class SmallRound:
    """One round of a project of its own."""

    client: Client
    target: PushedRound
    urls: dict[str, str]

    def push(self, batch: pd.DataFrame | None = None) -> pd.DataFrame:
        """Table image_id, task_id."""
        chosen = batch_table() if batch is None else batch
        return push_batch(self.client, self.target, chosen, proposals_table(), self.urls, lambda share, text: None)


def small_round(client: Client, settings: Settings, folder: Path, name: str) -> SmallRound:
    """Images published, project made, nothing pushed."""
    workspace = Workspace(folder / name)
    workspace.images.mkdir(parents=True)
    for number, image_id in enumerate(OVERLAP):
        pixels = np.full((SIDE, SIDE, 3), 40 * number, dtype=np.uint8)
        Image.fromarray(pixels).save(workspace.images / f"{image_id}.png")
    project_id = ensure_project(client, name, GUIDELINES, overlap=3)
    files = [f"{image_id}.png" for image_id in OVERLAP]
    publish_images(client, project_id, workspace, settings.datalab_media, files)
    urls = {image_id: image_url(workspace, f"{image_id}.png") for image_id in OVERLAP}
    return SmallRound(client, PushedRound(project_id, "0001", GUIDELINES), urls)


def batch_table() -> pd.DataFrame:
    """Table BATCH, not in the order of its ranks."""
    rows = [
        (image_id, "gold" if image_id in "fe" else "batch", overlap, rank, "cold_start")
        for rank, (image_id, overlap) in enumerate(OVERLAP.items())
    ]
    return pd.DataFrame(rows, columns=list(BATCH)).sort_values("image_id")


def proposals_table() -> pd.DataFrame:
    """Two proposals on every image but "c", which has none."""
    rows = [
        (image_id, f"{image_id}-{name}", label, rle, SIDE, SIDE, 0.9, 0.95, "test")
        for image_id in OVERLAP
        if image_id != "c"
        for name, label, rle in (("close", "coin", CLOSE), ("exact", "cup", OTHER))
    ]
    return pd.DataFrame(rows, columns=list(PROPOSALS))


def truth_table() -> pd.DataFrame:
    """Table GOLD of all six images."""
    rows = [
        (image_id, f"{image_id}-{name}", label, rle, SIDE, SIDE)
        for image_id in OVERLAP
        for name, label, rle in (("t0", "coin", TRUE), ("t1", "cup", OTHER))
    ]
    return pd.DataFrame(rows, columns=list(GOLD))


def catalog_table() -> pd.DataFrame:
    """Table CATALOG of the six images."""
    rows = [(one, f"{one}.png", f"{one}.png", SIDE, SIDE, "0" * 16, one) for one in OVERLAP]
    return pd.DataFrame(rows, columns=list(CATALOG))
