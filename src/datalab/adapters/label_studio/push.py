"""Tasks with proposed masks into a project, once each, however often it is tried."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from datalab.adapters.label_studio.client import Client
from datalab.adapters.label_studio.project import MODEL_VERSION
from datalab.adapters.label_studio.results import proposal_type, region_to_result
from datalab.config import Guidelines
from datalab.errors import InputError

CHUNK = 100
"""Tasks per request at most."""
CHUNK_BYTES = 4_000_000
"""JSON per request, about: the server takes some 2.5 MB/s, and no request shall take ten seconds on a busy machine."""
STATE = "id,data,overlap,is_labeled,total_annotations,cancelled_annotations,draft_exists,annotators"
"""What is asked of tasks where their annotations are not needed."""

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class PushedRound:
    """What is stamped on every task of a round."""

    project_id: int
    round_id: str
    guidelines: Guidelines


def push_batch(
    client: Client,
    target: PushedRound,
    batch: pd.DataFrame,
    proposals: pd.DataFrame,
    urls: dict[str, str],
    progress: Progress,
    notes: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Make the tasks of `batch` (table BATCH) that are missing, in rank order; returns image_id and task_id of all.

    Tasks are found again by image and round, so a push that was killed goes on where it stopped. Nothing in a task
    tells gold from the others. `urls`: image_id to the image's address. `notes`: image_id to what a reviewer tells
    people about it. Open tasks of earlier rounds are closed: what people answer there would never be read. A proposal
    without a class (label "") is shown without one. InputError for a class that the labeling config does not have: the
    server would take it and the browser not show it.
    """
    _check_labels(proposals, target.guidelines)
    batch = batch.sort_values("rank")
    known = existing_tasks(client, target)
    missing = [image_id for image_id in batch["image_id"] if image_id not in known]
    said = notes or {}
    rows = proposals.groupby("image_id").indices
    tasks = (
        _task(one, urls[one], target, proposals.iloc[rows[one]] if one in rows else None, said.get(one, ""))
        for one in missing
    )
    pushed = 0
    for chunk in chunks(tasks):
        progress(0.8 * pushed / len(missing), f"pushing tasks {pushed}/{len(missing)}")
        client.post(f"/api/projects/{target.project_id}/import?return_task_ids=true", chunk)
        pushed += len(chunk)
    known = _without_repeats(client, target)
    set_overlap(client, batch, known, progress)
    _close_earlier(client, target)
    return pd.DataFrame({"image_id": batch["image_id"], "task_id": [known[one]["id"] for one in batch["image_id"]]})


def existing_tasks(client: Client, target: PushedRound, include: str = STATE, page_size: int = 500) -> dict[str, Any]:
    """image_id to the first task of this round for it."""
    return _by_image(round_tasks(client, target, include, page_size))


def round_tasks(client: Client, target: PushedRound, include: str, page_size: int = 500) -> list[dict[str, Any]]:
    """The tasks of this round, by id, with the fields of `include`; `id` and `data` have to be among them."""
    tasks = client.tasks(target.project_id, include, page_size, query=_round_is("equal", target.round_id))
    return [task for task in tasks if task["data"].get("round") == target.round_id]


def _round_is(operator: str, round_id: str) -> str:
    """A query that leaves most tasks of other rounds, or of this one, at the server."""
    item = {"filter": "filter:tasks:data.round", "operator": operator, "type": "String", "value": round_id}
    return json.dumps({"filters": {"conjunction": "and", "items": [item]}})


