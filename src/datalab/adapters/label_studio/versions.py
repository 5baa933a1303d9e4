"""Contested images to a reviewer, with everybody's version side by side, and the reviewer's decisions back."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from datalab.adapters.label_studio.client import Client
from datalab.adapters.label_studio.project import ensure_project, find_project, valid_title
from datalab.adapters.label_studio.pull import pull_annotations
from datalab.adapters.label_studio.push import PushedRound, chunks, close_tasks, round_tasks
from datalab.adapters.label_studio.results import region_to_result, results_to_regions
from datalab.config import Guidelines
from datalab.errors import InputError, StateError
from datalab.tables import DECISIONS

MERGED = "consensus"
"""Name of the version that nobody drew."""
ROUND = "adjudication"
"""What its tasks have for a round."""
Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Version:
    """One answer to an image. `name`: a letter per annotator, so that nobody is judged by name, or "consensus"."""

    name: str
    regions: pd.DataFrame
    """Columns region_id, label, rle, height, width; no row: nothing there."""
    fixed: pd.DataFrame | None = None
    """The same of what nobody is asked about: shown, and nobody can change it."""


def ensure_reviewer_project(client: Client, workspace_name: str, guidelines: Guidelines) -> PushedRound:
    """The reviewer's own project beside the annotators', made where it is missing."""
    project_id = ensure_project(client, _title(workspace_name), guidelines, overlap=1, model_version="")
    return PushedRound(project_id, ROUND, guidelines)


def find_reviewer_project(client: Client, workspace_name: str, guidelines: Guidelines) -> PushedRound:
    """The reviewer's project as it is; StateError where there is none."""
    title = _title(workspace_name)
    project = find_project(client, title)
    if project is None:
        raise StateError(
            f"Label Studio has no project {valid_title(title)!r}; `datalab adjudicate push` makes it, and one that was "
            "renamed has to get this name again"
        )
    return PushedRound(project.id, ROUND, guidelines)


def push_versions(
    client: Client,
    target: PushedRound,
    queue: pd.DataFrame,
    versions: Mapping[str, Sequence[Version]],
    urls: Mapping[str, str],
    progress: Progress,
) -> int:
    """Make the tasks of `queue` (table QUEUE) that are missing, in its order; how many were made.

    An image gets another task where something else of it is asked than before, or people have drawn it anew since: the
    older one is closed, for a decision about it would be one about what no longer counts.
    Every version is a prediction of its own, which the Data Manager shows as tabs and side by side. Nothing a reviewer
    sees tells the audit from the contested images.
    """
    tasks = round_tasks(client, target, "id,data,meta,is_labeled")
    drawn = {image_id: _digest(some) for image_id, some in versions.items()}
    outdated = [task for task in tasks if _is_outdated(task, drawn)]
    known = {_about(task) for task in tasks if not _is_outdated(task, drawn)}
    rows = queue.sort_values("rank").to_dict("records")
    missing = [row for row in rows if (row["image_id"], row["asked"]) not in known]
    pushed = 0
    for chunk in chunks(
        _task(row, versions[row["image_id"]], urls[row["image_id"]], target, drawn[row["image_id"]]) for row in missing
    ):
        progress(pushed / len(missing), f"pushing tasks {pushed}/{len(missing)}")
        client.post(f"/api/projects/{target.project_id}/import?return_task_ids=true", chunk)
        pushed += len(chunk)
    close_tasks(client, outdated)
    # an import makes its last prediction's name the project's, and only that one would be shown
    client.patch(f"/api/projects/{target.project_id}", {"model_version": ""})
    return len(missing)


def pull_decisions(client: Client, target: PushedRound, catalog: pd.DataFrame) -> pd.DataFrame:
    """Table DECISIONS: the newest submitted answer to every task; skipped ones decide nothing.

    InputError, with the annotation's id, for one that cannot be decoded or has a region without a class.
    """
    answers = pull_annotations(client, target, catalog)
    submitted = answers[~answers["was_cancelled"].astype(bool)].sort_values(["updated_at", "annotation_id"])
    newest = submitted.drop_duplicates("image_id", keep="last").sort_values("image_id")
    said = {int(task["id"]): task["meta"] for task in round_tasks(client, target, "id,data,meta")}
    rows = [row for answer in newest.to_dict("records") for row in _decided(answer, said[int(answer["task_id"])])]
    return pd.DataFrame(rows, columns=list(DECISIONS))


def _title(workspace_name: str) -> str:
    return f"{workspace_name} {ROUND}"


def _about(task: dict[str, Any]) -> tuple[str, str]:
    return task["data"]["image_id"], task["meta"].get("asked", "")


def _is_outdated(task: dict[str, Any], drawn: Mapping[str, str]) -> bool:
    """Tasks of before digests were kept are as they are."""
    shown = task["meta"].get("drawn")
    return shown is not None and shown != drawn.get(task["data"]["image_id"], shown)


def _digest(versions: Sequence[Version]) -> str:
    """Of what people drew: the consensus may move a little with anybody's skill."""
    drawn = [
        (one.name, *row)
        for one in versions
        if one.name != MERGED
        for row in sorted(zip(one.regions["label"], one.regions["rle"], strict=True))
    ]
    return hashlib.sha256(repr(drawn).encode()).hexdigest()[:12]


def _task(
    row: dict[Any, Any], versions: Sequence[Version], url: str, target: PushedRound, drawn: str
) -> dict[str, Any]:
    data = {
        "image": url,
        "image_id": row["image_id"],
        "round": target.round_id,
        "guideline_version": target.guidelines.version,
        "ontology_hash": target.guidelines.ontology_hash,
    }
    return {
        "data": data,
        "meta": {"reason": row["reason"], "asked": row["asked"], "drawn": drawn},
        "predictions": [{"model_version": one.name, "result": _results(one)} for one in versions],
    }


def _results(version: Version) -> list[dict[str, Any]]:
    fixed = [] if version.fixed is None else version.fixed.to_dict("records")
    rows = version.regions.to_dict("records")
    results = [
        region_to_result(f"{version.name}-{row['region_id']}", row["label"], row["rle"], row["height"], row["width"])
        for row in [*rows, *fixed]
    ]
    for place, result in enumerate(results):
        del result["origin"]  # the labeling screen notes it itself when it copies a prediction
        if place >= len(rows):
            result["readonly"] = True
    return results


def _decided(answer: dict[Any, Any], meta: Mapping[str, str]) -> list[dict[str, Any]]:
    where = f"the decision about image {answer['image_id']} (annotation {answer['annotation_id']})"
    try:
        regions = results_to_regions(json.loads(answer["result_json"]))
    except InputError as exc:
        raise InputError(f"{where} cannot be read: {exc}; correct it in Label Studio and pull again") from exc
    if any(not region["label"] for region in regions):
        raise InputError(f"{where} has a region without a class; give it one in Label Studio and pull again")
    nothing = {"label": "", "rle": "", "height": int(answer["height"]), "width": int(answer["width"])}
    return [
        {
            **{key: region[key] for key in ("label", "rle", "height", "width")},
            "image_id": answer["image_id"],
            "region_id": f"{answer['annotation_id']}-{place}",
            "reviewer": answer["annotator"],
            "reason": meta["reason"],
            "asked": meta.get("asked", ""),
        }
        for place, region in enumerate(regions or [nothing])
    ]
