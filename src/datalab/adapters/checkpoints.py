"""The official Segment Anything checkpoints: fetched once into a cache, checked whenever they are used.

A file counts only with the size and SHA-256 of its release; what was cut off or changed is never loaded.
"""

import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path
from typing import IO

import requests

from datalab.errors import InputError, ServiceError, shown_path

SMALL = "small"
"""The checkpoint that comes with datalab."""
SOURCE = "https://dl.fbaipublicfiles.com/segment_anything"
"""Where the authors of Segment Anything publish their checkpoints."""
TIMEOUT_S = (10, 60)
"""To connect, and between two pieces."""
PIECE = 1 << 16
"""Bytes that are written at once; of a connection that breaks, those of the last piece are lost."""
PAUSES_S = (1.0, 3.0, 10.0)
"""Waits before a download that broke off goes on; a piece that arrived in between starts the count anew."""


@dataclass(frozen=True)
class Official:
    """One published file."""

    file: str
    bytes: int
    sha256: str


OFFICIAL = {
    "sam_vit_b": Official(
        "sam_vit_b_01ec64.pth", 375_042_383, "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912"
    ),
    "sam_vit_l": Official(
        "sam_vit_l_0b3195.pth", 1_249_524_607, "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622"
    ),
    "sam_vit_h": Official(
        "sam_vit_h_4b8939.pth", 2_564_550_879, "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e"
    ),
}
"""By the name that `sam.checkpoint` in params.yaml takes."""


@dataclass(frozen=True)
class SamParams:
    """Section `sam` of params.yaml: who embeds, proposes and answers clicks, and whose decoder `adapt` teaches."""

    checkpoint: str
    """"small", one of OFFICIAL, or the whole path of a .pth file."""


Progress = Callable[[int, int], None]
"""Called with the bytes that are there and those of the whole file."""


def cache_folder() -> Path:
    """Where checkpoints are kept: `models` in $DATALAB_CACHE, else $XDG_CACHE_HOME/datalab, else ~/.cache/datalab."""
    general = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("DATALAB_CACHE") or general / "datalab") / "models"


def checkpoint_path(checkpoint: str) -> Path:
    """The file of "small", of an official name, or of a whole path; InputError where it does not exist."""
    if checkpoint == SMALL:
        return Path(str(resources.files("datalab"))) / "weights" / "small_sam.safetensors"
    if checkpoint in OFFICIAL:
        path = cache_folder() / OFFICIAL[checkpoint].file
        if not path.is_file():
            raise InputError(
                f"SAM checkpoint {checkpoint} is not on this machine yet; run: datalab models pull {checkpoint}"
            )
        return path
    path = _expanded(checkpoint)
    # flows, stages and click-to-mask are started in different folders
    if path.suffix and not path.is_absolute():
        raise InputError(
            f"SAM checkpoint {checkpoint} is another file from every folder; give sam.checkpoint the whole path "
            "of the .pth file"
        )
    if not path.is_absolute() or not _is_file(path):
        wrong = "is a folder" if path.is_absolute() and path.is_dir() else "does not exist"
        raise InputError(
            f"SAM checkpoint {checkpoint} {wrong}; set sam.checkpoint to the whole path of a .pth file, "
            f"to {', '.join(OFFICIAL)} or to {SMALL}"
        )
    return path


def _expanded(checkpoint: str) -> Path:
    """The path with ~ and ~somebody filled in."""
    try:
        return Path(checkpoint).expanduser()
    except RuntimeError as exc:
        raise InputError(
            f"SAM checkpoint {checkpoint} lies in the home of somebody whom this machine does not know; give "
            "sam.checkpoint the whole path of the .pth file"
        ) from exc


def _is_file(path: Path) -> bool:
    """InputError where the system does not even look: a name too long, a folder that one may not enter."""
    try:
        return path.is_file()
    except OSError as exc:
        raise InputError(
            f"SAM checkpoint {shown_path(path)} cannot be looked at: {exc.strerror}; set sam.checkpoint to the "
            "whole path of a .pth file"
        ) from exc


def official_of(name: str, others: Iterable[str] = ()) -> Official:
    """The published file of a name; InputError that lists the known ones, and `others` that can be pulled."""
    if name not in OFFICIAL:
        raise InputError(f"there is no checkpoint {name!r}; known: {', '.join([*OFFICIAL, *others])}")
    return OFFICIAL[name]


def check_official(path: Path) -> None:
    """InputError for a file that has the name of a published one and not its bytes; others pass."""
    for name, official in OFFICIAL.items():
        if path.name != official.file:
            continue
        try:
            wrong = _difference(path, official)
        except OSError as exc:
            raise InputError(f"SAM checkpoint {path} cannot be read: {exc.strerror}") from exc
        if wrong:
            raise InputError(f"{path} is not the official file: {wrong}; delete it and run: datalab models pull {name}")


