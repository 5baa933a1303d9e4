"""The Label Studio adapter at the real server: what a task shows, to whom it goes, and what comes back."""

import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import requests

from datalab.adapters.label_studio import push as push_module
from datalab.adapters.label_studio.client import Client, connect
from datalab.adapters.label_studio.config import instructions_html, labeling_config
from datalab.adapters.label_studio.ml_backend import attach_click_to_mask
from datalab.adapters.label_studio.people import ensure_annotator
from datalab.adapters.label_studio.project import ensure_project, find_project
from datalab.adapters.label_studio.pull import RoundProgress, pull_annotations, round_progress
from datalab.adapters.label_studio.results import region_to_result, results_to_regions
from datalab.config import LabelClass
from datalab.errors import InputError, ServiceError
from datalab.masks import mask_to_rle
from datalab.services.label_studio import label_studio, program
from datalab.services.processes import inherited
from datalab.settings import Settings
from tests.services.label_studio_project import GUIDELINES, lay_table, push

pytestmark = pytest.mark.services
GET_ENV = "import sys; from label_studio.core.utils.params import get_env; print(get_env(sys.argv[1]))"


@pytest.fixture(scope="module")
def people(client: Client, settings: Settings) -> Iterator[list[Client]]:
    """Three annotators at the server."""
    names = ("first", "second", "third")
    tokens = [ensure_annotator(client, f"{name}@datalab.local", settings.annotator_password) for name in names]
    people = [connect(client.url, token) for token in tokens]
    with people[0].session, people[1].session, people[2].session:
        yield people


