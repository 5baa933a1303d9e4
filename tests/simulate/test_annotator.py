"""Several people at one server, and what happens when it stumbles."""

import logging
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from datalab.adapters.label_studio import client
from datalab.errors import ServiceError
from datalab.masks import mask_to_rle
from datalab.simulate import annotator
from datalab.simulate.annotator import Assignment, Person, label_tasks, truth_by_image
from datalab.tables import GOLD
from tests.simulate.fake_server import URL, FakeServer
from tests.simulate.people import CLASSES, FAULTLESS, SIDE, square

IMAGES = [f"image{number}" for number in range(6)]
TRUTH = pd.DataFrame(
    [(one, f"t-{one}", "coin", mask_to_rle(square(0, 0)), SIDE, SIDE) for one in IMAGES], columns=list(GOLD)
)
WORK = Assignment(1, truth_by_image(TRUTH, CLASSES), CLASSES, seed=0)
SLOPPY = replace(FAULTLESS, jitter_px=2.0, bias_px=0.5, miss_small=0.2, spurious=0.5)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotator, "PAUSES_S", (0.0,) * 3)
    monkeypatch.setattr(client, "PAUSES_S", (0.0,) * 3)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    tasks = {place: {"id": place, "data": {"image_id": one}} for place, one in enumerate(IMAGES)}
    server = FakeServer(tasks)
    monkeypatch.setattr(annotator, "connect", server.connect)
    return server


def people(*names: str) -> list[Person]:
    return [Person(replace(SLOPPY, name=name), token=name) for name in names]


def results(server: FakeServer) -> dict[tuple[str, int], Any]:
    return {(user, task): answer["result"] for user, task, answer in server.answers}


def test_everybody_answers_every_task_when_all_are_wanted(server: FakeServer) -> None:
    server.overlap = 3
    seen: list[None] = []
    done = label_tasks(URL, people("ann", "bob", "cy"), WORK, lambda: seen.append(None))
    assert done == {"ann": 6, "bob": 6, "cy": 6}
    assert len(seen) == 18
    assert all(sorted(server.of(name)) == list(range(6)) for name in done)


def test_with_overlap_one_the_tasks_are_shared_out(server: FakeServer) -> None:
    done = label_tasks(URL, people("ann", "bob", "cy"), WORK)
    assert sum(done.values()) == 6
    assert sorted(task for _, task, _ in server.answers) == list(range(6))


def test_answers_do_not_depend_on_the_order_of_the_tasks(server: FakeServer) -> None:
    label_tasks(URL, people("ann"), WORK)
    forwards = results(server)
    server.answers.clear()
    server.tasks = dict(reversed(server.tasks.items()))
    label_tasks(URL, people("ann"), WORK)
    assert server.of("ann") == [5, 4, 3, 2, 1, 0]
    assert results(server) == forwards
    assert len({str(one) for one in forwards.values()}) == 6


def test_people_differ_and_so_do_seeds(server: FakeServer) -> None:
    server.overlap = 2
    label_tasks(URL, people("ann", "bob"), WORK)
    first = results(server)
    assert first["ann", 0] != first["bob", 0]
    server.answers.clear()
    label_tasks(URL, people("ann", "bob"), replace(WORK, seed=1))
    assert results(server)["ann", 0] != first["ann", 0]


def test_started_again_they_go_on(server: FakeServer) -> None:
    server.answers.append(("ann", 2, {}))
    server.locks["ann"] = 0  # killed while at work on it
    assert label_tasks(URL, people("ann"), WORK) == {"ann": 5}
    assert sorted(server.of("ann")) == list(range(6))
    assert label_tasks(URL, people("ann"), WORK) == {"ann": 0}


def test_tasks_without_truth_are_skipped_and_counted(server: FakeServer, caplog: pytest.LogCaptureFixture) -> None:
    server.tasks[6] = {"id": 6, "data": {"image_id": "unknown"}}
    with caplog.at_level(logging.WARNING):
        assert label_tasks(URL, people("ann"), WORK) == {"ann": 7}
    assert [task for _, task, answer in server.answers if answer["was_cancelled"]] == [6]
    assert "ann skipped 1" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("arrived", [False, True])
@pytest.mark.parametrize("status", [0, 409, 500])
def test_a_submission_is_tried_again_but_never_made_twice(server: FakeServer, status: int, arrived: bool) -> None:
    server.faults = [("POST", status, arrived)]
    label_tasks(URL, people("ann"), WORK)
    assert sorted(server.of("ann")) == list(range(6))


def test_a_server_that_never_takes_a_submission_is_a_service_error(server: FakeServer) -> None:
    server.faults = [("POST", 500, False)] * 50
    with pytest.raises(ServiceError, match="500"):
        label_tasks(URL, people("ann"), WORK)
    assert len(server.faults) == 50 - 4


def test_a_refusal_is_not_tried_again(server: FakeServer) -> None:
    server.faults = [("POST", 400, False)] * 2
    with pytest.raises(ServiceError, match="400"):
        label_tasks(URL, people("ann"), WORK)
    assert len(server.faults) == 1


def test_when_one_fails_the_others_stop(server: FakeServer) -> None:
    server.overlap = 2
    server.tasks = {place: {**server.tasks[0], "id": place} for place in range(500)}
    server.faults = [("POST", 400, False)]
    with pytest.raises(ServiceError, match="400"):
        label_tasks(URL, people("ann", "bob"), WORK)
    assert len(server.answers) < 500


def test_a_server_that_hands_out_an_answered_task_does_not_keep_anybody_for_ever(server: FakeServer) -> None:
    server.of = lambda user: []  # type: ignore[method-assign]
    server.overlap = 100
    assert label_tasks(URL, people("ann"), WORK) == {"ann": 1}
    assert len(server.answers) == 1


def test_a_project_that_is_gone_is_not_a_finished_one(server: FakeServer) -> None:
    server.faults = [("GET", 404, False), ("GET", 404, False)]
    with pytest.raises(ServiceError, match="404"):
        label_tasks(URL, people("ann"), WORK)


def test_nobody_labels_nothing(server: FakeServer) -> None:
    assert label_tasks(URL, [], WORK) == {}
