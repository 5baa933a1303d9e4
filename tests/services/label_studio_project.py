"""A small project on the real Label Studio: photographs, proposals and the people who look at them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from skimage import data

from datalab.adapters.label_studio.client import Client
from datalab.adapters.label_studio.media import image_url, publish_images
from datalab.adapters.label_studio.project import ensure_project
from datalab.adapters.label_studio.push import Progress, PushedRound, push_batch
from datalab.config import Guidelines, LabelClass
from datalab.masks import mask_to_rle
from datalab.settings import Settings
from datalab.tables import BATCH, PROPOSALS
from datalab.workspace import Workspace

CLASSES = (LabelClass(1, "coin", "#e69f00", "Whole.", "1"), LabelClass(2, "cup", "#56b4e9", "With saucer.", "2"))
GUIDELINES = Guidelines(CLASSES, (("README.md", "# How to mark\n\n- **every** cup\n"),), "v1", "o1")
SIDE = 400


@dataclass(frozen=True)
class Table:
    """A workspace with images i0, i1, … as parts of one photograph, each with three proposals."""

    workspace: Workspace
    count: int

    @property
    def files(self) -> dict[str, str]:
        return {f"i{number}": f"i {number}#.png" for number in range(self.count)}

    @property
    def urls(self) -> dict[str, str]:
        return {image_id: image_url(self.workspace, file) for image_id, file in self.files.items()}

    @property
    def catalog(self) -> pd.DataFrame:
        return pd.DataFrame({"image_id": list(self.files), "width": SIDE, "height": SIDE})

    def batch(self, overlaps: list[int], roles: list[str] | None = None) -> pd.DataFrame:
        """Table BATCH whose rank is opposite to the images' order."""
        ids = list(self.files)[: len(overlaps)]
        ranks = range(len(ids))[::-1]
        table = pd.DataFrame(
            zip(ids, roles or ["batch"] * len(ids), overlaps, ranks, ["test"] * len(ids), strict=True),
            columns=list(BATCH),
        )
        return table

    def proposals(self) -> pd.DataFrame:
        """Table PROPOSALS: a disc, a ring and a few scattered pixels."""
        y, x = np.mgrid[:SIDE, :SIDE]
        far = np.hypot(y - 290, x - 290)
        masks = (np.hypot(y - 120, x - 130) < 90, (far < 80) & (far > 35), (y > 340) & (x < 60) & ((x + y) % 3 == 0))
        rows = [
            (image_id, f"{image_id}-{place}", label, mask_to_rle(mask), SIDE, SIDE, 0.9, 0.95, "sam-test")
            for image_id in self.files
            for place, (label, mask) in enumerate(zip(("cup", "coin", "coin"), masks, strict=True))
        ]
        return pd.DataFrame(rows, columns=list(PROPOSALS))


def lay_table(folder: Path, name: str, count: int) -> Table:
    """Write the images; `name` is that of the workspace."""
    table = Table(Workspace(folder / name), count)
    table.workspace.images.mkdir(parents=True)
    photograph = data.coffee()
    for number, file in enumerate(table.files.values()):
        Image.fromarray(photograph[:SIDE, 10 * number : 10 * number + SIDE]).save(table.workspace.images / file)
    return table


def silent(share: float, doing: str) -> None:
    assert 0 <= share <= 1
    assert doing


def push(
    client: Client,
    settings: Settings,
    table: Table,
    batch: pd.DataFrame,
    round_id: str = "0001",
    progress: Progress = silent,
    labels: tuple[str, ...] = ("cup", "coin", "coin"),
) -> tuple[PushedRound, pd.DataFrame]:
    """Everything up to the tasks; the round and its tasks."""
    project_id = ensure_project(client, table.workspace.name, GUIDELINES, overlap=3)
    publish_images(client, project_id, table.workspace, settings.datalab_media, table.files.values())
    target = PushedRound(project_id, round_id, GUIDELINES)
    proposals = table.proposals().assign(label=list(labels) * table.count)
    return target, push_batch(client, target, batch, proposals, table.urls, progress)
