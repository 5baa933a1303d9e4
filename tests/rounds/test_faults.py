"""Push and pull are killed at every single request; run again, they end where an untroubled run ends."""

from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from requests.adapters import BaseAdapter

from datalab.adapters.files import read_table
from datalab.adapters.label_studio import push as push_module
from datalab.rounds import labeling
from datalab.rounds.history import read_versions
from datalab.rounds.progress import silent
from datalab.rounds.state import Round
from datalab.tables import ANNOTATIONS, QUARANTINE
from datalab.workspace import Workspace
from tests.adapters.label_studio.fake_server import FakeLabelStudio, Faulty, KilledError, client_over
from tests.rounds.labeling_round import nobody, ready_workspace

MOST = 60
"""Requests of one step; more would be a step that never ends."""


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push_module, "CHUNK", 2)


def over(monkeypatch: pytest.MonkeyPatch, network: BaseAdapter) -> None:
    monkeypatch.setattr(labeling, "connect", lambda url, token: client_over(network))


def run_killed(step: Any, monkeypatch: pytest.MonkeyPatch, server: BaseAdapter, at: int, after: bool) -> bool:
    """Whether the step was killed; then it has been run again to its end."""
    over(monkeypatch, Faulty(server, at, after))
    try:
        step()
    except KilledError:
        over(monkeypatch, server)
        step()
        return True
    return False


def seen_by_people(server: FakeLabelStudio) -> Any:
    """Everything but the ids, which count what happened."""
    tasks = [{key: value for key, value in task.items() if key != "id"} for task in server.tasks]
    return tasks, [sorted(one) for one in (server.projects, server.storages, server.webhooks)]


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True])
def test_a_push_killed_anywhere_ends_with_the_same_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    untroubled = FakeLabelStudio()
    workspace, state = ready_workspace(tmp_path / "w", nobody(tmp_path / "media"))
    over(monkeypatch, untroubled)
    labeling.push(workspace, state, silent)
    assert len(untroubled.tasks) == 6
    for at in range(MOST):
        server = FakeLabelStudio()
        killed = run_killed(lambda: labeling.push(workspace, state, silent), monkeypatch, server, at, after)
        assert seen_by_people(server) == seen_by_people(untroubled)
        table = read_table(workspace.round_folder(1) / "tasks.parquet", ("image_id", "task_id"))
        assert [task["data"]["image_id"] for task in server.tasks] == table["image_id"].tolist()
        assert [task["id"] for task in server.tasks] == table["task_id"].tolist()
        if not killed:
            assert at > 8
            return
    raise AssertionError("the push never ended")


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True])
def test_a_pull_killed_anywhere_ends_with_the_same_annotations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    server = FakeLabelStudio()
    workspace, state = ready_workspace(tmp_path / "w", nobody(tmp_path / "media"))
    over(monkeypatch, server)
    labeling.push(workspace, state, silent)
    for task in server.tasks[:5]:
        server.answer(task["id"], 1, task["predictions"][0]["result"] if task["predictions"] else [])
    server.answer(server.tasks[5]["id"], 9, [], lead_time=900.0, was_cancelled=False)
    server.drafts[server.tasks[0]["id"]] = [draft()]
    labeling.pull(workspace, state, silent)
    wanted = pulled(workspace)
    assert [len(table) for table in wanted] == [6, 2, 7]
    for at in range(MOST):
        again, same = ready_workspace(tmp_path / f"w{at}{after}" / "w", nobody(tmp_path / "media"))
        killed = run_killed(partial(pull_twice, again, same), monkeypatch, server, at, after)
        for ours, untroubled in zip(pulled(again), wanted, strict=True):
            pd.testing.assert_frame_equal(ours, untroubled)
        if not killed:
            assert at > 5
            return
    raise AssertionError("the pull never ended")


def pull_twice(workspace: Workspace, state: Round) -> None:
    """As the flow does: once while people work, once when they are done."""
    labeling.label(workspace, state, silent)
    labeling.pull(workspace, state, silent)


def pulled(workspace: Workspace) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Annotations, what is set aside, versions without the time of the pull."""
    folder = workspace.round_folder(1)
    return (
        read_table(folder / "annotations.parquet", ANNOTATIONS),
        read_table(folder / "quarantine.parquet", QUARANTINE),
        read_versions(folder).drop(columns="pulled_at"),
    )


def draft() -> dict[str, Any]:
    return {
        "id": 77, "user": "p2@datalab.local", "lead_time": 3.0, "result": [],
        "created_at": "t", "updated_at": "t1",
    }  # fmt: skip
