"""DVC as a command: it is one process at a time, and its exit code tells."""

import os
import re
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from datalab.errors import ServiceError, StateError
from datalab.workspace import Workspace

RUNNING = re.compile(r"^Running stage '([^']+)'")
KEPT_LINES = 30


def repro(
    workspace: Workspace, targets: Sequence[str] = (), on_stage: Callable[[str], None] | None = None
) -> list[str]:
    """Run `dvc repro`; returns the stages that ran (none when everything was up to date).

    `on_stage` is called with a stage's name as it starts. StateError carries DVC's own last error line.
    """
    ran: list[str] = []

    def watch(line: str) -> None:
        match = RUNNING.match(line)
        if match:
            ran.append(match.group(1))
            if on_stage is not None:
                on_stage(match.group(1))

    _run(workspace.root, ["repro", *targets], watch)
    return ran


def add(workspace: Workspace, paths: Sequence[Path]) -> None:
    """Version files and folders that no stage makes; their .dvc files lie beside them."""
    _run(workspace.root, ["add", "--quiet", *(str(path) for path in paths)], lambda line: None)


def initialise(root: Path) -> None:
    """Make `root` a git repository with DVC in it, quiet and without any call home; nothing where it is one."""
    if not (root / ".git").exists():
        subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    if not (root / ".dvc" / "config").exists():
        _run(root, ["init", "--quiet"], lambda line: None)
        for option in ("core.analytics", "core.check_update"):
            _run(root, ["config", option, "false"], lambda line: None)


def _run(root: Path, arguments: Sequence[str], on_line: Callable[[str], None]) -> None:
    """Stages call `python`, so the environment that runs us has to come first on the PATH."""
    binaries = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}", "DVC_NO_ANALYTICS": "1"}
    last: deque[str] = deque(maxlen=KEPT_LINES)
    command = [str(binaries / "dvc"), *arguments]
    with subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            last.append(line.rstrip())
            on_line(line)
    if process.returncode != 0:
        _fail(root, arguments, list(last))


def _fail(root: Path, arguments: Sequence[str], lines: list[str]) -> None:
    text = "\n".join(lines)
    if "is busy" in text or "Unable to acquire lock" in text:
        raise ServiceError(f"another dvc command is at work in {root}; wait for it, then run again")
    errors = [line for line in lines if line.startswith(("error:", "ERROR:"))] or lines[-1:]
    raise StateError(f"dvc {' '.join(arguments)} failed: {errors[0].strip()} (run it in {root} to see all of it)")
