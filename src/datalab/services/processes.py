"""Server processes that outlive the command that started them.

A started process leaves <state>/run/NAME.json: its pid, its start time and a random mark that is also in its
environment. Only processes that this record describes are ever signalled: the one with this pid and start time and
what it started, and those that carry the mark (children left over after the first one was killed).
"""

import hashlib
import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import requests

from datalab.adapters.files import read_json, write_json
from datalab.errors import ServiceError
from datalab.services.ports import LOOPBACK

MARK = "DATALAB_SERVICE_MARK"
SAME_START_SECONDS = 1.0
"""Linux derives a start time from the wall clock, which may be put right a little while a server runs."""
FOREIGN_SETTINGS = ("LABEL_STUDIO_", "PREFECT_", "FIFTYONE_", "XDG_")
"""Variables of the caller that would change the servers behind our back."""
NO_PROXY = ("NO_PROXY", "no_proxy")
PROXY, SOCKS = re.compile("_proxy$", re.IGNORECASE), re.compile(r"socks\w*://", re.IGNORECASE)

LAUNCH = """
import os, signal, subprocess, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
with open(sys.argv[1], "wb") as log:
    server = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
print(server.pid, flush=True)
os._exit(0)
"""
"""The launcher ends at once: the server is nobody's child, so that no caller has to wait for it or reap it.

SIGINT, which a shell's `&` makes its commands ignore, is what Prefect's worker sends itself in order to end.
"""


@dataclass(frozen=True)
class Service:
    """How one server is started and how one sees that it is ready."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    """Working directory, made where it is missing."""
    address: str
    """What a person or a client opens."""
    ready: Callable[[], bool]
    start_seconds: float
    """How long a start may take on a slow machine."""
    port: int | None = None
    setting: str = ""
    """The key of .env that names the port."""
    inherits: tuple[str, ...] | None = None
    """The variables that it gets of the caller's environment; None: all that `inherited` leaves."""

    @property
    def digest(self) -> str:
        """Changes when the server has to be started anew to follow its settings; the caller's PATH is none of them."""
        environment = sorted((key, value) for key, value in self.environment.items() if key != "PATH")
        content = json.dumps([self.command, environment, str(self.folder)])
        return hashlib.sha256(content.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Record:
    """What is remembered of a started process. `started` is in seconds since 1970."""

    name: str
    pid: int
    started: float
    mark: str
    digest: str


def start(service: Service, state: Path) -> Record:
    """Start `service` in a session of its own; output goes to <state>/logs/NAME.log, the last one's to NAME.1.log."""
    log = log_file(service.name, state)
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        log.replace(log.with_suffix(".1.log"))
    service.folder.mkdir(parents=True, exist_ok=True)
    mark = secrets.token_hex(16)
    launched = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LAUNCH, str(log), *service.command],
        cwd=service.folder,
        env={**inherited(service.inherits), **service.environment, MARK: mark},
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    if launched.returncode != 0:
        raise ServiceError(f"{service.name} cannot be started: {launched.stderr.strip().splitlines()[-1]}")
    pid = int(launched.stdout)
    record = Record(service.name, pid, _start_time(pid), mark, service.digest)
    try:
        write_json(_record_file(service.name, state), asdict(record))
    except BaseException:
        # a server without a record would hold its port, and nobody could stop it
        _end(record, grace=10.0)
        raise
    return record


def inherited(names: Sequence[str] | None = None) -> dict[str, str]:
    """What a server gets of the caller's environment: none of FOREIGN_SETTINGS, and no proxy for this machine.

    The servers call each other on loopback, with secrets. `names`: none but these; None: any.
    """
    wanted = {key: value for key, value in os.environ.items() if names is None or key in names}
    return past_proxies({key: value for key, value in wanted.items() if not key.startswith(FOREIGN_SETTINGS)})


