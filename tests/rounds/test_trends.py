from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datalab.adapters.files import write_json
from datalab.rounds.state import Round, save_round
from datalab.rounds.trends import PICTURE, trend_picture, write_trends
from datalab.workspace import Workspace


def report(workspace: Workspace, number: int, **more: Any) -> None:
    save_round(workspace, Round(number, "g", "o"))
    write_json(workspace.reports / f"round-{number:04d}.json", {"round": number, **more})


def row(iou: float) -> dict[str, Any]:
    return {"slice": "dark", "images": 9, "iou": iou, "low": iou, "high": iou, "elsewhere": 0.8}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def pixels(workspace: Workspace) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    return np.asarray(Image.open(workspace.reports / PICTURE).convert("RGB"))


def test_the_trend_goes_over_all_rounds_with_a_report(workspace: Workspace) -> None:
    report(workspace, 1)
    report(workspace, 2, slices=[row(0.4)], named_slices=["dark"])
    save_round(workspace, Round(3, "g", "o"))
    write_trends(workspace)
    one = pixels(workspace)
    report(workspace, 3, slices=[row(0.6)], named_slices=["dark"])
    write_trends(workspace)
    assert one.shape == pixels(workspace).shape
    assert not np.array_equal(one, pixels(workspace))


def test_the_page_gets_the_picture_once_there_is_one(workspace: Workspace) -> None:
    assert trend_picture(workspace) == ""
    report(workspace, 1, slices=[], named_slices=[])
    write_trends(workspace)
    assert trend_picture(workspace) == ""
    report(workspace, 2, slices=[row(0.4)], named_slices=[])
    write_trends(workspace)
    assert trend_picture(workspace).startswith("data:image/png;base64,iVBOR")
