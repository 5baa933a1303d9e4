"""Push and pull at the real server, killed at every request, and every version of an answer."""

import json
from collections.abc import Iterator
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from requests.adapters import HTTPAdapter

from datalab.adapters.files import read_table
from datalab.adapters.label_studio import push as push_module
from datalab.adapters.label_studio.client import Client, connect
from datalab.adapters.label_studio.people import ensure_annotator
from datalab.adapters.label_studio.project import find_project
from datalab.adapters.label_studio.results import region_to_result
from datalab.errors import StateError
from datalab.rounds import labeling
from datalab.rounds.history import read_versions
from datalab.rounds.progress import silent
from datalab.settings import Settings
from datalab.tables import ANNOTATIONS, QUARANTINE
from datalab.workspace import Workspace
from tests.adapters.label_studio.fake_server import Faulty, KilledError, client_over
from tests.rounds.labeling_round import ready_workspace
from tests.services.labeling import OTHER, TRUE
from tests.simulate.people import SIDE

pytestmark = [pytest.mark.services, pytest.mark.slow]
COIN = region_to_result("r", "coin", TRUE, SIDE, SIDE)
CUP = region_to_result("s", "cup", OTHER, SIDE, SIDE)
MOST = 60


@pytest.fixture(scope="module")
def person(client: Client, settings: Settings) -> Iterator[Client]:
    token = ensure_annotator(client, "versions@datalab.local", settings.annotator_password)
    person = connect(client.url, token)
    with person.session:
        yield person


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push_module, "CHUNK", 2)


def values(settings: Settings) -> dict[str, str]:
    # click-to-mask does not run: its address would only cost time
    given = {item.name.upper(): str(getattr(settings, item.name)) for item in fields(settings)}
    return {**given, "CLICK_URL": "http://127.0.0.1:9"}


def killed(step: Any, monkeypatch: pytest.MonkeyPatch, settings: Settings, at: int, after: bool) -> bool:
    """Whether the step was killed at request `at`; then it has been run again to its end."""
    faulty = Faulty(HTTPAdapter(), at, after)
    with monkeypatch.context() as patch:
        token = settings.label_studio_token
        patch.setattr(labeling, "connect", lambda url, _: client_over(faulty, url, token))
        try:
            step()
        except KilledError:
            patch.undo()
            step()
            return True
        finally:
            faulty.close()
    return False


def test_a_push_killed_anywhere_leaves_every_task_once(
    client: Client, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in range(MOST):
        # the answer of every other one is lost after the server has done what it was asked
        name = f"killed push {at}"
        workspace, state = ready_workspace(tmp_path / name, values(settings))
        was_killed = killed(
            partial(labeling.push, workspace, state, silent), monkeypatch, settings, at, after=at % 2 == 0
        )
        table = read_table(workspace.round_folder(1) / "tasks.parquet", ("image_id", "task_id"))
        project = find_project(client, name)
        assert project is not None
        tasks = client.tasks(project.id)
        assert [task["id"] for task in tasks] == table["task_id"].tolist()
        assert [(task["data"]["image_id"], task["overlap"], len(task["predictions"])) for task in tasks] == [
            ("f", 3, 1), ("b", 2, 1), ("d", 2, 1), ("a", 2, 1), ("e", 3, 1), ("c", 1, 0)
        ]  # fmt: skip
        client.delete(f"/api/projects/{project.id}/")
        if not was_killed:
            assert at > 8
            return
    raise AssertionError("the push never ended")


def test_a_project_is_known_by_its_tasks_when_it_was_renamed_and_gone_when_deleted(
    client: Client, settings: Settings, tmp_path: Path
) -> None:
    workspace, state = ready_workspace(tmp_path / "photos", values(settings))
    state = replace(state, facts=labeling.push(workspace, state, silent))
    project = f"/api/projects/{state.facts['project_id']}/"
    client.patch(project, {"title": "pictures"})
    with pytest.raises(StateError, match=r"called 'pictures' now; name it 'photos' at http\S+/settings and run"):
        labeling.label(workspace, state, silent)
    client.patch(project, {"title": "photos"})
    assert labeling.label(workspace, state, silent) is None
    client.delete(project)
    with pytest.raises(StateError, match="has no project 'photos'; to push round 0001 anew"):
        labeling.label(workspace, state, silent)


def test_versions_drafts_skips_and_deletions_survive_a_pull_killed_anywhere(
    client: Client, person: Client, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, state = ready_workspace(tmp_path / "all versions", values(settings))
    labeling.push(workspace, state, silent)
    tasks = read_table(workspace.round_folder(1) / "tasks.parquet", ("image_id", "task_id"))["task_id"].tolist()

    def submit(task: int, result: Any, **more: Any) -> int:
        return int(person.post(f"/api/tasks/{task}/annotations/", {"result": result, "lead_time": 4.0, **more})["id"])

    first = submit(tasks[0], [COIN])
    gone = submit(tasks[1], [CUP])
    skipped = submit(tasks[2], [], was_cancelled=True)
    empty = submit(tasks[3], [], lead_time=900.0)
    draft = person.post(f"/api/tasks/{tasks[4]}/drafts", {"result": [CUP], "lead_time": 2.0})["id"]
    assert labeling.label(workspace, state, silent) is None
    person.patch(f"/api/annotations/{first}/", {"result": [COIN, CUP]})
    client.delete(f"/api/annotations/{gone}/")
    for at in range(MOST):
        if not killed(partial(labeling.pull, workspace, state, silent), monkeypatch, settings, at, after=at % 2 == 0):
            break
    else:
        raise AssertionError("the pull never ended")

    assert kinds(workspace) == [
        ("annotation", first), ("annotation", gone), ("annotation", skipped), ("annotation", empty), ("draft", draft),
        ("annotation", first), ("deleted", gone),
    ]  # fmt: skip
    folder = workspace.round_folder(1)
    table = read_table(folder / "annotations.parquet", ANNOTATIONS).set_index("annotation_id")
    assert table.index.tolist() == [first, gone, skipped, empty]
    assert set(table["annotator"]) == set(read_versions(folder)["annotator"]) == {"versions@datalab.local"}
    assert len(json.loads(table["result_json"][first])) == 2
    aside = read_table(folder / "quarantine.parquet", QUARANTINE)[["annotation_id", "reason"]].to_numpy().tolist()
    assert aside == [[gone, "deleted in Label Studio"], [empty, "empty after long work"]]


def kinds(workspace: Workspace) -> list[tuple[str, int]]:
    table = read_versions(workspace.round_folder(1))
    return [(str(kind), int(one)) for kind, one in zip(table["kind"], table["annotation_id"], strict=True)]
