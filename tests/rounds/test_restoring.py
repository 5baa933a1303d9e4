import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from datalab.adapters.dvc import add, initialise
from datalab.adapters.files import read_table
from datalab.errors import InputError, StateError
from datalab.rounds.restoring import restore_rounds
from datalab.rounds.state import STEPS, Round, latest_round, load_round, round_numbers, save_round
from datalab.tables import BATCH
from datalab.workspace import Workspace
from tests.stages.rounds_folder import without_drawings, write_round

ROOT = Path(__file__).parents[2]


def test_rounds_that_came_back_without_their_state_are_over(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for number in (1, 2):
        write_round(workspace.rounds, f"{number:04d}", [("a", "ann", [])])
        without_drawings(workspace.rounds / f"{number:04d}" / "annotations.parquet")
    assert latest_round(workspace) is None
    assert restore_rounds(workspace) == [1, 2]
    latest = latest_round(workspace)
    assert latest is not None
    assert (latest.number, latest.due, latest.guideline_version, latest.ontology_hash) == (2, None, "g", "o")
    assert restore_rounds(workspace) == []


def test_a_round_with_its_state_stays_as_it_is(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    write_round(workspace.rounds, "0001", [("a", "ann", [])])
    save_round(workspace, Round(1, "g", "o", seconds={"ingest": 1.0}))
    assert restore_rounds(workspace) == []
    assert load_round(workspace, 1).due == "choose"


def test_a_batch_without_answers_or_state_is_told(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    write_round(workspace.rounds, "0001", [("a", "ann", [])])
    (workspace.rounds / "0001" / "annotations.parquet").unlink()
    with pytest.raises(StateError, match=r"0001 has a batch and no round\.json; put that back, or remove the folder"):
        restore_rounds(workspace)


def test_states_of_rounds_of_another_commit_are_put_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    workspace = Workspace(tmp_path)
    write_round(workspace.rounds, "0001", [("a", "ann", [])])
    for number, steps in ((1, STEPS), (2, STEPS), (3, STEPS[:4]), (4, STEPS[:1])):
        save_round(workspace, Round(number, "g", "o", seconds=dict.fromkeys(steps, 1.0)))
    workspace.rounds_aside.mkdir()
    (workspace.rounds_aside / "0002.json").write_text("of long ago")
    assert restore_rounds(workspace) == []
    # the fourth has not been chosen yet: it needs no batch
    assert round_numbers(workspace) == [1, 4]
    assert sorted(path.name for path in workspace.rounds_aside.iterdir()) == ["0002.json", "0003.json"]
    assert "of long ago" not in (workspace.rounds_aside / "0002.json").read_text()
    aside = workspace.rounds_aside
    assert caplog.messages == [f"round(s) 0002, 0003 without batch.parquet: of another commit, put aside in {aside}"]


@pytest.mark.slow
def test_rounds_follow_a_checkout_of_an_older_commit_and_back(tmp_path: Path) -> None:
    initialise(tmp_path)
    for name in (".dvcignore", ".gitignore"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    workspace = Workspace(tmp_path)
    for number in (1, 2):
        write_round(workspace.rounds, f"{number:04d}", [("a", "ann", [])])
        save_round(workspace, Round(number, "g", "o", seconds=dict.fromkeys(STEPS, 1.0)))
        add(workspace, [workspace.rounds])
        run(tmp_path, "git", "add", "-A")
        run(tmp_path, "git", "-c", "user.name=ann", "-c", "user.email=ann@x.org", "commit", "-qm", f"Round {number}")
    go_to(tmp_path, "HEAD~1")
    assert [path.name for path in workspace.round_folder(2).iterdir()] == ["round.json"]
    assert restore_rounds(workspace) == []
    assert round_numbers(workspace) == [1]
    go_to(tmp_path, "-")
    assert restore_rounds(workspace) == [2]
    assert batch_of(workspace, 2) == ["a"]


@pytest.mark.slow
def test_the_advice_for_a_lost_table_leaves_the_open_round_alone(tmp_path: Path) -> None:
    initialise(tmp_path)
    workspace = Workspace(tmp_path)
    write_round(workspace.rounds, "0001", [("a", "ann", [])])
    add(workspace, [workspace.rounds])
    write_round(workspace.rounds, "0002", [("b", "ann", [])])
    (workspace.round_folder(1) / "batch.parquet").unlink()
    with pytest.raises(InputError) as caught:
        batch_of(workspace, 1)
    _, command, _ = str(caught.value).split("`")
    run(tmp_path, Path(sys.executable).parent / "dvc", *command.split()[1:])
    assert [batch_of(workspace, number) for number in (1, 2)] == [["a"], ["b"]]


def go_to(root: Path, commit: str) -> None:
    run(root, "git", "checkout", "--quiet", commit)
    run(root, Path(sys.executable).parent / "dvc", "checkout", "--quiet")


def run(root: Path, *command: str | Path) -> None:
    subprocess.run(command, cwd=root, check=True)


def batch_of(workspace: Workspace, number: int) -> list[str]:
    return list(read_table(workspace.round_folder(number) / "batch.parquet", BATCH)["image_id"])