def sha256_of(path: Path) -> str:
    """64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pull(
    official: Official, folder: Path, on_progress: Progress = lambda done, total: None, source: str = SOURCE
) -> Path:
    """Fetch a checkpoint into `folder` and return its path; nothing is fetched where it lies there already, unharmed.

    A download that broke off goes on where it stopped, in the same call or the next one, and begins again where that
    did not give the file. It gets its name only when size and SHA-256 are right. ServiceError where the source cannot
    be reached; InputError for other bytes, a full disk, a folder that cannot be written, or another pull of it.
    """
    path = folder / official.file
    if path.is_file() and _difference(path, official) is None:
        on_progress(official.bytes, official.bytes)
        return path
    part = folder / f".{official.file}.part"
    with disk_errors(folder, "set DATALAB_CACHE to a folder with room for it"), _held(part) as file:
        _check_space(folder, official.bytes - file.seek(0, os.SEEK_END))
        fetch = partial(_fetch, f"{source}/{official.file}", file, official, path, on_progress)
        wrong = _wrong_in(fetch, file, part, official)
        if wrong is not None:
            part.unlink()
            raise InputError(
                f"{source}/{official.file} is not the official file: {wrong}; it was deleted, try again later"
            )
        os.fsync(file.fileno())
        part.replace(path)
    return path


@contextmanager
def disk_errors(folder: Path, advice: str) -> Iterator[None]:
    """InputError, with what to do, where a folder for weights cannot be made or written in the block."""
    try:
        yield
    except OSError as exc:
        raise InputError(f"{folder} cannot be written: {exc.strerror}; {advice}") from exc


@contextmanager
def _held(part: Path) -> Iterator[IO[bytes]]:
    """The unfinished file, kept from other pulls while the block runs; its bytes stay when the block fails."""
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise InputError(f"{part} is being written by another pull; wait until that has finished") from exc
        yield file


def _wrong_in(fetch: Callable[[], None], file: IO[bytes], part: Path, official: Official) -> str | None:
    """What tells the file that `fetch` made of what was there from the published one; None where nothing does."""
    left = file.seek(0, os.SEEK_END)
    if left <= official.bytes:
        fetch()
        wrong = _difference(part, official)
        if wrong is None or not left:
            return wrong
    # what an earlier call left was of something else
    file.truncate(0)
    fetch()
    return _difference(part, official)


def _fetch(url: str, file: IO[bytes], official: Official, path: Path, on_progress: Progress) -> None:
    """Append to `file` until it has all bytes."""
    pauses = list(PAUSES_S)
    while (have := file.seek(0, os.SEEK_END)) < official.bytes:
        try:
            _append(url, file, have, official, path, on_progress)
        except requests.RequestException as exc:
            if file.seek(0, os.SEEK_END) > have:
                pauses = list(PAUSES_S)
            if not pauses or _is_final(exc):
                raise ServiceError(
                    f"{url} cannot be downloaded ({_short(exc)}); run the same command again, or fetch the file on "
                    f"another machine and put it at {path}"
                ) from exc
            time.sleep(pauses.pop(0))
    if have > official.bytes:
        file.truncate(0)
        raise InputError(f"{url} has more than the {official.bytes} bytes of the official file; try again later")


def _append(url: str, file: IO[bytes], have: int, official: Official, path: Path, on_progress: Progress) -> None:
    with _answer(url, have, official) as answer:
        answer.raise_for_status()
        begins = _begins(answer, have, official)
        if begins is None:
            raise InputError(
                f"{url} gave {answer.headers.get('Content-Length', 'some')} bytes of "
                f"{answer.headers.get('Content-Type', 'no type')}, not the official file of {official.bytes}; is there "
                f"a proxy or a login page between? Try again without it, or fetch the file elsewhere to {path}"
            )
        if begins < have:
            file.truncate(0)  # the server knows no ranges and sends everything
            have = 0
        for piece in answer.iter_content(PIECE):
            file.write(piece)
            have += len(piece)
            on_progress(min(have, official.bytes), official.bytes)
            if have > official.bytes:
                break
        file.flush()
    if have < official.bytes:
        raise requests.ConnectionError(f"it broke off after {have} of {official.bytes} bytes")


def _answer(url: str, have: int, official: Official) -> requests.Response:
    """What the server gives from the byte `have` on, or of the whole file where it has no such part."""
    if have:
        part = _get(url, {"Range": f"bytes={have}-"})
        if not _is_other_part(part, have, official):
            return part
        part.close()
    return _get(url, {})


def _is_other_part(answer: requests.Response, have: int, official: Official) -> bool:
    """Whether a server that was asked for a part gives none or another one, as some do that know ranges badly."""
    if answer.status_code == requests.codes.partial_content:
        return _begins(answer, have, official) is None
    return bool(answer.status_code == requests.codes.requested_range_not_satisfiable)


def _get(url: str, headers: dict[str, str]) -> requests.Response:
    try:
        # a packed answer would have another length
        headers = {"Accept-Encoding": "identity", **headers}
        return requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S)
    except ValueError as exc:  # of a redirect, not always an error of requests
        raise requests.exceptions.InvalidURL(str(exc)) from exc


def _begins(answer: requests.Response, have: int, official: Official) -> int | None:
    """The byte of the file that an answer begins with: `have` or 0; None where its head tells of something else."""
    if answer.status_code == requests.codes.partial_content:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
        fits = found is not None and int(found[1]) == have and found[2] in ("*", str(official.bytes))
        return have if fits else None
    is_page = answer.headers.get("Content-Type", "").startswith("text/html")
    return None if is_page or answer.headers.get("Content-Length", str(official.bytes)) != str(official.bytes) else 0


def _difference(path: Path, official: Official) -> str | None:
    """What tells a file from the published one; None where nothing does."""
    size = path.stat().st_size
    if size != official.bytes:
        return f"it has {size} bytes instead of {official.bytes}"
    digest = sha256_of(path)
    return (
        None if digest == official.sha256 else f"its SHA-256 begins with {digest[:8]} instead of {official.sha256[:8]}"
    )


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"{folder} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB are needed; free some, or set DATALAB_CACHE"
        )


def _is_final(error: requests.RequestException) -> bool:
    """Whether another try would get the same answer."""
    if error.response is None:
        return isinstance(error, requests.exceptions.InvalidURL)
    return 400 <= error.response.status_code < 500


def _short(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"HTTP {error.response.status_code}"
    if isinstance(error, requests.exceptions.InvalidURL):
        return "it leads to no web address"
    return "it broke off" if isinstance(error, requests.exceptions.ChunkedEncodingError) else "no connection"
