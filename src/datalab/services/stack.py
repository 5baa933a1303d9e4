"""All services of this machine together: up, down, status.

Everything they keep lies in <repository>/.datalab: run/ (what is running), logs/, one folder per server, media/.
"""

import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from datalab.adapters.files import locked, readable_disk_errors
from datalab.errors import ServiceError, StateError
from datalab.services import click_to_mask, fiftyone_app, label_studio, mongo, prefect, receiver
from datalab.services.environment import ensure_env
from datalab.services.ports import Ports, holder_of, is_free_soon
from datalab.services.processes import Service, find, is_running, start, stop, wait_until_ready
from datalab.services.progress import Report, progress_lines
from datalab.settings import Settings

CHAINS = (
    (label_studio.NAME,),
    (prefect.NAME, prefect.WORKER),
    (mongo.NAME, fiftyone_app.NAME),
    (click_to_mask.NAME,),
    (receiver.NAME,),
)
"""Chains start side by side; within one, each service needs those before it."""
NAMES = tuple(name for chain in CHAINS for name in chain)
TURN = "lock"
"""One `up` or `down` at a time; a second one waits for the first."""


@dataclass(frozen=True)
class Addresses:
    """What to open in a browser, and MongoDB's address for programs."""

    label_studio: str
    prefect: str
    fiftyone: str
    mongo: str

    def shown(self) -> dict[str, str]:
        """Name and address of what people open in a browser."""
        return {"Label Studio": self.label_studio, "Prefect": self.prefect, "FiftyOne": self.fiftyone}


@dataclass(frozen=True)
class ServiceStatus:
    """One service now. `pid` is None where it does not run; `healthy` where it also answers."""

    name: str
    address: str
    pid: int | None
    healthy: bool


def up(
    repository: Path, ports: Ports | None = None, services: Collection[str] = NAMES, report: Report | None = None
) -> Addresses:
    """Start those of `services` that are not running and return when all of them answer.

    The first call writes <repository>/.env; `ports` replace those in it. A service whose settings have changed since
    it was started is started anew. Where one does not come up: ServiceError, and what this call started is stopped.
    Without a `report` each service has its line on the terminal.
    """
    repository = repository_of(repository)
    # before anything is written: this may not be the repository
    label_studio.program(repository)
    state = _state(repository)
    # databases and secrets lie in it: it is for its owner only, also where `embed` has made it
    with readable_disk_errors(state):
        state.mkdir(mode=0o700, exist_ok=True)
        state.chmod(0o700)
    with locked(state / TURN), nullcontext(report) if report else progress_lines() as tell:
        settings = ensure_env(repository / ".env", state, ports)
        known = _services(repository, state, settings)
        wanted = {name: known[name] for name in NAMES if name in services}
        _stop_outdated(wanted, state, tell)
        _check_ports([service for service in wanted.values() if find(service.name, state) is None])
        for folder in (settings.datalab_media, state / "home"):
            folder.mkdir(parents=True, exist_ok=True)
        _start_all(repository, state, settings, wanted, tell)
    return Addresses(
        known[label_studio.NAME].address,
        known[prefect.NAME].address,
        known[fiftyone_app.NAME].address,
        known[mongo.NAME].address,
    )


def down(repository: Path, report: Report | None = None) -> list[str]:
    """Stop every service; returns the names of those that were running. StateError as of `status`."""
    state = _state(repository_of(repository))
    if not state.is_dir():
        _check_repository(repository)
        return []
    with locked(state / TURN), nullcontext(report) if report else progress_lines() as tell:
        return _stop_all(NAMES, state, tell)


def status(repository: Path) -> list[ServiceStatus]:
    """Every service as it is now; addresses are empty before the first `up`.

    StateError for a folder that is no repository: to say "down" there would not be true of the servers elsewhere.
    """
    repository = repository_of(repository)
    state = _state(repository)
    env_file = repository.resolve() / ".env"
    if not env_file.is_file():
        _check_repository(repository)
        return [ServiceStatus(name, "", None, False) for name in NAMES]
    known = _services(repository, state, Settings.load(env_file))
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda service: _status_of(service, state), known.values()))


