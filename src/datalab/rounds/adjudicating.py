"""Reviewers: what they are asked, and what they decided. A round never waits for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

import numpy as np
import numpy.typing as npt
import pandas as pd

from datalab.adapters.dvc import add, stages_at_rest
from datalab.adapters.files import has_columns, locked, read_table, write_table
from datalab.adapters.label_studio.client import connect
from datalab.adapters.label_studio.media import image_url, publish_images
from datalab.adapters.label_studio.versions import (
    MERGED,
    Version,
    ensure_reviewer_project,
    find_reviewer_project,
    pull_decisions,
    push_versions,
)
from datalab.config import load_guidelines
from datalab.masks import lies_in
from datalab.rounds.progress import Progress
from datalab.settings import Settings
from datalab.tables import CATALOG, DECISIONS, QUEUE, REGIONS, empty
from datalab.workspace import Workspace


@dataclass(frozen=True)
class Pushed:
    """What `push_queue` did."""

    queued: int
    made: int
    """Tasks that were not there yet."""
    url: str
    """The reviewer's list of tasks."""


def ensure_decisions(workspace: Workspace) -> None:
    """Make decisions.parquet without a row where it is missing: the stage `consensus` reads it. One of a time when
    reviewers decided whole images alone gets the column that says so."""
    if not workspace.decisions.exists():
        write_table(workspace.decisions, empty(DECISIONS))
    elif not has_columns(workspace.decisions, DECISIONS):
        before = read_table(workspace.decisions, DECISIONS[:-1])
        write_table(workspace.decisions, before.assign(asked=""))


def push_queue(workspace: Workspace, progress: Progress) -> Pushed:
    """Give the queue (data/queue.parquet) to the reviewer's project, everybody's version of each image beside it."""
    # of two at once each would make a project, and decisions in the second one would never be read
    with locked(workspace.queue):
        return _push(workspace, progress)


def _push(workspace: Workspace, progress: Progress) -> Pushed:
    settings = Settings.load(workspace.env)
    queue = read_table(workspace.queue, QUEUE)
    client = connect(settings.label_studio_url, settings.label_studio_token)
    target = ensure_reviewer_project(client, workspace.name, load_guidelines(workspace.guidelines))
    files = read_table(workspace.catalog, CATALOG).set_index("image_id")["file"]
    publish_images(
        client, target.project_id, workspace, settings.datalab_media, [str(files[one]) for one in queue["image_id"]]
    )
    urls = {image_id: image_url(workspace, str(files[image_id])) for image_id in queue["image_id"]}
    made = push_versions(client, target, queue, versions_of(workspace, queue), urls, progress)
    return Pushed(len(queue), made, f"{client.url}/projects/{target.project_id}/data")


def pull_queue(workspace: Workspace) -> int:
    """Write decisions.parquet and version it; how many images are decided in all.

    What was decided earlier and is no longer on the server stays. StateError where nothing was pushed.
    """
    settings = Settings.load(workspace.env)
    client = connect(settings.label_studio_url, settings.label_studio_token)
    target = find_reviewer_project(client, workspace.name, load_guidelines(workspace.guidelines))
    ensure_decisions(workspace)
    found = pull_decisions(client, target, read_table(workspace.catalog, CATALOG))
    before = read_table(workspace.decisions, DECISIONS)
    kept = before[~before["image_id"].isin(found["image_id"])]
    table = pd.concat([kept, found])
    with stages_at_rest(workspace):
        write_table(workspace.decisions, table.sort_values(["image_id", "region_id"]).reset_index(drop=True))
    add(workspace, [workspace.decisions])
    return int(table["image_id"].nunique())


def versions_of(workspace: Workspace, queue: pd.DataFrame) -> dict[str, list[Version]]:
    """image_id to what each annotator drew, under a letter in the order of their names, and the consensus.

    Where the queue asks about a part of an image, that is what lies there; the consensus elsewhere is fixed in all of
    them.
    """
    queued = [str(image_id) for image_id in queue["image_id"]]
    ratings = _by_image(read_table(workspace.ratings, ("image_id", "annotator")), queued)
    regions = _by_image(read_table(workspace.regions, (*REGIONS, "annotator")), queued)
    consensus = _by_image(read_table(workspace.consensus, REGIONS), queued)
    found = {}
    for image_id, asked in zip(queued, queue["asked"], strict=True):
        people = sorted(ratings[image_id]["annotator"])
        drawn, agreed = regions[image_id], consensus[image_id]
        sides = {_letter(place): drawn[drawn["annotator"] == who] for place, who in enumerate(people)}
        sides[MERGED] = agreed
        fixed = agreed[~_contested(agreed, asked)] if asked else None
        found[image_id] = [
            Version(name, rows[_contested(rows, asked)] if asked else rows, fixed) for name, rows in sides.items()
        ]
    return found


def _by_image(table: pd.DataFrame, image_ids: Sequence[str]) -> dict[str, pd.DataFrame]:
    """The rows of each of these images, also where there are none; the table is gone through once for all."""
    places = table.groupby("image_id").indices
    return {image_id: table.iloc[places.get(image_id, [])] for image_id in image_ids}


def _contested(regions: pd.DataFrame, asked: str) -> npt.NDArray[np.bool_]:
    """Which of the regions of an image lie in the part that is asked about."""
    columns = zip(*(regions[name] for name in ("rle", "height", "width")), strict=True)
    return np.array([lies_in(rle, asked, int(height), int(width)) for rle, height, width in columns], dtype=bool)


def _letter(place: int) -> str:
    return ascii_uppercase[place % 26] * (1 + place // 26)
