"""Simulated annotators at the real server: each takes tasks as people get them and submits under its own account."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import requests

from datalab.adapters.label_studio.client import Client, connect
from datalab.errors import InputError, ServiceError
from datalab.simulate.answers import answer_task
from datalab.simulate.profile import Profile
from datalab.tables import GOLD, require

LOGGER = logging.getLogger(__name__)
PAUSES_S = (0.5, 1.0, 2.0, 4.0)
"""Waits before a submission that failed is looked after and, if it did not arrive, tried again."""


@dataclass(frozen=True)
class Assignment:
    """What the annotators work on. `truth`: image_id to its rows of table GOLD; `classes`: names of the ontology."""

    project_id: int
    truth: dict[str, pd.DataFrame]
    classes: tuple[str, ...]
    seed: int


@dataclass(frozen=True)
class Person:
    """A simulated annotator's account."""

    profile: Profile
    token: str


def truth_by_image(truth: pd.DataFrame, classes: Sequence[str]) -> dict[str, pd.DataFrame]:
    """image_id to rows; InputError where the truth has a class that the guidelines do not know."""
    truth = require(truth, GOLD, "the ground truth")
    unknown = sorted(set(truth["label"]) - set(classes) - {""})
    if unknown:
        raise InputError(f"the masks have the class {unknown[0]!r}, guidelines/classes.yaml has {', '.join(classes)}")
    return {str(image_id): rows for image_id, rows in truth.groupby("image_id")}


def label_tasks(
    url: str, people: Sequence[Person], work: Assignment, on_done: Callable[[], None] = lambda: None
) -> dict[str, int]:
    """Let everybody label until the server has no task left for them; name to number of submitted annotations.

    Everybody works at the same time in a thread of their own; `on_done` is called after each annotation, by one thread
    at a time. Stopped and started again, they go on where they were: the server hands nobody a task they have answered.
    Tasks without truth are skipped, as a person would, and count; a warning says how many. ServiceError where the
    server fails for good: then everybody stops after the task at hand.
    """
    with ExitStack() as connections:
        workers = [_Worker(connections.enter_context(_connection(url, one.token)), one.profile) for one in people]
        desk = _Desk(work, on_done)
        # a task that somebody has in hand, or skips, may be due to another who was told that there is none: ask again
        while _work_side_by_side(desk, workers):
            pass
    for worker in workers:
        if worker.skipped:
            LOGGER.warning("%s skipped %d tasks: no truth for their image", worker.profile.name, worker.skipped)
    return {worker.profile.name: len(worker.answered) for worker in workers}


@contextmanager
def _connection(url: str, token: str) -> Iterator[Client]:
    client = connect(url, token)
    with client.session:
        yield client


@dataclass
class _Worker:
    """One person at work, and the ids of the tasks answered so far."""

    client: Client
    profile: Profile
    answered: set[int] = field(default_factory=set)
    skipped: int = 0


@dataclass
class _Desk:
    """What the threads share."""

    work: Assignment
    on_done: Callable[[], None]
    closed: threading.Event = field(default_factory=threading.Event)
    handing_out: threading.Lock = field(default_factory=threading.Lock)
    counting: threading.Lock = field(default_factory=threading.Lock)


def _work_side_by_side(desk: _Desk, workers: Sequence[_Worker]) -> int:
    """Everybody until there is no task for them; how many they answered together."""
    with ThreadPoolExecutor(max(1, len(workers))) as pool:
        futures = [pool.submit(_work_through, desk, worker) for worker in workers]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        except BaseException:  # Ctrl-C: nobody takes another task
            desk.closed.set()
            raise
        if any(future.done() and future.exception() for future in futures):
            desk.closed.set()
    return sum(future.result() for future in futures)


def _work_through(desk: _Desk, worker: _Worker) -> int:
    before = len(worker.answered)
    work = desk.work
    while not desk.closed.is_set():
        # the server looks and locks in two steps: asked by two at once, it hands out a task once too often
        with desk.handing_out:
            task = _next_task(worker.client, work.project_id)
        if task is None or int(task["id"]) in worker.answered:
            break
        answer = answer_task(task, work.truth, work.classes, worker.profile, work.seed)
        _submit(worker.client, int(task["id"]), answer)
        worker.answered.add(int(task["id"]))
        worker.skipped += answer["was_cancelled"]
        with desk.counting:
            desk.on_done()
    return len(worker.answered) - before


def _next_task(client: Client, project_id: int) -> dict[str, Any] | None:
    try:
        task: dict[str, Any] = client.get(f"/api/projects/{project_id}/next")
    except ServiceError as exc:
        if _status(exc) == 404 and _project_exists(client, project_id):
            return None
        raise
    return task


def _project_exists(client: Client, project_id: int) -> bool:
    """A project that was deleted answers 404 too; ServiceError then."""
    return bool(client.get(f"/api/projects/{project_id}"))


def _submit(client: Client, task_id: int, answer: dict[str, Any]) -> None:
    """Submit once; after a failure look whether it arrived before trying again."""
    path = f"/api/tasks/{task_id}/annotations/"
    for pause in PAUSES_S:
        try:
            client.post(path, answer)
        except ServiceError as exc:
            if _refused(exc):
                raise
        else:
            return
        time.sleep(pause)
        me = client.get("/api/current-user/whoami")["id"]
        if any(one["completed_by"] == me for one in client.get(path)):
            return
    client.post(path, answer)


def _refused(error: ServiceError) -> bool:
    """Whether another try would get the same answer; a busy server says 409 or 429."""
    status = _status(error)
    return status is not None and 400 <= status < 500 and status not in (409, 429)


def _status(error: ServiceError) -> int | None:
    """HTTP status behind a ServiceError; None where there was no answer."""
    cause = error.__cause__
    return cause.response.status_code if isinstance(cause, requests.HTTPError) else None
