"""What people did, as they did it: every annotation of a round, and how far the round is."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from datalab.adapters.label_studio.client import Client
from datalab.adapters.label_studio.push import PushedRound, existing_tasks, round_tasks
from datalab.errors import StateError
from datalab.tables import ANNOTATIONS

WHOLE = "id,data,annotations,result,completed_by,lead_time,created_at,updated_at,was_cancelled"
"""The fields of a task and of its annotations that are kept; predictions are in proposals.parquet."""
PAGE = 50
"""Tasks per answer: with three people and twenty masks on each that is some 20 MB."""


@dataclass(frozen=True)
class RoundProgress:
    """How much of a round is labelled. An annotation that was skipped counts as done: that person will not do it."""

    annotations_done: int
    annotations_wanted: int
    tasks_done: int
    tasks_total: int

    @property
    def complete(self) -> bool:
        """True when every task has as many answers as it needs."""
        return self.tasks_done == self.tasks_total


def round_progress(client: Client, target: PushedRound) -> RoundProgress:
    """Count the answers of the round's tasks; StateError where the round has no task in the project."""
    tasks = existing_tasks(client, target).values()
    if not tasks:
        raise StateError(
            f"project {target.project_id} has no task of round {target.round_id}; was the project deleted? "
            "remove 'push' from the round's round.json to push it again"
        )
    answers = [(len(set(task["annotators"])), int(task["overlap"])) for task in tasks]
    return RoundProgress(
        annotations_done=sum(min(done, wanted) for done, wanted in answers),
        annotations_wanted=sum(wanted for _, wanted in answers),
        tasks_done=sum(done >= wanted for done, wanted in answers),
        tasks_total=len(answers),
    )


def pull_annotations(client: Client, target: PushedRound, catalog: pd.DataFrame) -> pd.DataFrame:
    """Table ANNOTATIONS of the round, by annotation id; skipped ones too, flagged `was_cancelled`.

    `lead_time_s` is missing (NaN) where the server has none. An annotator whose account is gone is "user <id>" or
    "deleted user".
    """
    widths = dict(zip(catalog["image_id"], catalog["width"], strict=True))
    heights = dict(zip(catalog["image_id"], catalog["height"], strict=True))
    people = {int(user["id"]): str(user["email"]) for user in client.get("/api/users/")}
    rows = [
        {**row, "width": widths[row["image_id"]], "height": heights[row["image_id"]]}
        for task in round_tasks(client, target, WHOLE, PAGE)
        for row in _rows(task, people)
    ]
    table = pd.DataFrame(rows, columns=list(ANNOTATIONS))
    return table.sort_values("annotation_id", ignore_index=True)


def _rows(task: dict[str, Any], people: dict[int, str]) -> Iterator[dict[str, Any]]:
    data = task["data"]
    for annotation in task["annotations"]:
        yield {
            "annotation_id": int(annotation["id"]),
            "task_id": int(task["id"]),
            "round_id": data["round"],
            "image_id": data["image_id"],
            "annotator": _annotator(annotation["completed_by"], people),
            "lead_time_s": float("nan") if annotation["lead_time"] is None else float(annotation["lead_time"]),
            "created_at": annotation["created_at"],
            "updated_at": annotation["updated_at"],
            "was_cancelled": bool(annotation["was_cancelled"]),
            "guideline_version": data["guideline_version"],
            "ontology_hash": data["ontology_hash"],
            "result_json": json.dumps(annotation["result"], sort_keys=True),
        }


def _annotator(user_id: int | None, people: dict[int, str]) -> str:
    return "deleted user" if user_id is None else people.get(int(user_id), f"user {user_id}")
