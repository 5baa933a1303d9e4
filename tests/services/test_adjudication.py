"""Contested images go to a reviewer at the real Label Studio, and the decisions come back."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from datalab.adapters.dvc import initialise
from datalab.adapters.files import read_table, write_table
from datalab.adapters.label_studio.client import Client, connect
from datalab.adapters.label_studio.results import region_to_result
from datalab.cli import main
from datalab.errors import StateError
from datalab.masks import mask_to_rle
from datalab.quality.adjudication import read_decisions
from datalab.quality.consensus import Rules, merge_images
from datalab.quality.contested import decided_objects
from datalab.quality.rated import rated_images
from datalab.rounds.adjudicating import pull_queue, push_queue
from datalab.rounds.progress import silent
from datalab.settings import Settings
from datalab.tables import ANNOTATED_REGIONS, CATALOG, CONSENSUS, DECISIONS, QUEUE, RATINGS
from datalab.workspace import Workspace
from tests.simulate.people import SIDE, square

pytestmark = pytest.mark.services

CLASSES = [{"id": 1, "name": "coin", "color": "#e69f00"}, {"id": 2, "name": "cup", "color": "#56b4e9"}]
WIDE, NARROW = mask_to_rle(square(0, 0, 12)), mask_to_rle(square(0, 0))
QUEUED = ("c", "a", "b")
"""In the order of their ranks; "a" is an audit, and the images' names are in another order."""


