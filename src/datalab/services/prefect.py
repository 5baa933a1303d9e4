"""Prefect: the server, a work pool for this machine, the deployments of prefect.yaml, and a worker that runs them.

Everything goes through the `prefect` command and the server's HTTP interface, so that flows alone import prefect.
"""

import os
import subprocess
import sys
from functools import partial
from http import HTTPStatus
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from datalab.adapters.checkpoints import cache_folder
from datalab.errors import ServiceError
from datalab.services.ports import LOOPBACK, port_of
from datalab.services.processes import Service, answers, inherited, log_file
from datalab.settings import Settings

NAME = "prefect"
WORKER = "prefect-worker"
POOL = "datalab"
BINARIES = Path(sys.executable).parent
COMMAND_SECONDS = 120
PATIENT = HTTPAdapter(
    max_retries=Retry(4, connect=0, backoff_factor=0.5, status_forcelist=[503], raise_on_status=False)
)
"""Asks again, where nothing is changed by it: the server says 503, or nothing for a while, while it is busy."""


def prefect_server(state: Path, settings: Settings) -> Service:
    """The server with its database in <state>/prefect; address is the page people open."""
    port = port_of(settings.prefect_api_url)
    return Service(
        name=NAME,
        command=(str(BINARIES / "prefect"), "server", "start", "--host", LOOPBACK, "--port", str(port)),
        environment={
            **_environment(state, settings),
            # without it the page looks for the server on Prefect's own default port
            "PREFECT_SERVER_UI_API_URL": settings.prefect_api_url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            # by default any page that a browser has open may start flow runs here, with commands of its own
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"http://{LOOPBACK}:{port},http://localhost:{port}",
            "HOME": str(state / "home"),
        },
        folder=state / "prefect",
        address=settings.prefect_api_url.removesuffix("/api"),
        port=port,
        setting="PREFECT_API_URL",
        ready=partial(answers, f"{settings.prefect_api_url}/health"),
        start_seconds=120.0,
    )


def prefect_worker(repository: Path, state: Path, settings: Settings) -> Service:
    """The worker of this machine's pool. HOME stays the caller's: flows run git and dvc, which have settings there."""
    return Service(
        name=WORKER,
        command=(str(BINARIES / "prefect"), "worker", "start", "--pool", POOL, "--name", POOL),
        environment={
            **_environment(state, settings),
            # dvc stages call `python`, which has to be ours
            "PATH": f"{BINARIES}{os.pathsep}{os.environ.get('PATH', '')}",
            # where `datalab models pull` puts weights for the caller, flows look for them
            **_caches(),
            # seconds between looks for work; the default of 10 is a long wait for a person
            "PREFECT_WORKER_QUERY_SECONDS": "2",
        },
        folder=repository,
        address=f"pool {POOL}",
        ready=partial(worker_is_online, settings, log_file(WORKER, state)),
        start_seconds=60.0,
    )


def _caches() -> dict[str, str]:
    """The caller's, which processes started for people do not inherit otherwise; torch and Hugging Face have theirs."""
    general = os.environ.get("XDG_CACHE_HOME")
    return {"DATALAB_CACHE": str(cache_folder().parent), **({"XDG_CACHE_HOME": general} if general else {})}


def worker_is_online(settings: Settings, log: Path) -> bool:
    """Whether the worker has started and the server has lately heard from it.

    The server alone would call a worker online that has just been stopped and started again under the same name.
    """
    if not log.exists() or "started!" not in log.read_text(encoding="utf-8", errors="replace"):
        return False
    try:
        answer = _call(settings, "POST", f"/work_pools/{POOL}/workers/filter")
    except ServiceError:
        return False
    workers = answer.json() if answer.ok else []
    return any(worker["name"] == POOL and worker["status"] == "ONLINE" for worker in workers)


def register(repository: Path, state: Path, settings: Settings) -> None:
    """Make the work pool where it is missing, and bring the server's deployments up to <repository>/prefect.yaml."""
    answer = _call(settings, "GET", f"/work_pools/{POOL}")
    if answer.status_code == HTTPStatus.NOT_FOUND:
        _prefect(("work-pool", "create", POOL, "--type", "process"), state, settings, folder=state)
    elif not answer.ok:
        raise ServiceError(f"Prefect answered {answer.status_code} to GET {answer.url}; run `make up` again")
    if (repository / "prefect.yaml").is_file():
        deploy(repository, state, settings)


def deploy(folder: Path, state: Path, settings: Settings) -> None:
    """Register every deployment of <folder>/prefect.yaml; `folder` becomes the working directory of their runs."""
    _prefect(("--no-prompt", "deploy", "--all"), state, settings, folder)


def _environment(state: Path, settings: Settings) -> dict[str, str]:
    return {
        "PREFECT_HOME": str(state / "prefect"),
        "PREFECT_API_URL": settings.prefect_api_url,
        "DO_NOT_TRACK": "1",
    }


def _prefect(arguments: tuple[str, ...], state: Path, settings: Settings, folder: Path) -> None:
    command = f"prefect {' '.join(arguments)}"
    try:
        done = subprocess.run(
            [str(BINARIES / "prefect"), *arguments],
            cwd=folder,
            env={**inherited(), **_environment(state, settings)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise ServiceError(f"`{command}` took more than {COMMAND_SECONDS} s; see `make status`") from exc
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split()[-60:])
        raise ServiceError(f"`{command}` failed in {folder}: {said}")


def _call(settings: Settings, method: str, path: str) -> requests.Response:
    """What the server says, a refusal too; ServiceError where it says nothing."""
    url = settings.prefect_api_url + path
    with requests.Session() as session:
        session.trust_env = False
        session.mount("http://", PATIENT)
        try:
            return session.request(method, url, json={} if method == "POST" else None, timeout=5)
        except requests.RequestException as exc:
            raise ServiceError(f"Prefect does not answer at {url}; run `make up` again") from exc
