"""What people did, as they did it: every annotation of a round, and how far the round is."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from datalab.adapters.label_studio.client import Client
from datalab.adapters.label_studio.push import PushedRound, existing_tasks, round_tasks
from datalab.errors import StateError
from datalab.tables import ANNOTATIONS

STAMPS = "id,data,annotations,updated_at,draft_exists"
"""What tells whether a task has something new: a few hundred bytes, whatever was drawn."""
WHOLE = "id,data,annotations,result,completed_by,lead_time,created_at,updated_at,was_cancelled"
"""The fields of a task and of its annotations that are kept; predictions are in proposals.parquet."""
PAGE = 50
"""Tasks per answer: with three people and twenty masks on each that is some 20 MB."""
FETCHED = ("kind", *ANNOTATIONS)


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


@dataclass(frozen=True)
class Changes:
    """What is new at the server. `rows`: columns FETCHED, annotations before drafts; `gone`: ids of known annotations
    that the server no longer has."""

    rows: pd.DataFrame
    gone: frozenset[int]


def round_progress(client: Client, target: PushedRound) -> RoundProgress:
    """Count the answers of the round's tasks; StateError where the round has no task in the project."""
    tasks = existing_tasks(client, target).values()
    if not tasks:
        raise StateError(
            f"project {target.project_id} has no task of round {target.round_id}; was the project deleted? "
            "remove 'push' from the round's round.json to push it again"
        )
    # what the server calls labelled it offers to nobody, also where the account of somebody who answered is gone
    answers = [
        (int(task["overlap"]) if task["is_labeled"] else len(set(task["annotators"])), int(task["overlap"]))
        for task in tasks
    ]
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
    rows = pull_changes(client, target, catalog, {}, drafts=False).rows
    return rows.loc[:, list(ANNOTATIONS)].sort_values("annotation_id", ignore_index=True)


def pull_changes(
    client: Client,
    target: PushedRound,
    catalog: pd.DataFrame,
    known: Mapping[tuple[str, int], str],
    drafts: bool = True,
) -> Changes:
    """What the round's answers have that `known` does not: (kind, id) to the `updated_at` of the newest version kept.

    Without changes that is one light request for 500 tasks. Regions are asked of tasks with a new annotation alone,
    drafts of tasks that have some. Where an image is not in `catalog`, width and height are 0.
    """
    tasks = round_tasks(client, target, STAMPS)
    stamps = {
        int(answer["id"]): (int(task["id"]), str(answer["updated_at"]))
        for task in tasks
        for answer in task["annotations"]
    }
    changed = sorted({task for one, (task, at) in stamps.items() if known.get(("annotation", one)) != at})
    people = {int(user["id"]): str(user["email"]) for user in client.get("/api/users/")} if changed else {}
    rows = [row for task in _whole(client, target, changed) for row in _answers(task, people)]
    if drafts:
        rows += [row for task in tasks if task["draft_exists"] for row in _drafts(client, task)]
    fresh = [row for row in rows if known.get((row["kind"], row["annotation_id"])) != row["updated_at"]]
    gone = frozenset(one for kind, one in known if kind == "annotation" and one not in stamps)
    return Changes(pd.DataFrame(_sized(fresh, catalog), columns=list(FETCHED)), gone)


def _sized(rows: list[dict[str, Any]], catalog: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows with their images' sizes. Most looks find nothing new, and the catalog is large."""
    if not rows:
        return []
    asked = catalog[catalog["image_id"].isin({row["image_id"] for row in rows})]
    sizes: dict[Any, Any] = asked.set_index("image_id")[["width", "height"]].to_dict("index")
    return [{**row, **sizes.get(row["image_id"], {"width": 0, "height": 0})} for row in rows]


def _whole(client: Client, target: PushedRound, task_ids: list[int]) -> Iterator[dict[str, Any]]:
    for start in range(0, len(task_ids), PAGE):
        selected = {"all": False, "included": task_ids[start : start + PAGE]}
        yield from client.tasks(target.project_id, WHOLE, PAGE, query=json.dumps({"selectedItems": selected}))


def _answers(task: dict[str, Any], people: dict[int, str]) -> Iterator[dict[str, Any]]:
    for annotation in task["annotations"]:
        yield {
            **_row("annotation", task, annotation),
            "annotator": _annotator(annotation["completed_by"], people),
            "was_cancelled": bool(annotation["was_cancelled"]),
        }


def _drafts(client: Client, task: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for draft in client.get(f"/api/tasks/{task['id']}/drafts"):
        yield {**_row("draft", task, draft), "annotator": str(draft["user"]), "was_cancelled": False}


def _row(kind: str, task: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    data = task["data"]
    return {
        "kind": kind,
        "annotation_id": int(answer["id"]),
        "task_id": int(task["id"]),
        "round_id": data["round"],
        "image_id": data["image_id"],
        "lead_time_s": float("nan") if answer["lead_time"] is None else float(answer["lead_time"]),
        "created_at": answer["created_at"],
        "updated_at": answer["updated_at"],
        "guideline_version": data["guideline_version"],
        "ontology_hash": data["ontology_hash"],
        "result_json": json.dumps(answer["result"], sort_keys=True),
    }


def _annotator(user_id: int | None, people: dict[int, str]) -> str:
    return "deleted user" if user_id is None else people.get(int(user_id), f"user {user_id}")