def repository_of(folder: Path) -> Path:
    """The repository whose servers a workspace uses, to which its .env is linked; any other folder itself."""
    return (folder / ".env").resolve().parent


def _check_repository(folder: Path) -> None:
    if not (folder / "prefect.yaml").is_file():
        raise StateError(f"no servers were started from {folder.resolve()}; go to the datalab repository")


def _state(repository: Path) -> Path:
    return repository.resolve() / ".datalab"


def _services(repository: Path, state: Path, settings: Settings) -> dict[str, Service]:
    services = (
        label_studio.label_studio(repository.resolve(), state, settings),
        prefect.prefect_server(state, settings),
        prefect.prefect_worker(repository.resolve(), state, settings),
        mongo.mongo(state, settings),
        fiftyone_app.fiftyone_app(state, settings),
        click_to_mask.click_to_mask(repository.resolve(), state, settings),
        receiver.receiver(repository.resolve(), state, settings),
    )
    return {service.name: service for service in services}


def _status_of(service: Service, state: Path) -> ServiceStatus:
    record = find(service.name, state)
    if record is None:
        return ServiceStatus(service.name, service.address, None, False)
    return ServiceStatus(service.name, service.address, record.pid, service.ready())


def _stop_outdated(wanted: dict[str, Service], state: Path, report: Report) -> None:
    """Also what a killed server has left behind, so that its port is free again."""
    outdated = []
    for name, service in wanted.items():
        record = find(name, state)
        if record is None or record.digest != service.digest:
            outdated.append(name)
    _stop_all(outdated, state, report)


def _check_ports(starting: list[Service]) -> None:
    wanted_by: dict[int, Service] = {}
    for service in starting:
        if service.port is not None and (other := wanted_by.setdefault(service.port, service)) is not service:
            raise ServiceError(
                f"port {service.port} is wanted by {other.name} and by {service.name}; "
                f"change the port of {service.setting} in .env, and run again"
            )
    for service in starting:
        if service.port is not None and not is_free_soon(service.port):
            raise ServiceError(
                f"port {service.port}, wanted by {service.name}, is taken by {holder_of(service.port)}; "
                f"stop that, or change the port of {service.setting} in .env, and run again"
            )


def _start_all(repository: Path, state: Path, settings: Settings, wanted: dict[str, Service], report: Report) -> None:
    started: list[str] = []
    over = threading.Event()

    def bring_up(chain: tuple[str, ...]) -> None:
        for service in (wanted[name] for name in chain if name in wanted):
            if over.is_set():
                return
            if service.name == prefect.WORKER:
                report(service.name, "registering deployments")
                prefect.register(repository.resolve(), state, settings)
            if not _runs_already(service, state, report, over.is_set):
                report(service.name, "starting")
                record = start(service, state)
                started.append(service.name)
                wait_until_ready(service, record, state, over.is_set)
            report(service.name, f"ready: {service.address}")

    try:
        with ThreadPoolExecutor() as pool:
            try:
                for future in as_completed([pool.submit(bring_up, chain) for chain in CHAINS]):
                    future.result()
            finally:
                over.set()
    except BaseException:
        _stop_all(started, state, report)
        raise


def _runs_already(service: Service, state: Path, report: Report, cancelled: Callable[[], bool]) -> bool:
    """Whether it runs and answers; not where it ended just then, as one does that was killed a moment ago."""
    record = find(service.name, state)
    if record is None:
        return False
    report(service.name, "running already")
    try:
        wait_until_ready(service, record, state, cancelled)
    except ServiceError:
        if cancelled() or is_running(record):
            raise
        return False
    return True


def _stop_all(names: Collection[str], state: Path, report: Report) -> list[str]:
    """Within a chain the last comes first: a worker whose server has gone would wait for it in vain."""

    def take_down(chain: tuple[str, ...]) -> list[str]:
        ended = [name for name in reversed(chain) if name in names and stop(name, state)]
        for name in ended:
            report(name, "stopped")
        return ended

    with ThreadPoolExecutor() as pool:
        return [name for ended in pool.map(take_down, CHAINS) for name in ended]