@pytest.mark.parametrize("name", ["DEBUG", "STORAGE_TYPE", "SECRET_KEY", "SESSION_COOKIE_SECURE", "POSTGRE_HOST"])
def test_what_the_callers_shell_has_for_other_programs_changes_nothing(
    name: str, settings: Settings, stack_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "of another program")
    service = label_studio(stack_folder, stack_folder / ".datalab", settings)
    done = subprocess.run(
        [program(stack_folder).with_name("python"), "-c", GET_ENV, name],
        env={**inherited(service.inherits), **service.environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "None"


def next_task(person: Client, project_id: int) -> dict[str, Any] | None:
    try:
        task: dict[str, Any] = person.get(f"/api/projects/{project_id}/next")
    except ServiceError as exc:
        assert "404" in str(exc)
        return None
    return task


def answer(person: Client, task_id: int, result: list[dict[str, Any]], **more: Any) -> None:
    person.post(f"/api/tasks/{task_id}/annotations/", {"result": result, "lead_time": 4.5, **more})


def without(content: Any, names: set[str]) -> Any:
    """JSON without the fields of these names, at every level."""
    if isinstance(content, dict):
        return {name: without(value, names) for name, value in content.items() if name not in names}
    return [without(item, names) for item in content] if isinstance(content, list) else content


def test_a_wrong_token_is_refused_in_one_line(settings: Settings) -> None:
    for token in ("0" * 40, "not a token"):
        with pytest.raises(ServiceError, match="refuses the token") as caught:
            connect(settings.label_studio_url, token)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("title", ["tiles & <b>cups</b>", "a", "a long name " * 8])
def test_a_project_is_made_once_and_follows_the_guidelines(client: Client, title: str) -> None:
    project_id = ensure_project(client, title, GUIDELINES, 3)
    assert ensure_project(client, title, GUIDELINES, 3) == project_id
    changed = replace(
        GUIDELINES, version="v2", classes=(*GUIDELINES.classes, LabelClass(9, "a<b> & \"c\" 'd' é", "#101010"))
    )
    assert ensure_project(client, title, changed, 2) == project_id
    found = find_project(client, title)
    assert found is not None
    assert found.settings["label_config"] == labeling_config(changed)
    # the server cleans the instructions; it must find nothing to clean
    assert found.settings["expert_instruction"] == instructions_html(changed)
    assert found.settings["parsed_label_config"]["mask"]["labels"] == [item.name for item in changed.classes]
    assert found.settings["maximum_annotations"] == 3
    assert found.settings["show_instruction"] is True
    assert find_project(client, title + "?") is None


def test_what_is_used_is_told_by_the_answers_and_not_by_the_servers_counts(
    client: Client, people: list[Client], settings: Settings, tmp_path: Path
) -> None:
    """They count a draft at every save, whatever becomes of it later."""
    table = lay_table(tmp_path, "counted", 2)
    target, tasks = push(client, settings, table, table.batch([1, 1]))
    first, second = tasks["task_id"]
    rle = mask_to_rle(np.eye(400, dtype=bool))
    coin, cup = (region_to_result(label, label, rle, 400, 400) for label in ("coin", "cup"))
    draft = people[0].post(f"/api/tasks/{first}/drafts", {"result": [cup], "lead_time": 1})
    people[1].post(f"/api/tasks/{second}/drafts", {"result": [coin], "lead_time": 1})
    people[0].patch(f"/api/drafts/{draft['id']}/", {"result": [cup], "lead_time": 2})
    answer(people[0], first, [coin], draft_id=draft["id"])
    counts = client.get(f"/api/projects/{target.project_id}/summary/")
    assert counts["created_labels_drafts"]["mask"]["cup"]  # which is in no draft any more
    coins, cups = (replace(GUIDELINES, classes=(one,)) for one in GUIDELINES.classes)
    ensure_project(client, "counted", coins, 3)
    ensure_project(client, "counted", GUIDELINES, 3)
    answer(people[1], second, [coin, cup])
    # by two answers, and by the draft that is still there
    with pytest.raises(InputError, match="'coin' of 'mask', used 3 times; put"):
        ensure_project(client, "counted", cups, 3)


def test_a_click_server_that_is_busy_for_seconds_is_attached_all_the_same(client: Client) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        project_id = ensure_project(client, "clicks of a busy machine", GUIDELINES, 1)
        url = f"http://127.0.0.1:{server.server_address[1]}"
        assert attach_click_to_mask(client, project_id, url, "secret")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Busy(BaseHTTPRequestHandler):
    """Answers later than Label Studio waits by itself."""

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        time.sleep(3.5)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_POST = answer  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_an_annotator_gets_the_same_account_again(client: Client, settings: Settings) -> None:
    token = ensure_annotator(client, "again@datalab.local", settings.annotator_password)
    assert ensure_annotator(client, "again@datalab.local", settings.annotator_password) == token
    person = connect(client.url, token)
    with person.session:
        assert person.get("/api/current-user/whoami")["email"] == "again@datalab.local"
    with pytest.raises(ServiceError, match=r"again@datalab\.local: the account has another password"):
        ensure_annotator(client, "again@datalab.local", "0ther-pass-word")


def test_a_sign_up_that_is_refused_is_told_in_the_servers_words(
    client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ServiceError, match=r"cannot make an account .*short@datalab\.local: .*[Pp]assword.*8"):
        ensure_annotator(client, "short@datalab.local", "short")
    monkeypatch.setattr(Client, "get", lambda *_: {"invite_url": "/user/signup/?token=of-before"})
    with pytest.raises(ServiceError, match=r"late@datalab\.local: its sign-up page answers 403 Forbidden"):
        ensure_annotator(client, "late@datalab.local", settings.annotator_password)


def test_tasks_come_in_rank_order_with_image_masks_and_stamps(
    client: Client, settings: Settings, tmp_path: Path
) -> None:
    table = lay_table(tmp_path, "stamped #1 & more", 4)
    target, tasks = push(client, settings, table, table.batch([3, 1, 3, 1]))
    assert tasks["image_id"].tolist() == ["i3", "i2", "i1", "i0"]
    assert tasks["task_id"].is_monotonic_increasing
    first = client.tasks(target.project_id)[0]
    assert first["data"] == {
        "image": table.urls["i3"], "image_id": "i3", "round": "0001", "guideline_version": "v1", "ontology_hash": "o1",
        "note": "",
    }  # fmt: skip
    (prediction,) = first["predictions"]
    wanted = table.proposals().query("image_id == 'i3'")
    assert [row["rle"] for row in results_to_regions(prediction["result"])] == wanted["rle"].tolist()
    assert prediction["model_version"] == client.get(f"/api/projects/{target.project_id}")["model_version"]


def test_the_image_is_served_to_people_who_are_logged_in_alone(
    client: Client, people: list[Client], settings: Settings, tmp_path: Path
) -> None:
    table = lay_table(tmp_path, "served", 1)
    push(client, settings, table, table.batch([1]))
    address = client.url + table.urls["i0"]
    answer = people[0].session.get(address, timeout=30)
    assert answer.content == (table.workspace.images / table.files["i0"]).read_bytes()
    assert requests.get(address, timeout=30).status_code == 401
    outside = people[0].session.get(f"{client.url}/data/local-files/?d=../../../etc/passwd", timeout=30)
    assert outside.status_code >= 400
    assert b"root:" not in outside.content


def test_nothing_in_a_task_tells_gold(client: Client, settings: Settings, tmp_path: Path) -> None:
    table = lay_table(tmp_path, "unmarked", 4)
    target, _ = push(client, settings, table, table.batch([2, 2, 2, 2], ["batch", "gold", "batch", "gold"]))
    tasks = client.tasks(target.project_id)
    own = {"id", "task", "inner_id", "created_at", "updated_at", "predictions_results", "image", "image_id"}
    assert len({json.dumps(without(task, own), sort_keys=True) for task in tasks}) == 1
    assert "gold" not in json.dumps(tasks)


def test_a_killed_push_goes_on_and_a_finished_one_does_nothing(
    client: Client, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = lay_table(tmp_path, "killed", 7)
    batch = table.batch([3, 1, 3, 1, 3, 1, 3])
    monkeypatch.setattr(push_module, "CHUNK", 2)

    def killed_in(words: str) -> None:
        def progress(share: float, doing: str) -> None:
            if doing.startswith(words):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            push(client, settings, table, batch, progress=progress)

    killed_in("pushing tasks 4")
    found = find_project(client, "killed")
    assert found is not None
    assert len(client.tasks(found.id)) == 4
    killed_in("setting the overlap")
    target, tasks = push(client, settings, table, batch)
    before = client.tasks(target.project_id)
    assert [(task["data"]["image_id"], task["overlap"]) for task in before] == [
        (f"i{number}", 3 if number % 2 == 0 else 1) for number in range(7)[::-1]
    ]
    ensure_project(client, "killed", replace(GUIDELINES, version="v2"), 2)
    again = push(client, settings, table, batch)[1]
    pd.testing.assert_frame_equal(again, tasks)
    assert client.tasks(target.project_id) == before


def test_an_import_whose_answer_was_lost_leaves_no_task_twice(
    client: Client, people: list[Client], settings: Settings, tmp_path: Path
) -> None:
    table = lay_table(tmp_path, "lost", 3)
    target, tasks = push(client, settings, table, table.batch([1, 1, 1]))
    copies = [{"data": task["data"]} for task in client.tasks(target.project_id)]
    client.post(f"/api/projects/{target.project_id}/import", copies)
    # one copy was answered meanwhile: it stays and the first one goes
    answered = client.tasks(target.project_id)[-1]
    answer(people[0], answered["id"], [])
    after = push(client, settings, table, table.batch([1, 1, 1]))[1]
    assert after["image_id"].tolist() == ["i2", "i1", "i0"]
    assert after["task_id"].tolist() == [*tasks["task_id"][:2], answered["id"]]
    assert len(client.tasks(target.project_id)) == 3


def test_a_task_goes_to_as_many_people_as_it_shall_in_rank_order(
    client: Client, people: list[Client], settings: Settings, tmp_path: Path
) -> None:
    table = lay_table(tmp_path, "handed-out", 4)
    target, tasks = push(client, settings, table, table.batch([1, 3, 1, 2]))
    images = dict(zip(tasks["task_id"], tasks["image_id"], strict=True))
    taken: list[list[str]] = []
    for person in people:
        taken.append([])
        while (task := next_task(person, target.project_id)) is not None:
            answer(person, task["id"], task["predictions"][0]["result"])
            taken[-1].append(images[task["id"]])
    assert taken[0] == ["i3", "i2", "i1", "i0"]
    assert sorted(taken[1]) == ["i1", "i3"]
    assert taken[2] == ["i1"]
    assert round_progress(client, target) == RoundProgress(7, 7, 4, 4)


def test_answers_come_back_with_person_time_and_the_very_masks(
    client: Client, people: list[Client], settings: Settings, tmp_path: Path
) -> None:
    table = lay_table(tmp_path, "answered", 2)
    target, tasks = push(client, settings, table, table.batch([3, 1]))
    ids = dict(zip(tasks["image_id"], tasks["task_id"], strict=True))
    edge = np.eye(400, dtype=bool)
    drawn = region_to_result("mine", "coin", mask_to_rle(edge), 400, 400, "edited")
    answer(people[0], ids["i0"], [drawn])
    answer(people[1], ids["i0"], [])
    answer(people[2], ids["i0"], [], was_cancelled=True)
    progress = round_progress(client, target)
    assert progress == RoundProgress(3, 4, 1, 2)
    assert not progress.complete
    answer(people[0], ids["i1"], [], lead_time=None)

    pulled = pull_annotations(client, target, table.catalog)
    assert round_progress(client, target).complete
    assert Counter(pulled["image_id"]) == {"i0": 3, "i1": 1}
    assert pulled["annotator"].tolist() == [f"{name}@datalab.local" for name in ("first", "second", "third", "first")]
    assert pulled["was_cancelled"].tolist() == [False, False, True, False]
    assert pulled["lead_time_s"].tolist()[:3] == [4.5, 4.5, 4.5]
    assert np.isnan(pulled["lead_time_s"].iloc[3])
    assert (pulled["task_id"] == pulled["image_id"].map(ids)).all()
    stamps = pulled[["round_id", "guideline_version", "ontology_hash", "width", "height"]].drop_duplicates()
    assert stamps.to_numpy().tolist() == [["0001", "v1", "o1", 400, 400]]
    assert pulled["created_at"].str.startswith("20").all()
    (row,) = results_to_regions(json.loads(pulled["result_json"].iloc[0]))
    assert (row["label"], row["rle"], row["origin"]) == ("coin", mask_to_rle(edge), "edited")
    assert json.loads(pulled["result_json"].iloc[1]) == []


def test_a_second_round_keeps_apart_and_what_the_first_left_open_is_closed(
    client: Client, people: list[Client], settings: Settings, tmp_path: Path
) -> None:
    table = lay_table(tmp_path, "two-rounds", 3)
    first, tasks = push(client, settings, table, table.batch([1, 1, 1]))
    answer(people[0], int(tasks["task_id"].iloc[0]), [], was_cancelled=True)
    second, later = push(client, settings, table, table.batch([1, 1, 1]), round_id="0002")
    assert not set(later["task_id"]) & set(tasks["task_id"])
    task = next_task(people[1], second.project_id)
    assert task is not None
    assert task["id"] == later["task_id"].iloc[0]
    assert round_progress(client, second) == RoundProgress(0, 3, 0, 3)
    assert len(pull_annotations(client, first, table.catalog)) == 1
    assert pull_annotations(client, second, table.catalog).empty
