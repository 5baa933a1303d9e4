"""Real webhooks: people submit in Label Studio, the receiver hears of it and starts the flow at the Prefect server."""

import threading
from pathlib import Path
from typing import Any

import pytest
import requests
import uvicorn

from datalab.adapters.files import read_table
from datalab.adapters.label_studio.client import connect
from datalab.adapters.label_studio.people import ensure_annotator
from datalab.adapters.label_studio.project import find_project
from datalab.adapters.label_studio.webhook import SECRET_HEADER, ensure_webhook
from datalab.adapters.prefect_runs import BUSY, start_run
from datalab.errors import ServiceError
from datalab.rounds import labeling
from datalab.rounds.progress import silent
from datalab.rounds.receiver import make_app
from datalab.rounds.state import STEPS, Round, save_round
from datalab.rounds.watching import Pace, Watcher
from datalab.services.ports import free_ports
from datalab.settings import Settings
from datalab.workspace import Workspace
from tests.rounds.labeling_round import ready_workspace
from tests.services.test_label_studio_faults import values

pytestmark = [pytest.mark.services, pytest.mark.slow]
NAME = "webhook-test"


def call(settings: Settings, path: str, content: Any) -> Any:
    with requests.Session() as session:
        session.mount("http://", BUSY)
        answer = session.post(f"{settings.prefect_api_url}{path}", json=content, timeout=30)
        answer.raise_for_status()
        return answer.json()


@pytest.fixture
def deployment(settings: Settings) -> str:
    """One that no worker takes up, so that nothing runs but what is looked at."""
    flow = call(settings, "/flows/", {"name": NAME})
    wanted = {"name": NAME, "flow_id": flow["id"], "parameters": {"wait": False}, "enforce_parameter_schema": False}
    return str(call(settings, "/deployments/", wanted)["id"])


def runs(settings: Settings, deployment: str) -> list[dict[str, Any]]:
    found = call(settings, "/flow_runs/filter", {"deployments": {"id": {"any_": [deployment]}}})
    return [run["parameters"] for run in found]


def test_submitting_the_last_answer_starts_the_flow_once(settings: Settings, deployment: str, tmp_path: Path) -> None:
    port = free_ports().receiver
    given = {**values(settings), "RECEIVER_URL": f"http://127.0.0.1:{port}", "RECEIVER_SECRET": "s3cret"}
    workspace, _ = ready_workspace(tmp_path / "workspaces" / "announced", given)
    (workspace.root / "dvc.yaml").touch()
    state = Round(1, "g", "o", seconds=dict.fromkeys(STEPS[: STEPS.index("label")], 1.0))
    save_round(workspace, state)
    labeling.push(workspace, state, silent)
    started = threading.Event()

    def start(place: Workspace, number: int) -> None:
        parameters = {"workspace": str(place.root), "only_round": number}
        for _ in range(2):
            start_run(settings.prefect_api_url, f"{NAME}/{NAME}", parameters)
        started.set()

    # nothing but a webhook makes it look: the first poll is over when people begin, the second far away
    watcher = Watcher(tmp_path, start, Pace(quiet=0.5, longest=10, poll=3600, keep=3600))
    watcher.tick()
    server = uvicorn.Server(uvicorn.Config(make_app(watcher.announce, "s3cret", watcher.run), port=port, ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        label_all(settings, workspace)
        assert started.wait(30)
    finally:
        server.should_exit = True
        thread.join()
    assert runs(settings, deployment) == [{"wait": False, "workspace": str(workspace.root), "only_round": 1}]


def label_all(settings: Settings, workspace: Workspace) -> None:
    tasks = read_table(workspace.round_folder(1) / "tasks.parquet", ("image_id", "task_id"))["task_id"]
    client = connect(settings.label_studio_url, settings.label_studio_token)
    with client.session:
        for name in ("w1", "w2", "w3"):
            token = ensure_annotator(client, f"{name}@datalab.local", settings.annotator_password)
            person = connect(client.url, token)
            with person.session:
                for task in tasks.tolist():
                    person.post(f"/api/tasks/{task}/annotations/", {"result": [], "lead_time": 1.0})


def test_a_project_has_one_webhook_with_the_present_secret(settings: Settings, tmp_path: Path) -> None:
    client = connect(settings.label_studio_url, settings.label_studio_token)
    with client.session:
        workspace, state = ready_workspace(tmp_path / "one hook", values(settings))
        labeling.push(workspace, state, silent)
        project = find_project(client, "one hook")
        assert project is not None
        url = settings.receiver_url
        (first,) = client.get("/api/webhooks/", project=project.id)
        ensure_webhook(client, project.id, url, settings.receiver_secret)
        assert client.get("/api/webhooks/", project=project.id) == [first]
        ensure_webhook(client, project.id, url, "another")
        (changed,) = client.get("/api/webhooks/", project=project.id)
        assert (changed["id"], changed["headers"]) == (first["id"], {SECRET_HEADER: "another"})


def test_an_unknown_deployment_or_a_missing_server_is_told_in_one_line(settings: Settings) -> None:
    with pytest.raises(ServiceError, match="Prefect answered 404"):
        start_run(settings.prefect_api_url, "no/such", {})
    with pytest.raises(ServiceError, match="Prefect does not answer"):
        start_run("http://127.0.0.1:9/api", "no/such", {})
