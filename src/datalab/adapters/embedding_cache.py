"""Image embeddings on disk, each computed once per image content and model, however often and by whom it is asked for.

An entry is a NumPy file (float16) followed by the SHA-256 of its bytes, at <root>/<model version>/<first two hex
digits>/<SHA-256 of the image file>.npy. `np.load` reads it as it is, the digest lies behind what it reads. Entries are
written whole or not at all, so a killed run goes on with the next image; one that is cut short, altered or of another
kind is made again. Nothing here is needed to get a result: the folder may be removed at any time.
"""

import hashlib
import mmap
import os
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from datalab.adapters.files import read_json, readable_disk_errors, write_bytes, write_json
from datalab.errors import InputError

Embedding = npt.NDArray[np.float16]
DIGEST_BYTES = 32
NOTE = "index.json"
"""In a workspace's folder of embeddings: which SAM made them."""
AXES = 3


class EmbeddingCache:
    """The entries below one folder; several processes may use it at the same time."""

    def __init__(self, root: Path) -> None:
        """`root` is made when the first entry is written."""
        self.root = root

    def path(self, image_hash: str, model_version: str) -> Path:
        """Where the entry of an image (64 hex digits) and a model lies, whether it exists or not."""
        return self.root / model_version / image_hash[:2] / f"{image_hash}.npy"

    def find(self, image_hash: str, model_version: str) -> Embedding | None:
        """The embedding (C, h, w) float16, memory-mapped and read-only; None where there is no sound entry."""
        return sound_embedding(self.path(image_hash, model_version))

    def find_or_make(self, image_hash: str, model_version: str, make: Callable[[], Embedding]) -> Embedding:
        """The entry, computed by `make` and written first where there is no sound one.

        InputError where it has a number that is not finite.
        """
        found = self.find(image_hash, model_version)
        if found is not None:
            return found
        path, made = self.path(image_hash, model_version), make()
        if not np.isfinite(made).all():
            raise InputError(
                f"{model_version} makes an embedding of numbers that are not finite of image {image_hash[:16]}; use "
                "another sam.checkpoint"
            )
        write_bytes(path, embedding_bytes(made))
        written = sound_embedding(path)
        if written is None:
            raise InputError(f"{path} was written and cannot be read back; check the disk")
        return written


def image_hash(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits; InputError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise InputError(f"{path} cannot be read: {exc.strerror}") from exc


def embedding_bytes(embedding: Embedding) -> bytes:
    """The content of an entry: a NumPy file and its SHA-256."""
    buffer = BytesIO()
    np.save(buffer, embedding, allow_pickle=False)
    return sealed(buffer.getvalue())


def sealed(content: bytes) -> bytes:
    """The content and its SHA-256 behind it, by which `is_sound` knows it."""
    return content + hashlib.sha256(content).digest()


def is_sound(path: Path) -> bool:
    """Whether a file is what `sealed` gave, whole and unaltered; False where it is missing."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            content = memoryview(whole)
            sound = hashlib.sha256(content[:-DIGEST_BYTES]).digest() == bytes(content[-DIGEST_BYTES:])
            content.release()
    except (OSError, ValueError):  # missing; empty, which cannot be mapped
        return False
    return sound


def sound_embedding(path: Path) -> Embedding | None:
    """The memory-mapped embedding (C, h, w) float16 of an entry; None where it is missing, cut short, altered or not
    finite."""
    if not is_sound(path):
        return None
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):  # gone meanwhile; no NumPy file
        return None
    sound = found.dtype == np.float16 and found.ndim == AXES and bool(np.isfinite(found).all())
    return found if sound else None


def embedded_by(folder: Path) -> str:
    """Version of the SAM whose embeddings lie in a workspace's folder, as `note_encoder` left it; "" without a note."""
    return str(read_note(folder / NOTE).get("model_version", ""))


def note_encoder(folder: Path, version: str) -> None:
    """Say that the embeddings in this folder are of this SAM."""
    write_json(folder / NOTE, {"model_version": version})


def read_note(path: Path) -> dict[str, Any]:
    """What is noted beside embeddings; {} where there is nothing that can be read, or another file: it is made anew."""
    try:
        found = read_json(path)
    except InputError:
        return {}
    return found if isinstance(found, dict) else {}


def place_embedding(source: Path, target: Path) -> None:
    """Make `target` the same file as the entry `source`: a link, or on another disk a copy, whole or not at all.

    InputError where the disk is full or may not be written.
    """
    temporary = target.with_name(f".{target.name}")
    with readable_disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        try:
            _link_or_copy(source, temporary)
            temporary.replace(target)
        finally:
            # half a copy; and where target was this very file already, POSIX has the renaming do nothing
            temporary.unlink(missing_ok=True)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
