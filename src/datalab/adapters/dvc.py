"""DVC as a command: it is one process at a time, and its exit code tells.

Where another one is at work in the workspace, ours waits: a person's, or one that outlived a killed flow.
"""

import logging
import os
import re
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import yaml

from datalab.adapters.dvc_notes import note_of, remove_cut_off, workers
from datalab.adapters.files import locked
from datalab.adapters.stage_progress import share_done
from datalab.errors import ServiceError, StateError
from datalab.workspace import Workspace

LOG = logging.getLogger(__name__)
RUNNING = re.compile(r"^Running stage '([^']+)'")
KEPT_LINES = 30
PATIENCE_S = 1800.0
"""How long another dvc command is waited for."""
BETWEEN_TRIES_S = 5.0
BETWEEN_LOOKS_S = 1.0
BUSY = ("is busy, it is being blocked by", "Unable to acquire lock. Most likely another DVC process")
"""DVC's own words: a stage that calls something busy is no reason to wait."""
OTHER_REPOSITORY = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
"""Variables by which git works in another repository than that of the folder it is in."""
HALF_WRITTEN = "Unable to read RWLock-file"


def repro(
    workspace: Workspace,
    targets: Sequence[str] = (),
    on_stage: Callable[[str], None] | None = None,
    on_wait: Callable[[str], None] | None = None,
    on_count: Callable[[float, str], None] | None = None,
) -> list[str]:
    """Run `dvc repro`; returns the stages that ran (none when everything was up to date).

    `on_stage` is called with a stage's name as it starts, `on_wait` with words while another command is waited for,
    `on_count` with the share of its work that a long stage has done, 0 to 1, and its words, such as "embed 1200/10000".
    StateError carries DVC's own last error line; ServiceError where the other command takes longer than PATIENCE_S.
    """
    ran: list[str] = []

    def watch(line: str) -> None:
        match = RUNNING.match(line)
        if match:
            ran.append(match.group(1))
            if on_stage is not None:
                on_stage(match.group(1))
        elif ran and on_count is not None and (share := share_done(line.strip())) is not None:
            on_count(share, line.strip())

    with stages_at_rest(workspace, on_wait) as turn:
        _run(workspace.root, ["repro", *targets], watch, on_wait, turn)
    return ran


def stage_count(workspace: Workspace) -> int:
    """How many stages dvc.yaml has: for the progress of `repro`."""
    return len(yaml.safe_load((workspace.root / "dvc.yaml").read_text(encoding="utf-8"))["stages"])


@contextmanager
def stages_at_rest(workspace: Workspace, on_wait: Callable[[str], None] | None = None) -> Iterator[TextIO]:
    """No stages run in the block, which waits for those that do: for whoever writes what stages read.

    DVC notes what a file was when its stage ends; what changed while the stage ran would count as read. A person's own
    `dvc repro` is waited for, too, ServiceError where it takes longer than PATIENCE_S; one that is started meanwhile
    waits for nobody. The file it gives is the turn: that lasts as long as any process has it open.
    """

    def say() -> None:
        LOG.warning("stages are at work in %s; this goes on when they are done", workspace.root)
        if on_wait is not None:
            on_wait("waiting for stages that are at work in this workspace")

    with locked(workspace.data / "stages", say) as turn:
        assert turn is not None  # it is patient
        _wait_for_others(workspace.root, say)
        yield turn


def _wait_for_others(root: Path, say: Callable[[], None]) -> None:
    until, said = time.monotonic() + PATIENCE_S, False
    while workers(root):
        if time.monotonic() > until:
            raise _busy(root)
        if not said:
            say()
        said = True
        time.sleep(BETWEEN_LOOKS_S)


def _busy(root: Path) -> ServiceError:
    """The error that names who is waited for, as far as DVC has noted it."""
    pids = ", ".join(map(str, workers(root)))
    noted = f" (pid {pids} in {note_of(root)})" if pids else ""
    return ServiceError(f"another dvc command is at work in {root}{noted}; wait for it, then run again")


def add(workspace: Workspace, paths: Sequence[Path], on_wait: Callable[[str], None] | None = None) -> None:
    """Version files and folders that no stage makes; their .dvc files lie beside them. Waits and fails as `repro`."""
    _run(workspace.root, ["add", *(str(path) for path in paths)], on_wait=on_wait)


def initialise(root: Path) -> None:
    """Make `root` a git repository with DVC in it, quiet and without any call home; what is set already stays.

    StateError where git is not installed, or git or DVC refuses, with its own words.
    """
    if not (root / ".git").exists():
        _git_init(root)
    config = root / ".dvc" / "config"
    if not config.exists():
        _run(root, ["init"])
    known = config.read_text(encoding="utf-8")
    for option in ("analytics", "check_update"):
        if not re.search(rf"^\s*{option}\s*=", known, re.MULTILINE):
            _run(root, ["config", f"core.{option}", "false"])


def _git_init(root: Path) -> None:
    command = ["git", "init", "--quiet", str(root)]
    try:
        subprocess.run(command, check=True, env=_environment(), capture_output=True, text=True)
    except FileNotFoundError as exc:
        raise StateError("git is not installed, and DVC needs it; install it and run again") from exc
    except subprocess.CalledProcessError as exc:
        raise StateError(f"git init failed in {root}: {_why(exc.stderr.splitlines())}") from exc


def _environment() -> dict[str, str]:
    """The caller's. Stages call `python`, so the environment that runs us has to come first on the PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    own = {name: value for name, value in os.environ.items() if name not in OTHER_REPOSITORY}
    return {**own, "PATH": path, "DVC_NO_ANALYTICS": "1"}


def _run(
    root: Path,
    arguments: Sequence[str],
    on_line: Callable[[str], None] | None = None,
    on_wait: Callable[[str], None] | None = None,
    turn: TextIO | None = None,
) -> None:
    """`turn` is kept by the command too, which may outlive us."""
    until = time.monotonic() + PATIENCE_S
    while True:
        workers(root)  # what killed commands left in DVC's note would stop this one, or hold it up for ever
        code, lines = _once(root, arguments, on_line, turn)
        if code == 0:
            return
        half_written = any(HALF_WRITTEN in line for line in lines) or remove_cut_off(root, lines)
        if half_written and time.monotonic() < until:
            continue
        if not any(words in line for line in lines for words in BUSY):
            raise StateError(f"dvc {' '.join(arguments)} failed: {_why(lines)} (run it in {root} to see all of it)")
        if time.monotonic() > until:
            raise _busy(root)
        if on_wait is not None:
            on_wait("waiting for another dvc command in this workspace")
        time.sleep(BETWEEN_TRIES_S)


def _why(lines: Sequence[str]) -> str:
    errors = [line for line in lines if line.startswith(("error:", "ERROR:"))]
    # of its own files that it cannot read it speaks first, and shows the place after
    unreadable = [line for line in lines if "is invalid" in line]
    said = [line for line in lines if line.strip()]
    return (errors or unreadable or said or ["it does not say why"])[0].strip()


def _once(
    root: Path, arguments: Sequence[str], on_line: Callable[[str], None] | None, turn: TextIO | None
) -> tuple[int, list[str]]:
    """Exit code and last lines."""
    last: deque[str] = deque(maxlen=KEPT_LINES)
    command = [str(Path(sys.executable).parent / "dvc"), *arguments]
    kept = [] if turn is None else [turn.fileno()]
    with subprocess.Popen(
        command,
        cwd=root,
        env=_environment(),
        pass_fds=kept,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            last.append(line.rstrip())
            if on_line is not None:
                on_line(line)
    return process.returncode, list(last)
