"""What people changed in rounds that have been read: the next round's pull reads it, too.

So an annotator can put a slip right, and submit once more what was set aside as empty after long work.
"""

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd

from datalab.adapters.files import read_table, write_table
from datalab.adapters.label_studio.client import Client
from datalab.adapters.label_studio.push import PushedRound
from datalab.adapters.label_studio.reconcile import PullParams, reconcile
from datalab.rounds.history import confirmed_empty, keep_changes, newest_versions, read_versions
from datalab.rounds.state import round_numbers
from datalab.tables import ANNOTATIONS, CATALOG, QUARANTINE, empty
from datalab.workspace import Workspace


def pull_corrections(workspace: Workspace, client: Client, target: PushedRound, params: PullParams) -> dict[str, int]:
    """Bring the tables of the rounds before `target` up to date; name of each round that changed to its new answers.

    What is gone from the server stays: old tasks may be cleared away.
    """
    catalog = read_table(workspace.catalog, CATALOG)
    corrected = {}
    for earlier in _earlier(workspace, target):
        folder = workspace.rounds / earlier.round_id
        keep_changes(folder, client, earlier, catalog, closed=True)
        if count := _correct(folder, target.guidelines.names, params):
            corrected[earlier.round_id] = count
    return corrected


def _earlier(workspace: Workspace, target: PushedRound) -> Iterator[PushedRound]:
    names = (f"{number:04d}" for number in round_numbers(workspace))
    for name in names:
        if name < target.round_id and (workspace.rounds / name / "annotations.parquet").exists():
            yield replace(target, round_id=name)


def _correct(folder: Path, classes: Collection[str], params: PullParams) -> int:
    """How many answers of a round are new since its tables were written, and now in them."""
    versions = read_versions(folder)
    table, _ = newest_versions(versions)
    read = read_table(folder / "annotations.parquet", ANNOTATIONS)
    known = set(zip(read["annotation_id"], read["updated_at"], strict=True))
    is_new = [one not in known for one in zip(table["annotation_id"], table["updated_at"], strict=True)]
    changed = table[is_new]
    if changed.empty:
        return 0
    path = folder / "quarantine.parquet"
    aside = read_table(path, QUARANTINE) if path.exists() else empty(QUARANTINE)
    staying = aside[~aside["annotation_id"].isin(changed["annotation_id"])]
    again = reconcile(changed, classes, (), confirmed_empty(versions), params)
    rest = read[~read["annotation_id"].isin(changed["annotation_id"])]
    whole = pd.concat([one for one in (rest, changed) if len(one)]).sort_values("annotation_id", ignore_index=True)
    # the answers last: by them the next run knows whether this one was killed
    set_aside = [one for one in (staying, again) if len(one)]
    write_table(path, pd.concat(set_aside, ignore_index=True) if set_aside else empty(QUARANTINE))
    write_table(folder / "annotations.parquet", whole.loc[:, list(ANNOTATIONS)])
    return len(changed)
