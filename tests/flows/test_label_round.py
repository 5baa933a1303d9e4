"""Two runs that meet in one workspace."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

import label_round
from datalab.adapters.files import write_table, write_text
from datalab.rounds.opening import Source
from datalab.rounds.state import NOT_LEARNED, STEPS, Round, save_round
from datalab.tables import BATCH, empty
from datalab.workspace import BASE, Workspace
from label_round import _is_finished, advance, alone, current_round, waits


def test_the_second_run_goes_away_where_it_has_no_patience(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with alone(workspace, patient=True) as first:
        with alone(workspace, patient=False) as second:
            assert (first, second) == (True, False)
        with alone(Workspace(tmp_path / "other"), patient=False) as elsewhere:
            assert elsewhere
    with alone(workspace, patient=False) as later:
        assert later


def test_a_patient_run_says_that_it_waits_and_begins_when_the_other_one_is_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    workspace = Workspace(tmp_path)
    order: list[str] = []

    def second() -> None:
        with alone(workspace, patient=True) as mine:
            order.append(f"second {mine}")

    told = threading.Event()
    handler = logging.Handler()
    handler.emit = lambda record: told.set()  # type: ignore[method-assign]
    logging.getLogger("datalab.label_round").addHandler(handler)
    with alone(workspace, patient=True):
        other = threading.Thread(target=second)
        other.start()
        assert told.wait(10)
        order.append("first")
    other.join(10)
    assert order == ["first", "second True"]


def test_a_round_that_nothing_can_be_learned_from_ends_and_the_next_one_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    workspace = Workspace(tmp_path)
    (workspace.guidelines).mkdir()
    (workspace.guidelines / "classes.yaml").write_text("classes: [{id: 1, name: coin, color: '#e69f00'}]")
    save_round(workspace, Round(1, "g", "o", seconds=dict.fromkeys(STEPS[: STEPS.index("learn")], 1.0)))
    write_table(workspace.round_folder(1) / "batch.parquet", empty(BATCH))
    steps: list[str] = []

    def run_step(step: str, *_: object) -> dict[str, Any]:
        steps.append(step)
        return {NOT_LEARNED: "round 0001 ends without a model: too few images"}

    for name in ("create_progress_artifact", "update_progress_artifact", "create_table_artifact"):
        monkeypatch.setattr(label_round, name, lambda *_, **__: uuid4())
    monkeypatch.setattr(label_round, "run_step", run_step)
    monkeypatch.setattr(label_round, "get_run_logger", lambda: logging.getLogger("tests"))
    assert advance(workspace, Source(), wait=False) == 1
    assert steps == ["learn"]
    assert "ends without a model: too few images" in caplog.text
    assert (current_round(workspace).number, current_round(workspace).due) == (2, "ingest")


def test_the_receiver_waits_for_no_round_of_another_commit(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    save_round(workspace, Round(1, "g", "o", seconds=dict.fromkeys(STEPS[: STEPS.index("label")], 1.0)))
    assert not waits(workspace, 1)
    write_table(workspace.round_folder(1) / "batch.parquet", empty(BATCH))
    assert waits(workspace, 1)
    assert not waits(workspace, 2)


def test_a_round_that_another_run_has_put_aside_is_not_finished(tmp_path: Path) -> None:
    """This run saw it before it waited for the other one."""
    workspace = Workspace(tmp_path)
    save_round(workspace, Round(1, "g", "o", seconds=dict.fromkeys(STEPS, 1.0)))
    assert _is_finished(workspace, 1)
    save_round(workspace, Round(2, "g", "o"))
    assert not _is_finished(workspace, 2)
    (workspace.round_folder(2) / "round.json").unlink()
    assert not _is_finished(workspace, 2)


@pytest.mark.parametrize("images", ["photos", ""])
def test_a_run_says_that_it_has_not_looked_at_images_where_another_one_has_finished_the_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, images: str
) -> None:
    workspace = Workspace(tmp_path)
    for name in BASE:
        write_text(tmp_path / name, "")
    save_round(workspace, Round(1, "g", "o", seconds=dict.fromkeys(STEPS[:-1], 1.0)))

    @contextmanager
    def finished_by_another(*_: object, **__: object) -> Iterator[bool]:
        save_round(workspace, Round(1, "g", "o", seconds=dict.fromkeys(STEPS, 1.0)))
        yield True

    monkeypatch.setattr(label_round, "alone", finished_by_another)
    monkeypatch.setattr(label_round, "get_run_logger", lambda: logging.getLogger("tests"))
    assert label_round.label_round.fn(str(tmp_path), images=images) == 1
    told = ["photos was not looked at: another run has finished the round; run this again"] if images else []
    assert [one.getMessage() for one in caplog.records] == told
