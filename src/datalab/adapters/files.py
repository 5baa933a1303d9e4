"""Files written whole or not at all: write beside, fsync, rename."""

import errno
import fcntl
import fnmatch
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from shlex import quote
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image
from pyarrow import parquet

from datalab.errors import InputError
from datalab.tables import require, typed

LEFTOVER = ".tmp"
"""How the name of what is being written ends; DVC (.dvcignore) and git ignore it."""
FULL = (errno.ENOSPC, errno.EDQUOT)
REFUSED = (errno.EACCES, errno.ENOTDIR, errno.EPERM, errno.EROFS)
DANGLING = (errno.EEXIST, errno.ELOOP, errno.ENOENT)
"""What comes of a link that leads nowhere, among other things."""
UNWRITABLE = (*REFUSED, *DANGLING, errno.EIO, errno.EISDIR, errno.ENAMETOOLONG)
BY_A_ROUND = "let a round make it (prefect deployment run label-round)"


@contextmanager
def readable_disk_errors(path: Path, refused: tuple[int, ...] = UNWRITABLE) -> Iterator[None]:
    """In the block a full disk, and what keeps `path` from being written, are InputErrors; `refused`: error numbers."""
    try:
        yield
    except OSError as exc:
        if exc.errno in FULL:
            raise InputError(f"no space left on the disk of {path.parent}; free some and run again") from exc
        if exc.errno in refused:
            link = _dangling(path) if exc.errno in DANGLING else None
            raise InputError(f"{path} cannot be written: {link or exc.strerror}") from exc
        raise


def write_bytes(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replace `path` by `content`; a kill at any point leaves the old file or the new one. `mode`: its permissions."""
    with readable_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=LEFTOVER)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(mode)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _fsync_folder(path.parent)


def write_text(path: Path, content: str) -> None:
    """Like `write_bytes`, as UTF-8."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: Path, content: Any) -> None:
    """Indented JSON with sorted keys; NaN and infinity are refused (ValueError), they are not JSON."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The content of a JSON file; InputError where it is missing or broken."""
    return _read(path, lambda: json.loads(path.read_text(encoding="utf-8")))


@contextmanager
def locked(path: Path, on_wait: Callable[[], None] | None = None, patient: bool = True) -> Iterator[TextIO | None]:
    """Nobody else who asks for this file is in such a block at the same time, in whatever process; waits for them.

    For reading, changing and writing as one: a command beside a flow. Not to be nested for one file. `on_wait` is
    called once where there is somebody to wait for; who is not `patient` gets None at once, and does not hold it.
    A process that is started with the file it gives open holds it to its own end, whatever becomes of ours.
    """
    with readable_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f".{path.name}.lock").open("w", encoding="utf-8")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not patient:
                yield None
                return
            if on_wait is not None:
                on_wait()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


def write_table(path: Path, table: pd.DataFrame) -> None:
    """A parquet file without the index; one without rows has its columns' types all the same."""
    with readable_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, (typed(table) if table.empty else table).to_parquet(index=False))


def read_table(path: Path, columns: tuple[str, ...], others: bool = False) -> pd.DataFrame:
    """These columns of a parquet file, with `others` all, these first; InputError where file or column is missing."""

    def load() -> pd.DataFrame:
        # what is not asked for may be most of the file
        there = None if others else [one for one in parquet.read_schema(path).names if one in columns]
        return pd.read_parquet(path, columns=there)

    table: pd.DataFrame = _read(path, load)
    wanted = require(table, columns, str(path))
    return wanted.join(table.drop(columns=list(columns))) if others else wanted


def has_columns(path: Path, columns: tuple[str, ...]) -> bool:
    """Whether a parquet file has all of them; only its schema is read."""
    names: list[str] = _read(path, lambda: list(parquet.read_schema(path).names))
    return set(columns) <= set(names)


def write_label_map(path: Path, label_map: npt.NDArray[np.uint8]) -> None:
    """A (H, W) uint8 label map as a PNG whose pixel values are the class ids."""
    with readable_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(label_map).save(path, format="PNG")


def read_label_map(path: Path) -> npt.NDArray[np.uint8]:
    """The (H, W) uint8 class ids of a PNG."""

    def load() -> npt.NDArray[np.uint8]:
        with Image.open(path) as image:
            return np.asarray(image.convert("L") if image.mode not in ("L", "P") else image, dtype=np.uint8)

    label_map: npt.NDArray[np.uint8] = _read(path, load)
    return label_map