@pytest.fixture(scope="module")
def workspace(settings: Settings, stack_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Three images that ann and bob labelled; on "b" bob saw nothing."""
    root = tmp_path_factory.mktemp("reviewed") / "two-opinions"
    (root / "guidelines").mkdir(parents=True)
    (root / "guidelines" / "classes.yaml").write_text(yaml.safe_dump({"classes": CLASSES}))
    for name in ("params.yaml", "dvc.yaml"):
        (root / name).write_text("{}")
    shutil.copy(stack_folder / ".env", root / ".env")
    initialise(root)
    workspace = Workspace.at(root)
    workspace.images.mkdir(parents=True)
    for image_id in QUEUED:
        Image.fromarray(np.full((SIDE, SIDE, 3), ord(image_id), dtype=np.uint8)).save(
            workspace.images / f"{image_id}.png"
        )
    catalog = [(one, f"{one}.png", f"{one}.png", SIDE, SIDE, "0" * 16, one) for one in QUEUED]
    write_table(workspace.catalog, pd.DataFrame(catalog, columns=list(CATALOG)))
    drawn = {("a", "ann"): NARROW, ("a", "bob"): NARROW, ("b", "ann"): WIDE, ("c", "ann"): WIDE, ("c", "bob"): NARROW}
    people = [(image_id, who) for image_id in QUEUED for who in ("ann", "bob")]
    ratings = [(place, "0001", image_id, who, 9.0, "batch", SIDE, SIDE) for place, (image_id, who) in enumerate(people)]
    regions = [
        (people.index(key), "0001", key[1], key[0], f"{people.index(key)}-0", "coin", rle, SIDE, SIDE, "manual")
        for key, rle in drawn.items()
    ]
    consensus = [(one, f"{one}-c0", "coin", NARROW, SIDE, SIDE, 2, 2, 0.9) for one in "ac"]
    queue = [
        (one, rank, 0.9 - rank / 10, "audit" if one == "a" else "contested", "", "", 0.5, 0.2, np.nan, np.nan)
        for rank, one in enumerate(QUEUED)
    ]
    write_table(workspace.ratings, pd.DataFrame(ratings, columns=list(RATINGS)))
    write_table(workspace.regions, pd.DataFrame(regions, columns=list(ANNOTATED_REGIONS)))
    write_table(workspace.consensus, pd.DataFrame(consensus, columns=list(CONSENSUS)))
    write_table(workspace.queue, pd.DataFrame(queue, columns=list(QUEUE)))
    return workspace


@pytest.fixture(scope="module")
def reviewer(settings: Settings) -> Iterator[Client]:
    client = connect(settings.label_studio_url, settings.label_studio_token)
    with client.session:
        yield client


def run(workspace: Workspace, command: str) -> str:
    result = CliRunner().invoke(main, ["adjudicate", command, "--workspace", str(workspace.root)])
    assert result.exit_code == 0, result.output
    return result.output


def tasks(reviewer: Client, workspace: Workspace) -> dict[str, dict[str, Any]]:
    projects = reviewer.get("/api/projects", title=f"{workspace.name} adjudication")["results"]
    assert len(projects) == 1
    assert projects[0]["model_version"] == ""
    return {task["data"]["image_id"]: task for task in reviewer.tasks(int(projects[0]["id"]))}


def test_a_pull_before_any_push_makes_no_project(workspace: Workspace, reviewer: Client) -> None:
    with pytest.raises(StateError, match="no project 'two-opinions adjudication'; `datalab adjudicate push` makes it"):
        pull_queue(workspace)
    assert reviewer.get("/api/projects", title="two-opinions adjudication")["results"] == []
    assert not workspace.decisions.exists()


def test_two_who_push_at_once_make_one_project(workspace: Workspace, reviewer: Client) -> None:
    with ThreadPoolExecutor(2) as pool:
        pushed = [pool.submit(push_queue, workspace, silent) for _ in range(2)]
    assert sorted(one.result().made for one in pushed) == [0, 3]
    assert len(tasks(reviewer, workspace)) == 3


def test_every_version_is_there_in_the_order_of_the_queue(workspace: Workspace, reviewer: Client) -> None:
    assert run(workspace, "push").startswith("3 images are queued, 0 of them new: http")
    found = tasks(reviewer, workspace)
    assert list(found) == list(QUEUED)
    for image_id, names in {"a": ["A", "B", "consensus"], "b": ["A", "B", "consensus"]}.items():
        versions = {one["model_version"]: one["result"] for one in found[image_id]["predictions"]}
        assert sorted(versions) == names
    assert len(versions["A"]) == 1
    assert versions["B"] == []
    seen_by_people = str([{key: value for key, value in one.items() if key != "meta"} for one in found.values()])
    assert not any(word in seen_by_people for word in ("audit", "contested", "ann@", "bob"))
    opened = reviewer.get(f"/api/tasks/{found['c']['id']}")
    assert len(opened["predictions"]) == 3


def test_an_image_that_people_drew_anew_is_asked_about_anew(workspace: Workspace, reviewer: Client) -> None:
    regions = read_table(workspace.regions, ANNOTATED_REGIONS)
    first = tasks(reviewer, workspace)["b"]
    write_table(workspace.regions, regions.assign(rle=regions["rle"].mask(regions["image_id"] == "b", NARROW)))
    assert "1 of them new" in run(workspace, "push")
    assert "0 of them new" in run(workspace, "push")
    again = tasks(reviewer, workspace)["b"]
    assert again["id"] != first["id"]
    assert reviewer.get(f"/api/tasks/{first['id']}")["is_labeled"]
    assert not again["is_labeled"]
    write_table(workspace.regions, regions)
    reviewer.patch(f"/api/tasks/{first['id']}/", {"is_labeled": False})
    reviewer.delete(f"/api/tasks/{again['id']}/")


def test_the_newest_answer_is_the_decision(workspace: Workspace, reviewer: Client) -> None:
    found = tasks(reviewer, workspace)
    mine = region_to_result("r", "cup", WIDE, SIDE, SIDE)

    def answer(image_id: str, result: list[dict[str, Any]], **more: Any) -> None:
        content = {"result": result, "lead_time": 3.0, **more}
        reviewer.post(f"/api/tasks/{found[image_id]['id']}/annotations/", content)

    answer("c", [])
    answer("c", [mine])
    answer("b", [])
    answer("a", [mine], was_cancelled=True)
    assert run(workspace, "pull").startswith("2 images are decided")
    table = read_table(workspace.decisions, DECISIONS)
    rows = table[["image_id", "label", "rle", "reason"]].to_numpy().tolist()
    assert rows == [["b", "", "", "contested"], ["c", "cup", WIDE, "contested"]]
    assert (table["reviewer"].str.contains("@")).all()
    assert Path(f"{workspace.decisions}.dvc").exists()


def test_what_is_no_longer_on_the_server_stays_decided(workspace: Workspace, reviewer: Client) -> None:
    found = tasks(reviewer, workspace)
    reviewer.delete(f"/api/tasks/{found['b']['id']}/")
    reviewer.post(f"/api/tasks/{found['a']['id']}/annotations/", {"result": [], "lead_time": 1.0})
    assert run(workspace, "pull").startswith("3 images are decided")
    table = read_table(workspace.decisions, DECISIONS)
    assert table["image_id"].tolist() == ["a", "b", "c"]
    assert table["reason"].tolist() == ["audit", "contested", "contested"]


def test_only_contested_objects_are_asked_about(workspace: Workspace, reviewer: Client) -> None:
    """Ann and bob agree on a coin, and ann drew a cup: the reviewer sees the coin fixed and decides about the cup."""
    coin, cup = mask_to_rle(square(0, 0)), mask_to_rle(square(20, 20))
    ratings = read_table(workspace.ratings, RATINGS)
    numbers = dict(
        zip(zip(ratings["image_id"], ratings["annotator"], strict=True), ratings["annotation_id"], strict=True)
    )
    regions = [
        (numbers["a", who], "0001", who, "a", f"{who}-{label}", label, rle, SIDE, SIDE, "manual")
        for who, label, rle in (("ann", "coin", coin), ("ann", "cup", cup), ("bob", "coin", coin))
    ]
    write_table(workspace.regions, pd.DataFrame(regions, columns=list(ANNOTATED_REGIONS)))
    consensus = [("a", "a-c0", "coin", coin, SIDE, SIDE, 2, 2, 1.0)]
    write_table(workspace.consensus, pd.DataFrame(consensus, columns=list(CONSENSUS)))
    queue = [("a", 0, 0.9, "contested", "existence of cup", cup, 0.5, 0.2, np.nan, np.nan)]
    write_table(workspace.queue, pd.DataFrame(queue, columns=list(QUEUE)))
    assert run(workspace, "push").startswith("1 images are queued, 1 of them new")
    assert "0 of them new" in run(workspace, "push")
    newest = max(reviewer.tasks(project_id(reviewer, workspace)), key=lambda task: int(task["id"]))
    shown = {
        one["model_version"]: sorted((region_label(each), each.get("readonly", False)) for each in one["result"])
        for one in newest["predictions"]
    }
    assert shown == {"A": [("coin", True), ("cup", False)], "B": [("coin", True)], "consensus": [("coin", True)]}
    answer = [one for each in newest["predictions"] if each["model_version"] == "A" for one in each["result"]]
    reviewer.post(f"/api/tasks/{newest['id']}/annotations/", {"result": answer, "lead_time": 2.0})
    run(workspace, "pull")
    table = read_table(workspace.decisions, DECISIONS)
    rows = table.loc[table["image_id"] == "a", ["label", "rle", "reason", "asked"]].to_numpy().tolist()
    assert sorted(rows) == [["coin", coin, "contested", cup], ["cup", cup, "contested", cup]]
    decision = read_decisions(table)["a"]
    images = rated_images(ratings, read_table(workspace.regions, ANNOTATED_REGIONS))
    before = merge_images(images, {}, Rules(0.5, 0.8, "majority", "majority"))["a"]
    after = decided_objects(before, decision, images["a"], 0.5)
    assert [(one.label, one.method) for one in after] == [("coin", "two"), ("cup", "adjudicated")]


def project_id(reviewer: Client, workspace: Workspace) -> int:
    return int(reviewer.get("/api/projects", title=f"{workspace.name} adjudication")["results"][0]["id"])


def region_label(result: dict[str, Any]) -> str:
    return str(result["value"]["brushlabels"][0])
