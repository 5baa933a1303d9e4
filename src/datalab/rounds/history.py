"""Every version of every answer of a round: data/rounds/NNNN/versions, one file per pull that found something new.

A file is written once and never touched again, so what was seen stays, whatever happens at the server.
"""

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from datalab.adapters.files import read_table, write_table
from datalab.adapters.label_studio.client import Client
from datalab.adapters.label_studio.pull import pull_changes
from datalab.adapters.label_studio.push import PushedRound
from datalab.adapters.label_studio.reconcile import is_empty
from datalab.tables import ANNOTATION_VERSIONS, ANNOTATIONS, empty

FOLDER = "versions"
STAMPS = ("kind", "annotation_id", "updated_at")
"""What a look at a round needs of them; the drawings are nearly all of their bytes."""


def keep_changes(
    round_folder: Path, client: Client, target: PushedRound, catalog: pd.DataFrame, closed: bool = False
) -> int:
    """Append what is new at the server since the last call; how many versions that were.

    Of a `closed` round answers alone count: no drafts, and not that somebody cleared its tasks away.
    """
    changes = pull_changes(client, target, catalog, _known(round_folder), drafts=not closed)
    tables = [changes.rows] if len(changes.rows) else []
    if changes.gone and not closed:
        submitted, _ = newest_versions(read_versions(round_folder))
        tables.append(submitted[submitted["annotation_id"].isin(changes.gone)].assign(kind="deleted"))
    if not tables:
        return 0
    seen = pd.concat(tables, ignore_index=True).assign(pulled_at=datetime.now(UTC).isoformat(timespec="seconds"))
    path = round_folder / FOLDER / f"{len(_files(round_folder)) + 1:06d}.parquet"
    write_table(path, seen.loc[:, list(ANNOTATION_VERSIONS)])
    return len(seen)


def read_versions(round_folder: Path) -> pd.DataFrame:
    """Table ANNOTATION_VERSIONS of a round in the order in which they were seen; no row before the first pull."""
    return _read(round_folder, ANNOTATION_VERSIONS)


def newest_versions(versions: pd.DataFrame) -> tuple[pd.DataFrame, set[int]]:
    """Table ANNOTATIONS by id: the newest version of every submitted or skipped answer; and ids of the deleted ones."""
    answers = versions[versions["kind"] != "draft"].drop_duplicates("annotation_id", keep="last")
    answers = answers.sort_values("annotation_id", ignore_index=True)
    deleted = {int(one) for one in answers.loc[answers["kind"] == "deleted", "annotation_id"]}
    return answers.loc[:, list(ANNOTATIONS)], deleted


def confirmed_empty(versions: pd.DataFrame) -> set[int]:
    """Ids of answers that were submitted empty more than once: a second look said so, too."""
    answers = versions[versions["kind"] == "annotation"]
    often = answers[answers.groupby("annotation_id")["updated_at"].transform("nunique") > 1]
    return {int(str(one)) for one, rows in often.groupby("annotation_id") if _is_twice_empty(rows)}


def _known(round_folder: Path) -> dict[tuple[str, int], str]:
    """(kind, id) of what was seen and not seen to be gone, to the time of its newest version."""
    stamps = _read(round_folder, STAMPS)
    newest = stamps.assign(draft=stamps["kind"] == "draft").drop_duplicates(["draft", "annotation_id"], keep="last")
    rows = zip(newest["kind"], newest["annotation_id"], newest["updated_at"], strict=True)
    return {(kind, int(one)): str(at) for kind, one, at in rows if kind != "deleted"}


def _is_twice_empty(rows: pd.DataFrame) -> bool:
    """Of the versions of one answer, oldest first; the newest is looked at first, since most are not empty."""
    found = rows.to_dict("records")
    return is_empty(found[-1]) and len({row["updated_at"] for row in found if is_empty(row)}) > 1


def _read(round_folder: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    tables = [read_table(path, columns) for path in _files(round_folder)]
    return pd.concat(tables, ignore_index=True) if tables else empty(columns)


def _files(round_folder: Path) -> list[Path]:
    return sorted((round_folder / FOLDER).glob("[0-9]*.parquet"))
