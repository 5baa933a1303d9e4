"""When the watcher looks, and what it then starts."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from datalab.adapters.files import write_text
from datalab.adapters.label_studio.client import Client
from datalab.adapters.label_studio.pull import RoundProgress
from datalab.errors import ServiceError
from datalab.rounds import watching
from datalab.rounds.state import STEPS, Round, save_round
from datalab.rounds.watching import Pace, Watcher
from datalab.workspace import Workspace
from tests.adapters.label_studio.fake_server import FakeLabelStudio, client_over

PACE = Pace(quiet=5, longest=60, poll=300, keep=300)


@dataclass
class Scene:
    """A repository with one round that waits, a clock that is put by hand, and a server that says how far it is."""

    watcher: Watcher
    started: list[tuple[str, int]]
    done: int = 0
    now: float = 0.0
    fault: bool = False

    def at(self, seconds: float, announce: bool = False) -> list[tuple[str, int]]:
        """What is started at this moment."""
        self.now = seconds
        if announce:
            self.watcher.announce()
        before = len(self.started)
        self.watcher.tick()
        return self.started[before:]


def workspace_at(root: Path, finished: tuple[str, ...]) -> Workspace:
    for name in ("params.yaml", "dvc.yaml", "guidelines/classes.yaml"):
        write_text(root / name, "")
    workspace = Workspace.at(root)
    save_round(workspace, Round(3, "g", "o", seconds=dict.fromkeys(finished, 1.0)))
    write_text(workspace.round_folder(3) / "batch.parquet", "")
    return workspace


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    before = STEPS[: STEPS.index("label")]
    workspace_at(tmp_path, STEPS)
    workspace_at(tmp_path / "workspaces" / "tiles", before)
    workspace_at(tmp_path / "workspaces" / "unpushed", before[:-1])
    (tmp_path / "workspaces" / "no workspace").mkdir()
    started: list[tuple[str, int]] = []
    watcher = Watcher(tmp_path, lambda workspace, number: started.append((workspace.name, number)), PACE)
    scene = Scene(watcher, started)
    watcher.clock = lambda: scene.now

    def progress(client: object, target: object) -> RoundProgress:
        if scene.fault:
            raise ServiceError("Label Studio does not answer")
        return RoundProgress(scene.done, 6, scene.done, 6)

    monkeypatch.setattr(watching, "open_round", lambda workspace, state: (client_over(FakeLabelStudio()), None))
    monkeypatch.setattr(watching, "round_progress", progress)
    return scene


def test_a_complete_round_goes_on_when_its_people_are_quiet(scene: Scene) -> None:
    scene.at(0)
    scene.done = 6
    assert scene.at(100, announce=True) == []
    assert scene.at(104, announce=True) == []
    assert scene.at(108.9) == []
    assert scene.at(109) == [("tiles", 3)]
    assert scene.at(120) == []


def test_a_round_that_a_checkout_has_taken_the_tables_of_starts_nothing(scene: Scene) -> None:
    tiles = Workspace(scene.watcher.repository / "workspaces" / "tiles")
    (tiles.round_folder(3) / "batch.parquet").unlink()
    scene.done = 6
    assert scene.at(1000) == []


def test_unending_changes_are_looked_at_all_the_same(scene: Scene) -> None:
    scene.at(0)
    scene.done = 6
    found = [scene.at(second, announce=True) for second in range(100, 161, 3)]
    assert found[:-1] == [[]] * 20
    assert found[-1] == [("tiles", 3)]


def test_a_lost_webhook_costs_minutes(scene: Scene) -> None:
    assert scene.at(0) == []
    scene.done = 6
    assert scene.at(299) == []
    assert scene.at(300) == [("tiles", 3)]


def test_while_people_work_versions_are_kept_now_and_then(scene: Scene) -> None:
    scene.at(0)
    scene.at(10, announce=True)
    assert scene.at(15) == [("tiles", 3)]
    scene.at(100, announce=True)
    assert scene.at(105) == []
    scene.at(310, announce=True)
    assert scene.at(315) == [("tiles", 3)]
    # a poll that finds nothing new starts nothing
    assert scene.at(700) == []


def test_a_fault_in_one_workspace_leaves_the_others(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace_at(scene.watcher.repository / "workspaces" / "broken", STEPS[: STEPS.index("label")])

    def fail(workspace: Workspace, state: Round) -> tuple[Client, None]:
        if workspace.name == "broken":
            raise KeyError("a fault that nobody foresaw")
        return client_over(FakeLabelStudio()), None

    monkeypatch.setattr(watching, "open_round", fail)
    scene.done = 6
    assert scene.at(300) == [("tiles", 3)]


def test_a_server_that_does_not_answer_is_asked_again(scene: Scene) -> None:
    scene.done, scene.fault = 6, True
    assert scene.at(0) == []
    scene.fault = False
    assert scene.at(300) == [("tiles", 3)]
