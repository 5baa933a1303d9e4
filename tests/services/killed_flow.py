"""label-round as a process of its own, and its sudden death."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from datalab.rounds.opening import Source
from datalab.rounds.state import STEPS, latest_round
from datalab.workspace import Workspace
from tests.services.conftest import ROOT

RUN = "import sys; from label_round import label_round; label_round(*sys.argv[1:])"
KILLS = {**dict.fromkeys(STEPS, 1), "label": 0, "learn": 3}
"""Wanted in each step. In `label` people work, and no process runs."""
LEARN_S = 20.0
"""`learn` is killed in its first seconds, which are those of another stage each time."""
MOST_RUNS = 3 * sum(KILLS.values())


class Flow:
    """A run of the flow. Its process leads a group, to which everything it starts belongs."""

    def __init__(self, workspace: Workspace, source: Source, api: str, log: Path) -> None:
        self.log = log
        paths = (workspace.root, source.images or "", source.masks or "")
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", RUN, *map(str, paths)],
                cwd=ROOT / "flows",
                env={**os.environ, "PREFECT_API_URL": api, "PREFECT_LOGGING_LEVEL": "INFO"},
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> "Flow":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill(with_children=True)

    def is_at(self, step: str) -> bool:
        """Whether the step has begun, waiting for it; False where the process ends before."""
        while self.process.poll() is None:
            if f": {step}\n" in self.log.read_text(encoding="utf-8"):
                return True
            time.sleep(0.01)
        return False

    def kill(self, with_children: bool) -> bool:
        """As a power cut does, or as the kernel does to one that takes too much memory; False where it had ended."""
        if self.process.poll() is not None:
            return False
        if with_children:
            os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.kill()
        return self.process.wait() == -signal.SIGKILL

    def end(self) -> None:
        """Wait for its good end."""
        assert self.process.wait(timeout=600) == 0, self.log.read_text(encoding="utf-8")


def killed_in_every_step(
    workspace: Workspace, start: Callable[[], Flow], label: Callable[[], object], lasts: dict[str, float]
) -> list[tuple[str, bool]]:
    """Run a round to its end with all the deaths of KILLS: which step, and whether its children died with it.

    `label` does the people's work. A step that is over sooner than `lasts` says may not be hit.
    """
    rng = np.random.default_rng(0)
    left, deaths = dict(KILLS), list[tuple[str, bool]]()
    for _ in range(MOST_RUNS):
        state = latest_round(workspace)
        due = STEPS[0] if state is None else state.due
        if due is None:  # another run would open the next round
            return deaths
        if due == "label":
            label()
        victim = next((step for step in STEPS[STEPS.index(due) :] if left[step]), None)
        with start() as flow:
            if victim is not None and flow.is_at(victim):
                time.sleep(rng.uniform(0, LEARN_S if victim == "learn" else lasts[victim]))
                with_children = len(deaths) % 2 == 1
                left[victim] -= 1
                if flow.kill(with_children):
                    deaths.append((victim, with_children))
                    continue
            flow.end()
    raise AssertionError(f"not over after {MOST_RUNS} runs: {deaths}")
