"""The quality page, from the stages' own files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markupsafe import Markup
from PIL import Image

from datalab.adapters.files import write_json, write_table
from datalab.rounds.page import write_quality_page
from datalab.rounds.state import Round, save_round
from datalab.rounds.trends import write_trends
from datalab.stages import consensus
from datalab.tables import CATALOG, DECISIONS, LABEL_ERRORS, QUEUE, empty
from datalab.workspace import Workspace
from tests.quality.images import HEIGHT, WIDTH, Box
from tests.stages.rated_folder import write_rated

COIN: Box = ("coin", 0, 0, 4, 4)
CUP: Box = ("cup", 4, 5, 6, 8)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return rated_workspace(tmp_path)


def rated_workspace(root: Path) -> Workspace:
    """Images a, b and c of two people who differ on a alone."""
    workspace = Workspace(root)
    answers: dict[tuple[str, str], list[Box]] = {(image, who): [COIN] for image in "abc" for who in ("ann", "bob")}
    answers["a", "bob"] = [COIN, CUP]
    write_rated(workspace.data, answers)
    (workspace.data / "guidelines").rename(workspace.guidelines)
    workspace.images.mkdir()
    for image in "abc":
        Image.fromarray(np.full((HEIGHT, WIDTH, 3), 90, dtype=np.uint8)).save(workspace.images / f"{image}.png")
    catalog = [(one, f"{one}.png", f"trip/{one}.jpg", WIDTH, HEIGHT, "0" * 16, one) for one in "abc"]
    write_table(workspace.catalog, pd.DataFrame(catalog, columns=list(CATALOG)))
    write_table(workspace.decisions, empty(DECISIONS))
    run_stages(workspace)
    return workspace


def run_stages(workspace: Workspace) -> None:
    reports, rated = workspace.reports, (workspace.ratings, workspace.regions)
    inputs = consensus.Inputs(*rated, reports / "gold.json", workspace.decisions)
    outputs = consensus.Outputs(
        workspace.consensus, workspace.adjudication, workspace.disagreement, reports / "consensus.json"
    )
    write_json(reports / "gold.json", {"annotators": {}})
    unknown = {"value": None, "low": None, "high": None, "n": 0, "reason": "no image has been audited"}
    left = {"unseen_images": 2, "risky_images": 0, "wrong_share": unknown, "wrong_images_left": unknown}
    write_json(reports / "errors_left.json", left)
    consensus.run(inputs, outputs, consensus.Params(0.5, 0.8, "majority", "majority"))
    figure = {"value": 0.5, "low": None, "high": None, "n": 3, "reason": None}
    presence = {"alpha": figure, "prevalence": figure}
    agreement = {
        "annotators": ["ann", "bob"],
        "double_labelled_images": 3,
        "double_labelled_groups": 2,
        "verdict": {"value": "reliable", "reason": None},
        "figures": {"objects": figure},
        "per_pair": {"ann | bob": {"objects": figure}},
        "per_class": {"coin": {"objects": figure, "f1": figure, "presence": presence}},
        "per_attribute": {},
    }
    write_json(reports / "agreement.json", agreement)
    queue = [("a", 0, 0.7, "contested", "existence of cup", "", 0.5, 0.5, np.nan, np.nan)]
    write_table(workspace.queue, pd.DataFrame(queue, columns=list(QUEUE)))
    errors = [("b", "image", "", "", 0, 0, 8, 6, 0.9), ("b", "swapped", "coin", "cup", 0, 0, 4, 4, 0.8)]
    write_table(workspace.label_errors, pd.DataFrame(errors, columns=list(LABEL_ERRORS)))


def test_it_shows_what_the_stages_found(workspace: Workspace) -> None:
    write_quality_page(workspace, Round(2, "g", "o"), [Markup("<h2>One more</h2>")])
    text = (workspace.reports / "round-0002.html").read_text(encoding="utf-8")
    assert "Agreement is <b>reliable</b>" in text
    assert "3 of them by two or more, in 2 groups of images that hang together" in text
    assert text.count("<figure>") == 1
    assert "trip/a.jpg" in text
    assert "existence of cup" in text
    assert text.count('class="crop"') == 1
    assert "<h2>One more</h2>" in text
    assert "Contested images: 1, of them decided: 0." in text


def test_the_trend_of_the_slices_is_on_it_once_there_is_one(workspace: Workspace) -> None:
    page = workspace.reports / "round-0002.html"
    write_quality_page(workspace, Round(2, "g", "o"))
    assert "round by round" not in page.read_text(encoding="utf-8")
    save_round(workspace, Round(2, "g", "o"))
    dark = {"slice": "dark", "images": 9, "iou": 0.4, "low": 0.3, "high": 0.5, "elsewhere": 0.8}
    write_json(workspace.reports / "round-0002.json", {"round": 2, "slices": [dark]})
    write_trends(workspace)
    write_quality_page(workspace, Round(2, "g", "o"))
    assert page.read_text(encoding="utf-8").count("data:image/png;base64,") == 1