def past_proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` with no proxy for this machine, and without those that speak SOCKS.

    httpx, by which Prefect calls its server, cannot speak it, and fails for addresses that need no proxy, too.
    """
    kept = {key: value for key, value in environment.items() if not (PROXY.search(key) and SOCKS.match(value))}
    return {**kept, **{key: ",".join(filter(None, [kept.get(key), LOOPBACK, "localhost"])) for key in NO_PROXY}}


def find(name: str, state: Path) -> Record | None:
    """The record of a running process; None where it was never started or has ended."""
    record = _recorded(name, state)
    return record if record is not None and is_running(record) else None


def is_running(record: Record) -> bool:
    """Whether the very process that was started is still there."""
    return _process(record) is not None


def stop(name: str, state: Path, grace: float = 10.0) -> bool:
    """End a service and everything it started: SIGTERM, after `grace` seconds SIGKILL. False where nothing ran."""
    record = _recorded(name, state)
    if record is None:
        return False
    ended = _end(record, grace)
    _record_file(name, state).unlink(missing_ok=True)
    return ended


def wait_until_ready(service: Service, record: Record, state: Path, cancelled: Callable[[], bool]) -> None:
    """Return when `service` answers; ServiceError with its last words when it ends first, or takes too long."""
    deadline = time.monotonic() + service.start_seconds
    log = log_file(service.name, state)
    while True:
        answered = service.ready()
        # looked at after the answer: another program may have given it, on the port that this one could not have
        if not is_running(record):
            raise ServiceError(f"{service.name} ended while starting: {last_line(log)} (all of it is in {log})")
        if answered:
            return
        if cancelled():
            raise ServiceError(f"{service.name} was stopped while starting")
        if time.monotonic() > deadline:
            seconds = f"{service.start_seconds:.0f} s"
            raise ServiceError(
                f"{service.name} gave no answer in {seconds}; it last wrote: {last_line(log)} (see {log})"
            )
        time.sleep(0.2)


def answers(url: str) -> bool:
    """Whether GET `url` gives a success; never through a proxy."""
    with requests.Session() as session:
        session.trust_env = False
        try:
            return session.get(url, timeout=5).ok
        except requests.RequestException:
            return False


def last_line(log: Path) -> str:
    """The last line of a log that has something in it."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it wrote nothing"


def log_file(name: str, state: Path) -> Path:
    """Where the output of a service goes."""
    return state / "logs" / f"{name}.log"


def _record_file(name: str, state: Path) -> Path:
    return state / "run" / f"{name}.json"


def _recorded(name: str, state: Path) -> Record | None:
    path = _record_file(name, state)
    return Record(**read_json(path)) if path.exists() else None


def _start_time(pid: int) -> float:
    """0 where the process has ended already, which no record of a running process has."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return 0.0


def _process(record: Record) -> psutil.Process | None:
    try:
        process = psutil.Process(record.pid)
        same = abs(process.create_time() - record.started) < SAME_START_SECONDS
    except psutil.NoSuchProcess:
        return None
    return process if same and _lives(process) else None


def _end(record: Record, grace: float) -> bool:
    """End the process and all that belongs to it; False where nothing ran."""
    members = _members(record)
    _signal(members, psutil.Process.terminate)
    # a child born after the first look carries the mark too
    stubborn = list({*_still_there(members, grace), *_members(record)})
    _signal(stubborn, psutil.Process.kill)
    _still_there(stubborn, grace)
    return bool(members)


def _members(record: Record) -> list[psutil.Process]:
    leader = _process(record)
    tree = [leader, *leader.children(recursive=True)] if leader is not None else []
    marked = [process for process in psutil.process_iter() if _mark_of(process) == record.mark]
    return list({*tree, *marked})


def _mark_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK)
    except (psutil.Error, OSError):
        return None


def _signal(processes: list[psutil.Process], send: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        try:
            send(process)
        except psutil.NoSuchProcess:
            continue


def _still_there(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that have not ended after at most `seconds`."""
    deadline = time.monotonic() + seconds
    alive = [process for process in processes if _lives(process)]
    while alive and time.monotonic() < deadline:
        time.sleep(0.05)
        alive = [process for process in alive if _lives(process)]
    return alive


def _lives(process: psutil.Process) -> bool:
    """A zombie has ended; in a container nobody may ever collect it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
