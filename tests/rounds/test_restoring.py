from pathlib import Path

import pytest

from datalab.errors import StateError
from datalab.rounds.restoring import restore_rounds
from datalab.rounds.state import Round, latest_round, load_round, save_round
from datalab.workspace import Workspace
from tests.stages.rounds_folder import write_round


def test_rounds_that_came_back_without_their_state_are_over(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for number in (1, 2):
        write_round(workspace.rounds, f"{number:04d}", [("a", "ann", [])])
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
