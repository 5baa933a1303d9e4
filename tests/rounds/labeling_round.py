"""A workspace whose first round is ready to be pushed: the six grey images of tests/services/labeling.py."""

import shutil
from dataclasses import fields
from pathlib import Path

import numpy as np
from PIL import Image

from datalab.adapters.files import write_json, write_table, write_text
from datalab.rounds.state import Round
from datalab.settings import Settings
from datalab.workspace import Workspace
from tests.services.labeling import OVERLAP, batch_table, catalog_table, proposals_table
from tests.simulate.people import SIDE

ROOT = Path(__file__).parents[2]
CLASSES = """\
classes:
  - {id: 1, name: coin, color: "#e69f00", hotkey: "1"}
  - {id: 2, name: cup, color: "#56b4e9", hotkey: "2"}
"""


def nobody(media: Path) -> dict[str, str]:
    """Settings of services that do not run."""
    values = {item.name.upper(): "http://127.0.0.1:9" for item in fields(Settings)}
    return {**values, "LABEL_STUDIO_URL": "http://label-studio.test", "DATALAB_MEDIA": str(media)}


def ready_workspace(root: Path, settings: dict[str, str]) -> tuple[Workspace, Round]:
    """Images, batch and proposals are there; nothing has been pushed."""
    workspace = Workspace(root)
    write_text(workspace.guidelines / "classes.yaml", CLASSES)
    write_text(workspace.guidelines / "README.md", "# Mark coins\n")
    write_text(workspace.env, "".join(f"{key}={value}\n" for key, value in settings.items()))
    shutil.copyfile(ROOT / "params.yaml", workspace.params)
    workspace.images.mkdir(parents=True)
    for number, image_id in enumerate(OVERLAP):
        pixels = np.full((SIDE, SIDE, 3), 40 * number, dtype=np.uint8)
        Image.fromarray(pixels).save(workspace.images / f"{image_id}.png")
    write_table(workspace.catalog, catalog_table())
    folder = workspace.round_folder(1)
    write_table(folder / "batch.parquet", batch_table())
    write_table(folder / "proposals.parquet", proposals_table())
    write_json(folder / "round.json", {})
    return workspace, Round(1, "g", "o", facts={"pushed_at": 0.0})


def next_round(workspace: Workspace, number: int) -> Round:
    """Another round of the first one's images, ready to be pushed."""
    first, folder = workspace.round_folder(1), workspace.round_folder(number)
    folder.mkdir()
    for name in ("batch.parquet", "proposals.parquet"):
        shutil.copyfile(first / name, folder / name)
    write_json(folder / "round.json", {})
    return Round(number, "g", "o", facts={"pushed_at": 0.0})
