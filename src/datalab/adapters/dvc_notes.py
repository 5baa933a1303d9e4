"""DVC's own note of which command reads and writes what: `.dvc/tmp/rwlock`, in force until a stage's end is saved."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

SETTLED_S = 1.0
"""Longer than a live command takes to write the note, in place."""


def at_work(root: Path) -> bool:
    """Whether a dvc command that lives has a stage or a file of the repository at `root` in hand.

    What killed commands left in the note does not count; where they left it half-written, it is removed.
    """
    found = _read(root)
    if found is None:
        time.sleep(SETTLED_S)
        remove_half_written(root)
        return _note(root).exists()
    return any(psutil.pid_exists(pid) for pid in _pids(found))


def remove_half_written(root: Path) -> None:
    """Remove the note where nobody can read it: a killed command left it.

    Another command may have made it anew by now; then it stays.
    """
    if _read(root) is None:
        _note(root).unlink(missing_ok=True)


def _read(root: Path) -> Any:
    """The note, {} where there is none; None where it is half-written."""
    try:
        return json.loads(_note(root).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (json.JSONDecodeError, UnicodeDecodeError):
        return None


def _note(root: Path) -> Path:
    return root / ".dvc" / "tmp" / "rwlock"


def _pids(note: Any) -> Iterator[int]:
    """Of the commands in `{"write": {path: command}, "read": {path: [command, ...]}}`."""
    for command in note.get("write", {}).values():
        yield int(command["pid"])
    for commands in note.get("read", {}).values():
        yield from (int(command["pid"]) for command in commands)