def _by_image(tasks: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """image_id to the first of its tasks, which come by id."""
    return {task["data"]["image_id"]: task for task in reversed(list(tasks))}


def _check_labels(proposals: pd.DataFrame, guidelines: Guidelines) -> None:
    unknown = sorted(set(proposals["label"]) - {*guidelines.names, ""})
    if unknown:
        raise InputError(
            f"proposals have the class {unknown[0]!r}, guidelines/classes.yaml has {', '.join(guidelines.names)}; "
            "propose again with these guidelines"
        )


def _task(image_id: str, url: str, target: PushedRound, proposals: pd.DataFrame | None, note: str) -> dict[str, Any]:
    data = {
        "image": url,
        "image_id": image_id,
        "round": target.round_id,
        "guideline_version": target.guidelines.version,
        "ontology_hash": target.guidelines.ontology_hash,
        # empty on most tasks, and there on all of them
        "note": note,
    }
    return {"data": data, "predictions": [] if proposals is None else [_prediction(proposals)]}


def chunks(tasks: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """What goes into one request: never more than one chunk is in memory."""
    chunk: list[dict[str, Any]] = []
    size = 0
    for task in tasks:
        codes = [result["value"].get("rle", ()) for one in task["predictions"] for result in one["result"]]
        more = 5 * sum(map(len, codes))  # digits, comma and blank
        if chunk and (len(chunk) == CHUNK or size + more > CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(task)
        size += more
    if chunk:
        yield chunk


def _prediction(proposals: pd.DataFrame) -> dict[str, Any]:
    rows = proposals.to_dict("records")
    shown_as = proposal_type(len(rows))
    results = [
        region_to_result(row["region_id"], row["label"], row["rle"], row["height"], row["width"], region_type=shown_as)
        for row in rows
    ]
    for row, result in zip(rows, results, strict=True):
        del result["origin"]  # the labeling screen notes it itself when it copies a prediction
        if row.get("decision") == "accept":
            result["readonly"] = True  # shown, and nobody can change it
    return {"model_version": MODEL_VERSION, "score": float(proposals["predicted_iou"].mean()), "result": results}


def _without_repeats(client: Client, target: PushedRound) -> dict[str, Any]:
    """The round's tasks as `existing_tasks` has them, after one of two without answers and drafts was deleted.

    An import whose answer was lost may have been carried out after all.
    """
    seen: set[str] = set()
    tasks = {int(task["id"]): task for task in round_tasks(client, target, STATE)}
    for task in sorted(tasks.values(), key=lambda one: (not _is_touched(one), int(one["id"]))):
        image_id = task["data"]["image_id"]
        if image_id in seen and not _is_touched(task):
            client.delete(f"/api/tasks/{task['id']}/")
            del tasks[int(task["id"])]
        seen.add(image_id)
    return _by_image(tasks.values())


def _is_touched(task: dict[str, Any]) -> bool:
    return bool(task["total_annotations"] or task["cancelled_annotations"] or task["draft_exists"])


def set_overlap(
    client: Client, batch: pd.DataFrame, tasks: dict[str, Any], progress: Progress = lambda share, doing: None
) -> None:
    """New tasks have the project's overlap; those that fewer or more people shall see get their own. `tasks`: as
    `existing_tasks` has them; one that was deleted is nobody's any more."""
    for place, (image_id, overlap) in enumerate(zip(batch["image_id"], batch["overlap"], strict=True)):
        task = tasks.get(image_id)
        if task is not None and task["overlap"] != overlap:
            progress(0.8 + 0.2 * place / len(batch), f"setting the overlap {place}/{len(batch)}")
            # the server itself does not look again who is still missing
            is_labeled = len(set(task["annotators"])) >= overlap
            client.patch(f"/api/tasks/{task['id']}/", {"overlap": int(overlap), "is_labeled": is_labeled})


def close_tasks(client: Client, tasks: Iterable[dict[str, Any]]) -> None:
    """Take those of the tasks out of the stream that are still open; `id` and `is_labeled` have to be among fields."""
    for task in tasks:
        if not task["is_labeled"]:
            client.patch(f"/api/tasks/{task['id']}/", {"is_labeled": True})


def close_round(client: Client, target: PushedRound) -> None:
    """Nobody is asked any more: the round is read."""
    close_tasks(client, round_tasks(client, target, "id,data,is_labeled"))


def _close_earlier(client: Client, target: PushedRound) -> None:
    """Skipped tasks stay open for others for ever, and come first in the stream."""
    others = _round_is("not_equal", target.round_id)
    tasks = client.tasks(target.project_id, "id,data,is_labeled", query=others)
    close_tasks(client, (task for task in tasks if task["data"].get("round", target.round_id) != target.round_id))
