"""What people know of their images beside the pixels: files called metadata.csv in the folder of the images."""

import csv
import io
import logging
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from datalab.adapters.files import read_table, write_table
from datalab.errors import InputError
from datalab.tables import CATALOG, FACTS, METADATA, empty
from datalab.workspace import Workspace

LOG = logging.getLogger(__name__)
FILE = "file"
"""The column that says which image a row is about: its path relative to the metadata.csv."""
ALSO = "file_name"
"""What Hugging Face's image folders call it."""
MOST_BYTES = 20_000_000
MOST_COLUMNS = 50
SHOWN = 3
"""Unknown files that are told by name."""
Row = dict[str, str]


def read_metadata(files: Sequence[tuple[str, Path]]) -> dict[str, Row]:
    """Source of an image -> column -> text, of all these metadata.csv, given as (source, path).

    InputError, one line, for a file that cannot be read as a table of images, and for an image that has two rows.
    """
    found: dict[str, Row] = {}
    for source, path in files:
        for line, row in _rows(source, path):
            image = posixpath.normpath(posixpath.join(posixpath.dirname(source), row.pop(FILE)))
            if image in found:
                raise InputError(f"{path}, line {line}: {image} has a row already; leave one for each file")
            found[image] = row
    return found


def take_metadata(workspace: Workspace, described: Mapping[str, Row], images: Mapping[str, str]) -> tuple[int, int]:
    """Write table METADATA: of images of this folder what its files say now, of all others what was known.

    `images`: source -> image_id of the usable files, of equal ones the one that stands for them first. Returns how many
    of these images are described, and how many rows are about none, which a warning names. A folder without a row
    changes nothing.
    """
    ensure_metadata(workspace)
    unknown = [source for source in described if source not in images]
    if unknown:
        names = ", ".join(unknown[:SHOWN]) + (" ..." if len(unknown) > SHOWN else "")
        LOG.warning("metadata.csv: %d of %d rows are about no image here: %s", len(unknown), len(described), names)
    rows: dict[str, Row] = {}
    for source, image_id in images.items():
        if source in described:
            rows.setdefault(image_id, described[source])
    if described:
        old = read_table(workspace.metadata, METADATA, others=True)
        fresh = pd.DataFrame([{"image_id": image_id, **row} for image_id, row in rows.items()], dtype="str")
        kept = old[~old["image_id"].isin(list(images.values()))]
        _write(workspace.metadata, pd.concat([kept, fresh]) if len(fresh) else kept)
    return len(rows), len(unknown)


def ensure_metadata(workspace: Workspace) -> None:
    """Make metadata.parquet without a row where it is missing: a stage reads it."""
    if not workspace.metadata.exists():
        write_table(workspace.metadata, empty(METADATA))


def _write(path: Path, table: pd.DataFrame) -> None:
    """Sorted by image and name, without columns that nobody fills, so that the same facts are the same bytes."""
    filled = table.fillna("").astype("str")
    names = sorted(name for name in filled.columns if name not in METADATA and (filled[name] != "").any())
    write_table(path, filled[[*METADATA, *names]].sort_values("image_id", ignore_index=True))


def _rows(source: str, path: Path) -> Iterator[tuple[int, Row]]:
    """(line, column -> text) of each row of one file; blanks about a cell and line breaks in it are no part."""
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        header = [_tidy(cell) for cell in next(reader, [])]
        if FILE not in header:
            header = [FILE if name == ALSO else name for name in header]
        _check_header(path, header)
        for cells in reader:
            if len(cells) not in (0, len(header)):
                raise InputError(
                    f"{path}, line {reader.line_num}: {len(cells)} cells in a table of {len(header)} columns"
                )
            row = dict(zip(header, map(_tidy, cells), strict=False))
            if any(row.values()):
                yield reader.line_num, {**row, FILE: cells[header.index(FILE)].strip()}
    except csv.Error as exc:
        raise InputError(f"{path}, line {reader.line_num}: no CSV ({exc}); save it as comma-separated values") from exc


def _text(path: Path) -> str:
    try:
        if (size := path.stat().st_size) > MOST_BYTES:
            raise InputError(f"{path} has {size} bytes, {MOST_BYTES} at most are read; leave columns out")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as exc:
        raise InputError(f"{path} is no UTF-8 (byte {exc.start}); save it as CSV UTF-8") from exc
    except OSError as exc:
        raise InputError(f"{path} cannot be read: {exc.strerror}") from exc


def _check_header(path: Path, header: Sequence[str]) -> None:
    if FILE not in header:
        raise InputError(
            f"{path} has no column {FILE!r} (it has {', '.join(header) or 'none'}); commas separate columns; a file "
            "that is not about the images needs another name"
        )
    if len(header) > MOST_COLUMNS:
        raise InputError(f"{path} has {len(header)} columns, {MOST_COLUMNS} at most are read; leave some out")
    others = [name for name in header if name != FILE]
    if "" in others or len(set(header)) < len(header):
        raise InputError(f"{path}: every column needs a name of its own; it has {', '.join(header)}")
    # a rule of params.yaml knows these by the same names, and "CLASS there"
    taken = [name for name in others if name in (*CATALOG, *FACTS) or name.endswith(" there")]
    if taken:
        raise InputError(f"{path}: every image has a {taken[0]!r} already; give the column another name")


def _tidy(cell: str) -> str:
    return " ".join(cell.split())
