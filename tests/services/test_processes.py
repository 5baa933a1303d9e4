"""Real processes, small ones: what is started, what is stopped, and what is never touched."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from datalab.adapters.files import read_json, write_json
from datalab.errors import ServiceError
from datalab.services import processes
from datalab.services.processes import (
    Service,
    find,
    last_line,
    log_file,
    past_proxies,
    start,
    stop,
    wait_until_ready,
)

NAME = "small"
SLEEP = "import time; print('awake', flush=True); time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP
PARENT = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); " + SLEEP


def service(folder: Path, script: str) -> Service:
    log = log_file(NAME, folder)
    return Service(
        name=NAME,
        command=(sys.executable, "-c", script),
        environment={"FROM_SERVICE": "1"},
        folder=folder / "work",
        address="nowhere",
        ready=lambda: log.exists() and "awake" in log.read_text(),
        start_seconds=30.0,
    )


def never() -> bool:
    return False


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    stop(NAME, tmp_path, grace=0.0)


def test_start_find_stop(state: Path) -> None:
    small = service(state, SLEEP)
    record = start(small, state)
    wait_until_ready(small, record, state, never)
    assert find(NAME, state) == record
    process = psutil.Process(record.pid)
    assert process.ppid() != os.getpid()
    assert os.getsid(record.pid) != os.getsid(0)
    assert process.cwd() == str((state / "work").resolve())
    assert stop(NAME, state)
    assert find(NAME, state) is None
    assert not stop(NAME, state)


def test_the_callers_settings_of_the_servers_do_not_leak_in(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://elsewhere")
    monkeypatch.setenv("UNRELATED", "kept")
    environment = psutil.Process(start(service(state, SLEEP), state).pid).environ()
    assert "PREFECT_API_URL" not in environment
    assert environment["UNRELATED"] == "kept"
    assert environment["FROM_SERVICE"] == "1"


def test_a_server_that_names_what_it_inherits_gets_nothing_else(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "of another program")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    choosy = replace(service(state, SLEEP), inherits=("TZ",))
    environment = psutil.Process(start(choosy, state).pid).environ()
    assert environment["TZ"] == "Europe/Berlin"
    assert set(environment) - {"LC_CTYPE"} == {"TZ", "NO_PROXY", "no_proxy", "FROM_SERVICE", processes.MARK}


def test_servers_reach_each_other_without_the_callers_proxy(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "intranet.example")
    monkeypatch.delenv("no_proxy", raising=False)
    environment = psutil.Process(start(service(state, SLEEP), state).pid).environ()
    assert environment["NO_PROXY"] == "intranet.example,127.0.0.1,localhost"
    assert environment["no_proxy"] == "127.0.0.1,localhost"


@pytest.mark.parametrize("name", ["ALL_PROXY", "all_proxy", "HTTP_PROXY", "https_proxy"])
@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "SOCKS4", "http"])
def test_a_proxy_that_prefect_cannot_speak_to_is_left_out(name: str, scheme: str) -> None:
    environment = past_proxies({name: f"{scheme}://proxy.example:1080", "SHELL": "socks://"})
    assert (name in environment) is (scheme == "http")
    assert environment["SHELL"] == "socks://"


def test_a_caller_in_the_background_does_not_make_it_deaf_to_sigint(state: Path) -> None:
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        small = service(state, "import signal; print(signal.getsignal(signal.SIGINT).__name__, 'awake')")
        start(small, state)
    finally:
        signal.signal(signal.SIGINT, handler)
    wait_for(small.ready)
    assert last_line(log_file(NAME, state)) == "default_int_handler awake"


def test_a_server_that_dies_is_told_by_its_last_words(state: Path) -> None:
    small = service(state, "print('first'); print('no such database')")
    with pytest.raises(ServiceError, match="small ended while starting: no such database") as caught:
        wait_until_ready(small, start(small, state), state, never)
    assert "\n" not in str(caught.value)


def test_an_answer_of_somebody_else_on_its_port_is_not_its_own(state: Path) -> None:
    small = replace(service(state, "print('address already in use')"), ready=lambda: find(NAME, state) is None)
    with pytest.raises(ServiceError, match="small ended while starting: address already in use"):
        wait_until_ready(small, start(small, state), state, never)


def test_a_server_that_cannot_be_recorded_is_ended(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []

    def disk_is_full(path: Path, content: dict[str, int]) -> None:
        started.append(content["pid"])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(processes, "write_json", disk_is_full)
    with pytest.raises(OSError, match="No space left"):
        start(service(state, SLEEP), state)
    (pid,) = started
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_program_that_does_not_exist_is_told(state: Path) -> None:
    small = replace(service(state, ""), command=("/no/such/program",))
    with pytest.raises(ServiceError, match=r"small cannot be started: .*/no/such/program"):
        start(small, state)


def test_a_server_that_never_answers_is_told(state: Path) -> None:
    small = replace(service(state, SLEEP), ready=never, start_seconds=0.0)
    with pytest.raises(ServiceError, match="small gave no answer in 0 s"):
        wait_until_ready(small, start(small, state), state, never)


def test_waiting_can_be_called_off(state: Path) -> None:
    small = replace(service(state, SLEEP), ready=never)
    with pytest.raises(ServiceError, match="small was stopped while starting"):
        wait_until_ready(small, start(small, state), state, lambda: True)


@pytest.mark.slow
def test_one_that_ignores_sigterm_is_killed(state: Path) -> None:
    small = service(state, STUBBORN)
    record = start(small, state)
    wait_until_ready(small, record, state, never)
    assert stop(NAME, state, grace=0.2)
    wait_for(lambda: not psutil.pid_exists(record.pid) or psutil.Process(record.pid).status() == "zombie")


@pytest.mark.parametrize("killed_first", [False, True])
def test_children_end_with_it_also_when_it_was_killed_before(state: Path, killed_first: bool) -> None:
    small = service(state, PARENT)
    record = start(small, state)
    log = log_file(NAME, state)
    wait_for(lambda: log.read_text().count("awake") == 2)
    (child,) = psutil.Process(record.pid).children()
    if killed_first:
        psutil.Process(record.pid).kill()
        wait_for(lambda: find(NAME, state) is None)
        assert child.is_running()
    assert stop(NAME, state)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def stranger() -> Iterator[psutil.Process]:
    with subprocess.Popen([sys.executable, "-c", SLEEP], stdout=subprocess.DEVNULL) as process:
        yield psutil.Process(process.pid)
        process.kill()


def test_a_stranger_with_the_recorded_pid_is_left_alone(state: Path, stranger: psutil.Process) -> None:
    start(service(state, "pass"), state)
    wait_for(lambda: find(NAME, state) is None)
    record_file = state / "run" / f"{NAME}.json"
    earlier = stranger.create_time() - 100
    write_json(record_file, {**read_json(record_file), "pid": stranger.pid, "started": earlier})
    assert find(NAME, state) is None
    assert not stop(NAME, state)
    assert stranger.is_running()


def test_the_log_before_the_last_start_is_kept(state: Path) -> None:
    for words in ("one", "two"):
        small = service(state, f"print({words!r} + ' awake')")
        start(small, state)
        wait_for(small.ready)
    assert last_line(log_file(NAME, state)) == "two awake"
    assert last_line(state / "logs" / "small.1.log") == "one awake"


def test_the_digest_follows_the_settings_but_not_the_path(state: Path) -> None:
    small = service(state, SLEEP)
    assert replace(small, environment={"FROM_SERVICE": "1", "PATH": "/other"}).digest == small.digest
    assert replace(small, environment={"FROM_SERVICE": "2"}).digest != small.digest
    assert replace(small, command=("true",)).digest != small.digest
