"""What reviewers say, on disk before anything else happens: one line of JSON per verdict, only ever appended to.

Written by the FiftyOne app, read when a round begins. A lock keeps the two, and two reviewers, apart.
"""

import json
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from datalab.adapters.files import locked
from datalab.errors import InputError
from datalab.tables import REVIEWS, VERDICTS

NAME = "review-journal.jsonl"
"""The app is told by its database where to write: to a file of this name, and to no other."""
WHOLE_IMAGE = ("make gold", "exclude")
"""Verdicts that mean the image, also where an object was picked."""
WAITS = "waits for the next round"
"""What came of a review that nobody has acted upon yet."""
LONGEST_COMMENT = 2000
"""Characters; annotators read it above the image."""


@dataclass(frozen=True)
class Subject:
    """What a verdict is about: an image, or one object of it."""

    image_id: str
    region_id: str = ""
    label: str = ""
    box: str = ""
    """ "x y w h" as shares of the image."""


@dataclass(frozen=True)
class Saying:
    """What a reviewer says of one or more subjects."""

    verdict: str
    comment: str
    reviewer: str


@contextmanager
def held(journal: Path) -> Iterator[None]:
    """Nobody else appends, or collects, until the block ends. InputError where the folder is not there."""
    if journal.name != NAME or not journal.parent.is_dir():
        raise InputError(f"{journal} is no place for reviews; publish the workspace again: datalab review")
    with locked(journal):
        yield


def append(journal: Path, saying: Saying, subjects: Sequence[Subject], source: str = "operator") -> list[str]:
    """Write one line per subject, safe on disk on return; gives their review_ids. Call it inside `held`.

    `source`: "operator", or "tag" for what was tagged. InputError for a verdict that is none and for a comment of more
    than LONGEST_COMMENT characters.
    """
    _check(saying.verdict, saying.comment)
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    about = dict.fromkeys(_meant(saying.verdict, subject) for subject in subjects)
    rows = [
        {"review_id": uuid.uuid4().hex, "reviewed_at": now, "source": source, **asdict(saying), **asdict(subject)}
        for subject in about
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    with journal.open("ab+") as file:
        file.write(lines if _ends_with_a_line(file) else b"\n" + lines)
        file.flush()
        os.fsync(file.fileno())
    return [row["review_id"] for row in rows]


def read(journal: Path, known: frozenset[str]) -> tuple[list[dict[str, str]], list[dict[str, Any]]]:
    """Rows of table REVIEWS, and rows of table REJECTED_REVIEWS for lines that are none.

    `known`: image_ids of the catalog. A line that repeats a review_id is passed over.
    """
    rows: dict[str, dict[str, str]] = {}
    rejected: list[dict[str, Any]] = []
    content = journal.read_bytes() if journal.exists() else b""
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = _row(line, known)
        except InputError as exc:
            rejected.append({"line": number, "text": line.decode("utf-8", "replace"), "reason": str(exc)})
        else:
            rows.setdefault(row["review_id"], row)
    return list(rows.values()), rejected


def _row(line: bytes, known: frozenset[str]) -> dict[str, str]:
    try:
        row = json.loads(line)
    except ValueError as exc:
        raise InputError("no JSON; a write that was cut short") from exc
    if not isinstance(row, dict) or set(row) != set(REVIEWS) or not all(isinstance(one, str) for one in row.values()):
        raise InputError(f"not an object of texts with the keys {', '.join(REVIEWS)}")
    _check(row["verdict"], row["comment"])
    try:
        datetime.fromisoformat(row["reviewed_at"])
        if row["box"] and len([float(part) for part in row["box"].split()]) != 4:
            raise InputError("the box is not four numbers")
    except ValueError as exc:
        raise InputError(f"a value is not what it should be: {exc}") from exc
    if row["image_id"] not in known:
        raise InputError(f"image {row['image_id']!r} is not in the catalog")
    return {name: row[name] for name in REVIEWS}


def _check(verdict: str, comment: str) -> None:
    if verdict not in VERDICTS:
        raise InputError(f"{verdict!r} is no verdict; there are {', '.join(VERDICTS)}")
    if len(comment) > LONGEST_COMMENT:
        raise InputError(f"the comment has {len(comment)} characters; at most {LONGEST_COMMENT} are shown to people")


def _meant(verdict: str, subject: Subject) -> Subject:
    return Subject(subject.image_id) if verdict in WHOLE_IMAGE else subject


def _ends_with_a_line(file: IO[bytes]) -> bool:
    """False after a write that was cut short."""
    if file.seek(0, os.SEEK_END) == 0:
        return True
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"
