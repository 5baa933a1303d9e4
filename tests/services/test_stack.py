"""Up, down and status with the real servers; what takes part in many ups and downs is MongoDB, ready in a second."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import requests

from datalab.errors import InputError, ServiceError, StateError
from datalab.services import fiftyone_app, label_studio, mongo, prefect
from datalab.services.ports import free_ports
from datalab.services.processes import find
from datalab.services.stack import NAMES, Addresses, down, status, up
from datalab.settings import Settings, read_env

pytestmark = pytest.mark.services


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Path]:
    """Its Label Studio is a program that ends at once."""
    program = tmp_path / ".venv-label-studio" / "bin" / "label-studio"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho the database is locked\nexit 3\n")
    program.chmod(0o755)
    (tmp_path / "prefect.yaml").write_text("deployments: []\n")
    yield tmp_path
    down(tmp_path)


def pids(repository: Path) -> dict[str, int]:
    return {item.name: item.pid for item in status(repository) if item.pid is not None}


def test_the_stack_answers_and_a_second_up_keeps_it(stack: Addresses, stack_folder: Path) -> None:
    healthy = {item.name for item in status(stack_folder) if item.healthy}
    assert healthy >= {label_studio.NAME, prefect.NAME, mongo.NAME}
    before = pids(stack_folder)
    assert up(stack_folder, services=(label_studio.NAME, prefect.NAME, mongo.NAME)) == stack
    assert pids(stack_folder) == before


def test_every_server_listens_on_loopback_alone(stack: Addresses, stack_folder: Path) -> None:
    for pid in pids(stack_folder).values():
        listening = [item for item in psutil.Process(pid).net_connections() if item.status == psutil.CONN_LISTEN]
        assert {item.laddr.ip for item in listening} <= {"127.0.0.1"}


def test_the_administrator_can_use_the_token(settings: Settings) -> None:
    answer = requests.get(
        f"{settings.label_studio_url}/api/current-user/whoami",
        headers={"Authorization": f"Token {settings.label_studio_token}"},
        timeout=30,
    )
    assert answer.json()["email"] == settings.label_studio_username


def test_strangers_cannot_sign_up(settings: Settings) -> None:
    with requests.Session() as session:
        page = f"{settings.label_studio_url}/user/signup/"
        session.get(page, timeout=30)
        form = {
            "email": "x@datalab.local",
            "password": "Str0ng-pass-1",
            "csrfmiddlewaretoken": session.cookies["csrftoken"],
        }
        answer = session.post(page, data=form, headers={"Referer": page}, allow_redirects=False, timeout=30)
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("host", "may"), [("127.0.0.1:{port}", True), ("localhost:{port}", True), ("evil.example", False)]
)
def test_pages_from_elsewhere_start_nothing_in_prefect(settings: Settings, host: str, may: bool) -> None:
    """A browser asks the server first, and sends what a page wants only where the server names that page."""
    page = f"http://{host.format(port=settings.prefect_api_url.split(':')[2].split('/')[0])}"
    asked = {
        "Origin": page,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    answer = requests.options(f"{settings.prefect_api_url}/flow_runs/", headers=asked, timeout=30)
    assert answer.headers.get("access-control-allow-origin") == (page if may else None)


def test_secrets_are_in_no_log_and_on_no_command_line(settings: Settings, stack_folder: Path) -> None:
    secrets = {settings.label_studio_token, settings.label_studio_password, settings.annotator_password}
    written = [path.read_text(errors="replace") for path in (stack_folder / ".datalab" / "logs").iterdir()]
    commands = [" ".join(psutil.Process(pid).cmdline()) for pid in pids(stack_folder).values()]
    assert not [secret for secret in secrets for text in (*written, *commands) if secret in text]


@pytest.mark.slow
def test_the_app_shows_a_dataset_made_later_by_another_process(review_app: Settings, tmp_path: Path) -> None:
    environment = {
        "HOME": str(tmp_path),
        "FIFTYONE_DATABASE_URI": review_app.fiftyone_database_uri,
        "FIFTYONE_DATABASE_VALIDATION": "false",
        "FIFTYONE_DO_NOT_TRACK": "true",
    }
    script = "import fiftyone; fiftyone.Dataset('made-later', persistent=True)"
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, cwd=tmp_path)
    query = {"query": '{ datasets(search: "made-later", first: 2) { edges { node { name } } } }'}
    answer = requests.post(f"{review_app.fiftyone_url}/graphql", json=query, timeout=30)
    assert answer.json() == {"data": {"datasets": {"edges": [{"node": {"name": "made-later"}}]}}}


def test_up_down_up(repository: Path) -> None:
    ports = free_ports()
    assert [item.pid for item in status(repository)] == [None] * len(NAMES)
    addresses = up(repository, ports, (mongo.NAME,))
    assert addresses.mongo == f"mongodb://127.0.0.1:{ports.mongo}"
    first = pids(repository)
    assert set(first) == {mongo.NAME}
    assert down(repository) == [mongo.NAME]
    assert down(repository) == []
    assert not pids(repository)
    assert up(repository, services=(mongo.NAME,)) == addresses
    assert pids(repository) != first


def test_what_the_servers_keep_is_for_its_owner_only(repository: Path) -> None:
    # the stage `embed` may have made the folder before any server
    (repository / ".datalab" / "embeddings").mkdir(parents=True)
    up(repository, free_ports(), (mongo.NAME,))
    assert (repository / ".datalab").stat().st_mode & 0o777 == 0o700


def test_a_killed_server_is_started_again(repository: Path) -> None:
    up(repository, free_ports(), (mongo.NAME,))
    record = find(mongo.NAME, repository / ".datalab")
    assert record is not None
    psutil.Process(record.pid).kill()
    up(repository, services=(mongo.NAME,))
    assert pids(repository)[mongo.NAME] != record.pid


def test_one_that_was_ending_when_it_was_looked_for_is_started_again(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    up(repository, free_ports(), (mongo.NAME,))
    record = find(mongo.NAME, repository / ".datalab")
    assert record is not None
    process = psutil.Process(record.pid)
    process.kill()
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.05)
    with monkeypatch.context() as patch:
        patch.setattr("datalab.services.stack.find", lambda name, state: record)
        up(repository, services=(mongo.NAME,))
    assert pids(repository)[mongo.NAME] != record.pid


def test_a_workspace_is_told_of_its_repositorys_servers(repository: Path) -> None:
    workspace = repository / "workspaces" / "w"
    workspace.mkdir(parents=True)
    up(repository, free_ports(), (mongo.NAME,))
    (workspace / ".env").symlink_to(repository / ".env")
    assert status(workspace) == status(repository)
    assert down(workspace) == [mongo.NAME]


def test_a_server_moves_to_another_port(repository: Path) -> None:
    up(repository, free_ports(), (mongo.NAME,))
    first = pids(repository)[mongo.NAME]
    addresses = up(repository, free_ports(), (mongo.NAME,))
    assert not psutil.pid_exists(first) or psutil.Process(first).status() == psutil.STATUS_ZOMBIE
    assert read_env(repository / ".env")["FIFTYONE_DATABASE_URI"] == addresses.mongo


def test_a_taken_port_is_named_and_nothing_is_started(repository: Path) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        taken = server.getsockname()[1]
        ports = replace(free_ports(), prefect=taken)
        with pytest.raises(
            ServiceError, match=rf"port {taken}, wanted by prefect, .*PREFECT_API_URL in \.env"
        ) as caught:
            up(repository, ports, (mongo.NAME, prefect.NAME))
    assert "\n" not in str(caught.value)
    assert not pids(repository)


def test_two_services_on_one_port_are_told_and_nothing_is_started(repository: Path) -> None:
    ports = free_ports()
    with pytest.raises(
        ServiceError, match=rf"port {ports.prefect} is wanted by prefect and by mongo; .*FIFTYONE_DATABASE_URI in \.env"
    ):
        up(repository, replace(ports, mongo=ports.prefect), (mongo.NAME, prefect.NAME))
    assert not pids(repository)


def test_one_failed_start_takes_back_the_others(repository: Path) -> None:
    with pytest.raises(ServiceError, match="label-studio ended while starting: the database is locked"):
        up(repository, free_ports(), (mongo.NAME, fiftyone_app.NAME, label_studio.NAME))
    assert not pids(repository)


def test_a_server_that_was_running_before_survives_a_failed_up(repository: Path) -> None:
    up(repository, free_ports(), (mongo.NAME,))
    before = pids(repository)
    with pytest.raises(ServiceError, match="label-studio ended"):
        up(repository, services=(mongo.NAME, label_studio.NAME))
    assert pids(repository) == before


def test_a_folder_of_the_servers_that_leads_nowhere_is_told(repository: Path) -> None:
    for target in (".datalab", "gone"):
        (repository / ".datalab").unlink(missing_ok=True)
        (repository / ".datalab").symlink_to(target)
        with pytest.raises(InputError, match=rf"is a link to {target}, which is not there; put that back"):
            up(repository, services=())


def test_outside_the_repository_nothing_is_written(tmp_path: Path) -> None:
    for ask in (down, status):
        with pytest.raises(StateError, match=r"no servers were started from .*; go to the datalab repository"):
            ask(tmp_path)
    with pytest.raises(ServiceError, match=r"label-studio is missing; .*make setup"):
        up(tmp_path)
    assert not list(tmp_path.iterdir())
