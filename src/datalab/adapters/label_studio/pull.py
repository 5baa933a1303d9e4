"""What people did, as they did it: every annotation of a round, and how far the round is."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from datalab.adapters.label_studio.client import Client
from datalab.adapters.label_studio.push import PushedRound, existing_tasks
from datalab.errors import StateError
from datalab.tables import ANNOTATIONS


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
    answers = [(len({one["completed_by"] for one in task["annotations"]}), int(task["overlap"])) for task in tasks]
    return RoundProgress(
        annotations_done=sum(min(done, wanted) for done, wanted in answers),
        annotations_wanted=sum(wanted for _, wanted in answers),
        tasks_done=sum(done >= wanted for done, wanted in answers),
        tasks_total=len(answers),
    )


def pull_annotations(client: Client, target: PushedRound, catalog: pd.DataFrame) -> pd.DataFrame:
    """Table ANNOTATIONS of the round, by annotation id; skipped ones too, flagged `was_cancelled`."""
    widths = dict(zip(catalog["image_id"], catalog["width"], strict=True))
    heights = dict(zip(catalog["image_id"], catalog["height"], strict=True))
    people = {int(user["id"]): str(user["email"]) for user in client.get("/api/users/")}
    rows = [
        {**row, "width": widths[row["image_id"]], "height": heights[row["image_id"]]}
        for task in existing_tasks(client, target).values()
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
            "annotator": people.get(int(annotation["completed_by"]), f"user {annotation['completed_by']}"),
            "lead_time_s": float(annotation["lead_time"] or 0.0),
            "created_at": annotation["created_at"],
            "updated_at": annotation["updated_at"],
            "was_cancelled": bool(annotation["was_cancelled"]),
            "guideline_version": data["guideline_version"],
            "ontology_hash": data["ontology_hash"],
            "result_json": json.dumps(annotation["result"], sort_keys=True),
        }
