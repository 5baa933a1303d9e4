"""What DVC keeps for itself, writes in place and leaves half-written when it is killed.

`.dvc/tmp/rwlock` notes which command reads and writes what, in force until a stage's end is saved; `dvc.lock` and the
`.dvc` files say what was made of what.
"""

import fcntl
import json
import logging
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

LOG = logging.getLogger(__name__)
UNREADABLE = re.compile(r"^'(.+)' (?:is invalid|validation failed)(?! \(possible merge conflicts\))")
"""DVC's own words; a merge is a person's to end."""
SETTLED_S = 1.0
"""Longer than a live command takes to write a file."""
START_ERROR_S = 1.0
"""How far off the start of a process may be: it is counted from the machine's, which is known to the second."""


def workers(root: Path) -> list[int]:
    """Processes of the dvc commands that live and have a stage or a file of the repository at `root` in hand.

    What killed commands left in the note does not count. Where there is nothing else in it, or it is half-written, it
    is removed: DVC would wait for whoever has their process number now, and stop at what it cannot read.
    """
    note = note_of(root)
    if not note.exists():
        return []
    with _guarded(note):
        alive = sorted(pid for pid in set(_pids(_read(note))) if _has_written(pid, note))
        if not alive:
            note.unlink(missing_ok=True)
    return alive


def remove_cut_off(root: Path, lines: Sequence[str]) -> bool:
    """Whether DVC says in these lines that it cannot read a file of its own; that is removed, and made anew next time.

    From what is there: stages that were run are found in DVC's run cache. Not while a command that lives may be writing
    it. What a person writes, dvc.yaml, stays and is an error.
    """
    named = [root / match[1] for line in lines if (match := UNREADABLE.match(line))]
    own = [path for path in named if (path.name == "dvc.lock" or path.suffix == ".dvc") and path.exists()]
    cut_off = {path: path.stat().st_mtime_ns for path in own}
    if cut_off:
        time.sleep(SETTLED_S)
    for path, written in cut_off.items():
        if not workers(root) and path.exists() and path.stat().st_mtime_ns == written:
            LOG.warning("%s was left half-written by a dvc that was killed; it is made anew", path)
            path.unlink()
    return bool(cut_off)


def note_of(root: Path) -> Path:
    """Where the note lies."""
    return root / ".dvc" / "tmp" / "rwlock"


@contextmanager
def _guarded(note: Path) -> Iterator[None]:
    """Nobody changes the note in the block: DVC itself takes this lock for the moment in which it does."""
    with note.with_name(f"{note.name}.lock").open("a", encoding="utf-8") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield


def _read(note: Path) -> Any:
    """{} where there is none by now, or where a killed command left half of it."""
    try:
        return json.loads(note.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return {}


def _has_written(pid: int, note: Path) -> bool:
    """Whether the process is in the note for itself: one that is younger has the number of one that was killed."""
    try:
        started = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return False
    return started <= note.stat().st_mtime + START_ERROR_S


def _pids(note: Any) -> Iterator[int]:
    """Of the commands in `{"write": {path: command}, "read": {path: [command, ...]}}`."""
    for command in note.get("write", {}).values():
        yield int(command["pid"])
    for commands in note.get("read", {}).values():
        yield from (int(command["pid"]) for command in commands)
