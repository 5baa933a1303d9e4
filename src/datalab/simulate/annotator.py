"""Simulated annotators at the real server: each takes tasks as people get them and submits under its own account."""

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import requests

from datalab.adapters.label_studio.client import Client, connect
from datalab.adapters.label_studio.results import region_to_result, results_to_regions
from datalab.errors import InputError, ServiceError
from datalab.simulate.labeling import Annotator, Labeled, Region
from datalab.simulate.profile import Profile

TRIES = 4


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
    unknown = sorted(set(truth["label"]) - set(classes) - {""})
    if unknown:
        raise InputError(f"the masks have the class {unknown[0]!r}, guidelines/classes.yaml has {', '.join(classes)}")
    return {str(image_id): rows for image_id, rows in truth.groupby("image_id")}


def label_tasks(
    url: str, people: Sequence[Person], work: Assignment, on_done: Callable[[], None] = lambda: None
) -> dict[str, int]:
    """Let everybody label until the server has no task left for them; name to number of submitted annotations.

    Everybody works at the same time in a thread of their own. Stopped and started again, they go on where they were:
    the server hands nobody a task they have answered. Tasks without truth are skipped, as a person would.
    """
    lock = threading.Lock()

    def counted() -> None:
        with lock:
            on_done()

    with ThreadPoolExecutor(len(people)) as pool:
        done = list(pool.map(lambda person: _work_through(connect(url, person.token), person, work, counted), people))
    return {person.profile.name: count for person, count in zip(people, done, strict=True)}


def _work_through(client: Client, person: Person, work: Assignment, on_done: Callable[[], None]) -> int:
    done = 0
    while (task := _next_task(client, work.project_id)) is not None:
        _submit(client, task, _answer(task, person.profile, work))
        done += 1
        on_done()
    return done


def _next_task(client: Client, project_id: int) -> dict[str, Any] | None:
    try:
        task: dict[str, Any] = client.get(f"/api/projects/{project_id}/next")
    except ServiceError as exc:
        cause = exc.__cause__
        if isinstance(cause, requests.HTTPError) and cause.response.status_code == 404:
            return None
        raise
    return task


def _answer(task: dict[str, Any], profile: Profile, work: Assignment) -> dict[str, Any]:
    image_id = task["data"].get("image_id", "")
    if image_id not in work.truth:
        return {"result": [], "was_cancelled": True, "lead_time": 1.0}
    rows = work.truth[image_id]
    height, width = int(rows["height"].iloc[0]), int(rows["width"].iloc[0])
    truth = [Region(row["region_id"], row["label"], row["rle"]) for row in rows.to_dict("records") if row["rle"]]
    prediction = max(task.get("predictions") or [{}], key=lambda one: one.get("id", 0))
    proposed = results_to_regions(prediction.get("result", []))
    proposals = [Region(row["region_id"], row["label"], row["rle"]) for row in proposed]
    annotator = Annotator(profile, work.classes, height, width, _rng(work.seed, profile.name, image_id))
    labeled = annotator.label(truth, proposals)
    answer = {"result": _results(labeled, height, width), "lead_time": labeled.seconds, "was_cancelled": False}
    return {**answer, "parent_prediction": prediction["id"]} if prediction else answer


def _results(labeled: Labeled, height: int, width: int) -> list[dict[str, Any]]:
    return [
        region_to_result(region.region_id, region.label, region.rle, height, width, region.origin)
        for region in labeled.regions
    ]


def _submit(client: Client, task: dict[str, Any], answer: dict[str, Any]) -> None:
    """Submit once; after a failure look whether it arrived before trying again."""
    path = f"/api/tasks/{task['id']}/annotations/"
    for attempt in range(TRIES):
        try:
            client.post(path, answer)
            return
        except ServiceError:
            if attempt == TRIES - 1:
                raise
            time.sleep(0.5 * 2**attempt)
            me = client.get("/api/current-user/whoami")["id"]
            if any(one["completed_by"] == me for one in client.get(path)):
                return


def _rng(seed: int, name: str, image_id: str) -> np.random.Generator:
    """The same for the same person and image, in whatever order tasks arrive."""
    digest = hashlib.sha256(f"{name}/{image_id}".encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])
