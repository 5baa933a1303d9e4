"""What people changed in rounds that have been read: the next round's pull reads it, too.

So an annotator can put a slip right, and submit once more what was set aside as empty after long work. A round's own
tables stay as they were read: by them images were dealt to the splits.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pandas as pd

from datalab.adapters.files import read_table
from datalab.adapters.label_studio.client import Client
from datalab.adapters.label_studio.push import PushedRound
from datalab.rounds.history import confirmed_empty, keep_changes, newest_versions, read_versions
from datalab.rounds.state import round_numbers
from datalab.tables import ANNOTATIONS, CATALOG, empty
from datalab.workspace import Workspace

ANSWERS, CORRECTIONS = "annotations.parquet", "corrections.parquet"
STAMP = ("round_id", "annotation_id", "updated_at")
"""What tells a version of an answer from others."""


@dataclass(frozen=True)
class Corrections:
    """What nobody has read yet."""

    rows: pd.DataFrame
    """Table ANNOTATIONS, each row with the round it was asked in."""
    confirmed: frozenset[int]
    """Ids of answers that were submitted empty more than once."""

    @property
    def counts(self) -> dict[str, int]:
        """Name of each round that somebody changed something in, to the number of its new answers."""
        return {str(name): int(count) for name, count in self.rows["round_id"].value_counts(sort=False).items()}


def pull_corrections(workspace: Workspace, client: Client, target: PushedRound) -> Corrections:
    """The answers of the rounds before `target` that are in no table of those rounds.

    What is gone from the server is no correction: old tasks may be cleared away.
    """
    catalog = read_table(workspace.catalog, CATALOG)
    known = _known(workspace, target.round_id)
    tables, confirmed = [], set[int]()
    for earlier in _earlier(workspace, target):
        folder = workspace.rounds / earlier.round_id
        keep_changes(folder, client, earlier, catalog, closed=True)
        versions = read_versions(folder)
        newest, _ = newest_versions(versions)
        stamps = zip(*(newest[name] for name in STAMP), strict=True)
        tables.append(newest[[one not in known for one in stamps]])
        confirmed |= confirmed_empty(versions)
    filled = [table for table in tables if len(table)]
    rows = pd.concat(filled, ignore_index=True) if filled else empty(ANNOTATIONS)
    return Corrections(rows, frozenset(confirmed))


def _earlier(workspace: Workspace, target: PushedRound) -> Iterator[PushedRound]:
    for number in round_numbers(workspace):
        name = f"{number:04d}"
        if name < target.round_id and (workspace.rounds / name / ANSWERS).exists():
            yield replace(target, round_id=name)


def _known(workspace: Workspace, before: str) -> set[tuple[str, int, str]]:
    """(round, id, time of the change) of every answer that a round before this one has read."""
    paths = [path for name in (ANSWERS, CORRECTIONS) for path in workspace.rounds.glob(f"[0-9]*/{name}")]
    tables = [read_table(path, STAMP) for path in paths if path.parent.name < before]
    return {
        (str(row["round_id"]), int(row["annotation_id"]), str(row["updated_at"]))
        for table in tables
        for row in table.to_dict("records")
    }