def read_rgb(path: Path) -> npt.NDArray[np.uint8]:
    """The (H, W, 3) uint8 RGB pixels of an ingested image."""

    def load() -> npt.NDArray[np.uint8]:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"), dtype=np.uint8)

    pixels: npt.NDArray[np.uint8] = _read(path, load)
    return pixels


def read_image_size(path: Path) -> tuple[int, int]:
    """(height, width) of an ingested image in pixels, by the file's head alone."""

    def load() -> tuple[int, int]:
        with Image.open(path) as image:
            return image.height, image.width

    size: tuple[int, int] = _read(path, load)
    return size


@contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    """A new folder that takes the place of `path` when the block ends well, and vanishes when it does not."""
    with readable_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=LEFTOVER))
        temporary.chmod(0o755)
    try:
        # what the block reads may be missing or broken, too, and `path` has nothing to do with that
        with readable_disk_errors(path, REFUSED):
            yield temporary
        with readable_disk_errors(path):
            shutil.rmtree(path, ignore_errors=True)
            temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _fsync_folder(path.parent)


def remove_leftovers(folder: Path, untouched_s: float = 3600.0) -> None:
    """Delete what killed writers left anywhere below `folder`, once nobody has touched it for so many seconds."""
    for root, folders, names in os.walk(folder):
        # by its name: a path for each of a hundred thousand files takes seconds
        for name in fnmatch.filter((*folders, *names), f".*{LEFTOVER}"):
            _remove_untouched(Path(root, name), untouched_s)


def remove_leftovers_of(path: Path, untouched_s: float = 3600.0) -> None:
    """The same of the killed writers of `path` alone, which leave it beside the file: no folder is walked through."""
    for leftover in path.parent.glob(f".{escape(path.name)}.*{LEFTOVER}"):
        _remove_untouched(leftover, untouched_s)


def _remove_untouched(leftover: Path, untouched_s: float) -> None:
    if time.time() - _touched(leftover) <= untouched_s:
        return
    if leftover.is_dir():
        shutil.rmtree(leftover, ignore_errors=True)
    else:
        leftover.unlink(missing_ok=True)


def _below(folder: Path) -> Iterator[Path]:
    """Files and folders; unlike `rglob` at peace with those that vanish meanwhile."""
    for root, folders, names in os.walk(folder):
        yield from (Path(root, name) for name in (*folders, *names))


def _touched(path: Path) -> float:
    """When anything in it was last written, in seconds since the epoch; now, where somebody moves it this moment."""
    try:
        return max(one.stat().st_mtime for one in (path, *_below(path)))
    except FileNotFoundError:
        return time.time()


def _read(path: Path, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except FileNotFoundError as exc:
        raise InputError(f"{path} does not exist; {_way_back(path, '')}") from exc
    except (OSError, ValueError) as exc:
        why = " ".join(str(exc).split())
        raise InputError(f"{path} cannot be read: {why}; {_way_back(path, 'remove it, then ')}") from exc


def _way_back(path: Path, first: str) -> str:
    """What brings a file back, by where it lies, and what to do `first`.

    Never a checkout without a name: it takes what an open round has.
    """
    for folder in path.parents:
        if folder.name == "reports":
            return f"`git checkout -- {quote(str(path))}` where it was committed, or {BY_A_ROUND}"
        if folder.name == "run" and folder.parent.name == ".datalab":
            return "remove it and run `make up`"
        if folder.name == "data":
            return _way_back_to_data(path, folder, first)
    return f"{first}{BY_A_ROUND}"


def _way_back_to_data(path: Path, data: Path, first: str) -> str:
    top = path.relative_to(data).parts[0]
    if top == "rounds" and path.name == "round.json":
        return "it is in no commit: mend it by hand, or, where the round is over, remove it and run again"
    if top == "rounds":
        return (
            f"{first}`dvc checkout {quote(str(path))}` where the round is over; an open one is not in DVC, and a "
            "checkout without a name would take what it has"
        )
    if (data / f"{top}.dvc").exists():
        return f"{first}`dvc checkout {quote(f'data/{top}.dvc')}`"
    return f"{first}dvc repro, or {BY_A_ROUND}"


def _dangling(path: Path) -> str | None:
    """Which link on the way to `path` leads nowhere, in words."""
    for link in (path, *path.parents):
        if link.is_symlink() and not link.exists():
            return f"{link} is a link to {link.readlink()}, which is not there; put that back, or remove the link"
    return None


def _fsync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
