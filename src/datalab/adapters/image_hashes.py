"""SHA-256 of image files, known again by size and time of change: thousands of unchanged images cost a stat each."""

import hashlib
from pathlib import Path
from typing import Any

from datalab.adapters.embedding_cache import image_hash, read_note
from datalab.adapters.files import write_json
from datalab.errors import InputError

MADE_OF = "images.json"
"""In a workspace's folder of embeddings: SHA-256 of the file that each one was made of, by image id."""


class ImageHashes:
    """The hashes of the files of one folder; several threads may ask."""

    def __init__(self, images: Path, cache: Path) -> None:
        """`cache`: a folder of this machine, where what was hashed is noted; times of change mean nothing elsewhere."""
        self.images = images
        name = hashlib.sha256(str(images.resolve()).encode()).hexdigest()[:16]
        self.note = cache / "images" / f"{name}.json"
        self._noted = read_note(self.note)
        self._known: dict[str, Any] = {}

    def of(self, file: str) -> str:
        """64 hex digits of a file of the folder; InputError where it cannot be read."""
        path = self.images / file
        try:
            status = path.stat()
        except OSError as exc:
            raise InputError(f"{path} cannot be read: {exc.strerror}") from exc
        seen = [status.st_size, status.st_mtime_ns]
        noted = self._known.get(file, self._noted.get(file))
        if isinstance(noted, list) and len(noted) == 3 and noted[:2] == seen:
            digest = str(noted[2])
        else:
            digest = image_hash(path)
        self._known[file] = [*seen, digest]
        return digest

    def keep(self) -> None:
        """Note what was asked for, for the next run."""
        if self._known != self._noted:
            write_json(self.note, self._known)


def made_of(folder: Path) -> dict[str, str]:
    """image_id -> hash of the file that its embedding in a workspace's folder is of; {} without a note."""
    return {image_id: str(digest) for image_id, digest in read_note(folder / MADE_OF).items()}


def note_made_of(folder: Path, hashes: dict[str, str]) -> None:
    """Say of which files the embeddings in this folder are; nothing is written where the note says so already."""
    if hashes != made_of(folder):
        write_json(folder / MADE_OF, hashes)
