"""When a round that waits for people goes on: after a webhook, and without one within minutes."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from datalab.adapters.label_studio.pull import round_progress
from datalab.errors import DatalabError
from datalab.rounds.labeling import open_round
from datalab.rounds.restoring import is_of_another_commit
from datalab.rounds.state import Round, latest_round
from datalab.workspace import Workspace

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pace:
    """Seconds."""

    quiet: float = 5.0
    """After a change nothing may change for so long before anybody looks: people submit in quick succession."""
    longest: float = 60.0
    """However many changes come, somebody looks so often."""
    poll: float = 300.0
    """The net: looks that no webhook has asked for, so that a lost one costs no more than this."""
    keep: float = 300.0
    """While people are still at work the flow runs this often at most, to keep the versions of their answers."""


@dataclass
class Watcher:
    """Looks at the rounds below `repository` (itself and workspaces/*) that wait for people, and starts the flow.

    `start` gets the workspace and the number of its round.
    """

    repository: Path
    start: Callable[[Workspace, int], None]
    pace: Pace = field(default_factory=Pace)
    clock: Callable[[], float] = time.monotonic
    _first: float | None = None
    _last: float = 0.0
    _polled: float = float("-inf")
    _kept: dict[Path, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def announce(self) -> None:
        """Something has changed somewhere; returns at once."""
        with self._lock:
            self._last = self.clock()
            self._first = self._last if self._first is None else self._first

    def tick(self) -> bool:
        """Look where it is time to; whether it was."""
        now = self.clock()
        with self._lock:
            told = self._first is not None and (
                now - self._last >= self.pace.quiet or now - self._first >= self.pace.longest
            )
            if told:
                self._first = None
            elif now - self._polled < self.pace.poll:
                return False
            self._polled = now
        for workspace, state in self.waiting():
            try:
                self._look(workspace, state, told)
            except DatalabError as exc:
                LOG.warning("%s: %s", workspace.root, exc)
            except Exception:  # the others have to be looked at all the same
                LOG.exception("looking at %s failed", workspace.root)
        return True

    def waiting(self) -> Iterator[tuple[Workspace, Round]]:
        """The workspaces whose newest round waits for people."""
        for folder in (self.repository, *sorted((self.repository / "workspaces").glob("*/"))):
            try:
                workspace = Workspace.at(folder)
                state = latest_round(workspace)
            except DatalabError:
                continue  # no workspace, or none that can be read: its own commands say so
            if state is not None and state.due == "label" and not is_of_another_commit(workspace, state):
                yield workspace, state

    def run(self, stop: threading.Event) -> None:
        """Tick every second until `stop` is set."""
        while not stop.wait(1.0):
            try:
                self.tick()
            except Exception:  # the net must not tear; the traceback is in the log
                LOG.exception("looking at the rounds failed")

    def _look(self, workspace: Workspace, state: Round, told: bool) -> None:
        client, target = open_round(workspace, state)
        with client.session:
            complete = round_progress(client, target).complete
        now = self.clock()
        if complete or (told and now - self._kept.get(workspace.root, float("-inf")) >= self.pace.keep):
            self.start(workspace, state.number)
            self._kept[workspace.root] = now
