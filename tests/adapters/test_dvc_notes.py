import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from datalab.adapters import dvc
from datalab.adapters.dvc import stages_at_rest
from datalab.adapters.dvc_notes import note_of, remove_cut_off, workers
from datalab.errors import ServiceError
from datalab.workspace import Workspace


def noted(root: Path, *pids: int) -> dict[str, Any]:
    """A note in which these processes read a file, and the first one writes another."""
    commands = [{"pid": pid, "cmd": "dvc repro"} for pid in pids]
    note = {"write": {"/w/out": commands[0]}, "read": {"/w/in": commands}}
    note_of(root).parent.mkdir(parents=True, exist_ok=True)
    note_of(root).write_text(json.dumps(note))
    return note


def killed() -> int:
    """The number of a process that is gone."""
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    return gone.pid


def written_before_the_machine_started(root: Path) -> None:
    os.utime(note_of(root), (0, 0))


def test_without_a_note_nobody_is_at_work(tmp_path: Path) -> None:
    assert workers(tmp_path) == []


def test_notes_of_killed_commands_do_not_count(tmp_path: Path) -> None:
    noted(tmp_path, killed())
    assert workers(tmp_path) == []
    noted(tmp_path, killed(), os.getpid())
    assert workers(tmp_path) == [os.getpid()]
    assert note_of(tmp_path).exists()


def test_a_process_that_got_the_number_of_a_killed_command_is_not_waited_for(tmp_path: Path) -> None:
    noted(tmp_path, os.getpid())
    written_before_the_machine_started(tmp_path)
    assert workers(tmp_path) == []
    assert not note_of(tmp_path).exists()


def test_what_is_half_written_is_cleared_away(tmp_path: Path) -> None:
    noted(tmp_path, os.getpid())
    note_of(tmp_path).write_text('{"read": {"/w/in"')
    assert workers(tmp_path) == []
    assert not note_of(tmp_path).exists()


def test_who_is_waited_for_in_vain_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dvc, "PATIENCE_S", -1.0)
    noted(tmp_path, os.getpid())
    named = rf"at work in {tmp_path} \(pid {os.getpid()} in {note_of(tmp_path)}\); wait for it, then run again"
    with pytest.raises(ServiceError, match=named), stages_at_rest(Workspace(tmp_path)):
        pass


@pytest.mark.slow
def test_what_a_living_command_may_be_writing_is_not_removed(tmp_path: Path) -> None:
    lock, told = tmp_path / "dvc.lock", ["'./dvc.lock' validation failed."]
    lock.touch()
    noted(tmp_path, os.getpid())
    assert remove_cut_off(tmp_path, told) and lock.exists()
    note_of(tmp_path).unlink()
    assert remove_cut_off(tmp_path, told) and not lock.exists()
    assert not remove_cut_off(tmp_path, told)
