"""Which files of a folder are images to take in, by their names alone; nothing is opened here."""

import os
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".gif"),
    *(".jp2", ".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".heic", ".heif"),
)
"""Case does not matter. Formats that cannot be read (HEIC) are listed too: they are quarantined, not overlooked."""
METADATA_NAME = "metadata.csv"


@dataclass(frozen=True)
class FoundFiles:
    """What a folder holds. `source`s are paths relative to it, as text that is always valid UTF-8."""

    images: tuple[tuple[str, Path], ...]
    """(source, path), nearest to the top first, then by name: of equal files the first one is the original."""
    refused: tuple[tuple[str, str], ...]
    """(source, reason) of what looks like an image or a folder but may not be followed."""
    ignored: int
    """Files whose suffix is no image's. Hidden files and folders are not even counted."""
    metadata: tuple[tuple[str, Path], ...] = ()
    """(source, path) of the files called METADATA_NAME, in the same order."""


def find_images(folder: Path, leave_out: Path) -> FoundFiles:
    """Search `folder` and its sub-folders, but not `leave_out`; symbolic links may not lead out of `folder`."""
    top = folder.resolve()
    images: list[tuple[str, Path]] = []
    metadata: list[tuple[str, Path]] = []
    refused: list[tuple[str, str]] = []
    ignored = 0

    def unlisted(error: OSError) -> None:
        refused.append((_source(Path(str(error.filename)), top), f"folder cannot be listed: {error.strerror}"))

    for parent, folders, names in os.walk(top, onerror=unlisted):
        here = Path(parent)
        links = [name for name in folders if (here / name).is_symlink() and not name.startswith(".")]
        refused += [
            (_source(here / name, top), "a link to a folder is not followed; copy the folder") for name in links
        ]
        folders[:] = [name for name in folders if not name.startswith(".") and here / name != leave_out]
        for name in (name for name in names if not name.startswith(".")):
            path = here / name
            if path.suffix.lower() not in SUFFIXES and name != METADATA_NAME:
                ignored += 1
            elif reason := _why_not(path, top):
                refused.append((_source(path, top), reason))
            else:
                (metadata if name == METADATA_NAME else images).append((_source(path, top), path))
    ordered = [tuple(sorted(found, key=_order)) for found in (images, metadata)]
    return FoundFiles(ordered[0], tuple(sorted(refused)), ignored, ordered[1])


def _why_not(path: Path, top: Path) -> str:
    """The reason not to open this path, "" where there is none."""
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return "a link that leads nowhere"
    if not target.is_relative_to(top):
        return "a link that leads out of the folder; copy the file"
    return "" if target.is_file() else "not a regular file"


def _order(item: tuple[str, Path]) -> tuple[int, str]:
    return item[0].count("/"), item[0]


def _source(path: Path, top: Path) -> str:
    """Relative path with "/"; bytes of a file name that are no UTF-8 are written as \\xNN."""
    return os.fsencode(path.relative_to(top).as_posix()).decode("utf-8", "backslashreplace")
