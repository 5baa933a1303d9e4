"""Tasks with proposed masks into a project, once each, however often it is tried."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from datalab.adapters.label_studio.client import Client, readable_errors
from datalab.adapters.label_studio.project import MODEL_VERSION
from datalab.adapters.label_studio.results import region_to_result
from datalab.config import Guidelines

CHUNK = 25
"""Tasks per request: a few MB at most, so that none takes long."""


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
    progress: Callable[[float, str], None],
) -> pd.DataFrame:
    """Make the tasks of `batch` (table BATCH) that are missing, in rank order; returns image_id and task_id of all.

    Tasks are found again by image and round, so a push that was killed goes on where it stopped. Nothing in a task
    tells gold from the others. `urls`: image_id to the image's address.
    """
    batch = batch.sort_values("rank")
    known = existing_tasks(client, target)
    missing = [image_id for image_id in batch["image_id"] if image_id not in known]
    by_image = dict(iter(proposals.groupby("image_id")))
    for start in range(0, len(missing), CHUNK):
        progress(start / len(batch), f"pushing tasks {start}/{len(missing)}")
        chunk = missing[start : start + CHUNK]
        tasks = [_task(image_id, urls[image_id], target, by_image.get(image_id)) for image_id in chunk]
        with readable_errors(client.url):
            client.sdk.projects.import_tasks(target.project_id, request=tasks, return_task_ids=True)
    known = existing_tasks(client, target)
    _set_overlap(client, target, batch, known)
    return pd.DataFrame({"image_id": batch["image_id"], "task_id": [known[one]["id"] for one in batch["image_id"]]})


def existing_tasks(client: Client, target: PushedRound) -> dict[str, dict[str, Any]]:
    """image_id to task, for the tasks of this round."""
    tasks = client.tasks(target.project_id)
    return {task["data"]["image_id"]: task for task in tasks if task["data"].get("round") == target.round_id}


def _task(image_id: str, url: str, target: PushedRound, proposals: pd.DataFrame | None) -> dict[str, Any]:
    data = {
        "image": url,
        "image_id": image_id,
        "round": target.round_id,
        "guideline_version": target.guidelines.version,
        "ontology_hash": target.guidelines.ontology_hash,
    }
    return {"data": data, "predictions": [] if proposals is None else [_prediction(proposals)]}


def _prediction(proposals: pd.DataFrame) -> dict[str, Any]:
    return {
        "model_version": MODEL_VERSION,
        "score": float(proposals["predicted_iou"].mean()),
        "result": list(_results(proposals)),
    }


def _results(proposals: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for row in proposals.to_dict("records"):
        result = region_to_result(
            row["region_id"], row["label"], row["rle"], row["height"], row["width"], origin="proposal"
        )
        del result["origin"]  # the labeling screen notes it itself when it copies a prediction
        yield result


def _set_overlap(client: Client, target: PushedRound, batch: pd.DataFrame, tasks: dict[str, dict[str, Any]]) -> None:
    """New tasks have the project's overlap; those that fewer people shall see get their own."""
    for image_id, overlap in zip(batch["image_id"], batch["overlap"], strict=True):
        if tasks[image_id]["overlap"] != overlap:
            client.patch(f"/api/tasks/{tasks[image_id]['id']}", {"overlap": int(overlap)})
