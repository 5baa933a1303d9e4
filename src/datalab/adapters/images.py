"""Take the images of a folder into a workspace: data/images, catalog, rejected and metadata.parquet."""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import pandas as pd
from tqdm import tqdm

from datalab.adapters.dvc import stages_at_rest
from datalab.adapters.files import locked, read_table, remove_leftovers, write_bytes, write_table
from datalab.adapters.images_decode import NotUsableError, Picture, image_id_of, own_limits, read_picture
from datalab.adapters.images_files import SUFFIXES, FoundFiles, find_images
from datalab.adapters.images_groups import duplicate_groups, warn_of_one_view
from datalab.adapters.images_metadata import Row, read_metadata, take_metadata
from datalab.errors import InputError
from datalab.ranges import Count, Within
from datalab.tables import CATALOG, REJECTED, empty, typed
from datalab.workspace import Workspace

MOST_PIXELS = 2 * 89_478_485
"""What Pillow opens without being told that a file is no bomb."""


@dataclass(frozen=True)
class IngestParams:
    """Section `ingest` of params.yaml."""

    max_bytes: Count
    """Larger files are quarantined unread."""
    max_pixels: Count
    """Width times height; larger images are quarantined from their header, undecoded."""
    min_side: Count
    """Images with a shorter side, in pixels, are quarantined."""
    near_duplicate_distance: Annotated[int, Within(-1, 64)]
    """Images whose perceptual hashes differ in at most this many of 64 bits form one duplicate group; -1: none do."""


@dataclass(frozen=True)
class IngestReport:
    """What became of a folder's files: found = added + known + exact_duplicates + quarantined."""

    found: int
    """Files that look like images (and folders that may not be looked into)."""
    added: int
    known: int
    """Already in the catalog, from an earlier time."""
    exact_duplicates: int
    near_duplicates: int
    """Images of the whole catalog that another one stands for as `duplicate_group`."""
    quarantined: int
    ignored: int
    """Files that are no images by their suffix; hidden ones are not counted."""
    described: int = 0
    """Images of the folder with a row in a metadata.csv."""
    undescribed: int = 0
    """Rows there that are about no image of the folder."""


@dataclass(frozen=True)
class _File:
    """One file after a look at it: `picture` where it is usable and new, else `reason` or neither (known)."""

    source: str
    image_id: str = ""
    picture: Picture | None = field(default=None, repr=False)
    reason: str = ""


def ingest(folder: Path, workspace: Workspace, params: IngestParams) -> IngestReport:
    """Add the images below `folder` to the workspace; running it again adds nothing and changes no byte.

    Images are stored first, whole or not at all, then the tables: after a kill at any point, running it again completes
    the work; two at once take turns. InputError where `folder` is no folder or has no file that looks like an image, or
    a metadata.csv that cannot be read.
    """
    if params.max_pixels > MOST_PIXELS:
        raise InputError(f"ingest.max_pixels is {params.max_pixels}; later stages open at most {MOST_PIXELS} pixels")
    found = search_images(folder, workspace)
    described = read_metadata(found.metadata)
    with stages_at_rest(workspace), locked(workspace.catalog):
        return _take_in(found, described, workspace, params)


def quarantined(workspace: Workspace) -> Iterator[str]:
    """`file: reason` of the files that were refused and not put right since."""
    if workspace.rejected.exists():
        rows = read_table(workspace.rejected, REJECTED)
        for row in rows[rows["kind"] == "quarantined"].to_dict("records"):
            yield f"{row['source']}: {row['reason']}"


def _take_in(
    found: FoundFiles, described: Mapping[str, Row], workspace: Workspace, params: IngestParams
) -> IngestReport:
    catalog = read_table(workspace.catalog, CATALOG) if workspace.catalog.exists() else empty(CATALOG)
    rejected = read_table(workspace.rejected, REJECTED) if workspace.rejected.exists() else empty(REJECTED)
    remove_leftovers(workspace.images, untouched_s=0.0)
    files = _read_all(found.images, dict(zip(catalog["image_id"], catalog["file"], strict=True)), workspace, params)
    originals = _originals(files, dict(zip(catalog["image_id"], catalog["source"], strict=True)))
    known = set(catalog["image_id"])
    rejections = typed(pd.DataFrame([*_refusals(found), *_rejections(files, originals)], columns=list(REJECTED)))
    catalog = _catalog_with(catalog, [file for file in originals.values() if file.image_id not in known], params)
    write_table(workspace.catalog, catalog)
    warn_of_one_view(catalog["duplicate_group"])
    write_table(workspace.rejected, _rejected_with(rejected, rejections, [source for source, _ in found.images]))
    # of equal files the one that stands for them is asked first
    sources = {file.source: file.image_id for file in (*originals.values(), *files) if file.image_id}
    images_described, undescribed = take_metadata(workspace, described, sources)
    duplicates = int((rejections["kind"] == "exact_duplicate").sum())
    return IngestReport(
        found=len(found.images) + len(found.refused),
        added=len(catalog) - len(known),
        known=len(known & set(originals)),
        exact_duplicates=duplicates,
        near_duplicates=int((catalog["duplicate_group"] != catalog["image_id"]).sum()),
        quarantined=len(rejections) - duplicates,
        ignored=found.ignored,
        described=images_described,
        undescribed=undescribed,
    )


def search_images(folder: Path, workspace: Workspace) -> FoundFiles:
    """The files of `folder` that look like images; InputError where there is none, or no such folder."""
    if not folder.exists():
        raise InputError(f"image folder {folder} does not exist; check the path")
    if not folder.is_dir():
        raise InputError(f"{folder} is a file; give the folder that holds the images")
    if folder.resolve().is_relative_to(workspace.data):
        raise InputError(f"{folder} lies in the workspace's own data; give the folder the images come from")
    found = find_images(folder, leave_out=workspace.data)
    if not found.images and not found.refused:
        known = " ".join(sorted(suffix.lstrip(".") for suffix in SUFFIXES))
        raise InputError(f"no image in {folder} ({found.ignored} other files); images end in {known}")
    return found


def _read_all(
    images: Sequence[tuple[str, Path]], stored: dict[str, str], workspace: Workspace, params: IngestParams
) -> list[_File]:
    """Look at every file, storing what is new; decoding leaves Python's lock, so threads use every core."""

    def look(item: tuple[str, Path]) -> _File:
        return _look(*item, stored, workspace.images, params)

    with own_limits(), ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        try:
            return list(tqdm(pool.map(look, images), "ingest", len(images), unit="file", disable=None))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _look(source: str, path: Path, stored: dict[str, str], folder: Path, params: IngestParams) -> _File:
    try:
        size = path.stat().st_size
        if size > params.max_bytes:
            return _File(source, reason=f"{size} bytes is more than max_bytes {params.max_bytes}; it was not read")
        content = path.read_bytes()
    except OSError as exc:
        return _File(source, reason=f"cannot be read: {exc.strerror}")
    image_id = image_id_of(content)
    if image_id in stored and (folder / stored[image_id]).exists():
        return _File(source, image_id)
    try:
        picture = read_picture(content, params.max_pixels, params.min_side)
    except NotUsableError as exc:
        return _File(source, reason=str(exc))
    target = folder / f"{image_id}.{picture.suffix}"
    if not target.exists():
        write_bytes(target, picture.content)
    # the pixels are on disk now: holding them for every file would fill the memory
    return _File(source, image_id, Picture(picture.suffix, b"", picture.width, picture.height, picture.phash))


def _originals(files: Sequence[_File], sources: dict[str, str]) -> dict[str, _File]:
    """image_id -> the file that stands for it: the one the catalog names, else the first."""
    originals: dict[str, _File] = {}
    for file in files:
        if file.image_id and (file.image_id not in originals or sources.get(file.image_id) == file.source):
            originals[file.image_id] = file
    return originals


def _refusals(found: FoundFiles) -> Iterator[tuple[str, str, str, str]]:
    for source, reason in found.refused:
        yield source, "quarantined", reason, ""


def _rejections(files: Sequence[_File], originals: dict[str, _File]) -> Iterator[tuple[str, str, str, str]]:
    for file in files:
        if file.reason:
            yield file.source, "quarantined", file.reason, ""
        elif originals[file.image_id].source != file.source:
            reason = f"same bytes as {originals[file.image_id].source}"
            yield file.source, "exact_duplicate", reason, file.image_id


def _catalog_with(catalog: pd.DataFrame, new: Sequence[_File], params: IngestParams) -> pd.DataFrame:
    """The catalog with the new images, by image_id, and its duplicate groups over all of them."""
    rows = [
        (file.image_id, f"{file.image_id}.{picture.suffix}", file.source, picture.width, picture.height, picture.phash)
        for file in new
        if (picture := file.picture)
    ]
    added = typed(pd.DataFrame(rows, columns=list(CATALOG[:-1])))
    table = pd.concat([catalog[list(CATALOG[:-1])], added]).sort_values("image_id", ignore_index=True)
    groups = duplicate_groups(list(table["image_id"]), list(table["phash"]), params.near_duplicate_distance)
    return table.assign(duplicate_group=pd.Series(groups, dtype="str"))


def _rejected_with(rejected: pd.DataFrame, new: pd.DataFrame, sources: Sequence[str]) -> pd.DataFrame:
    """Rows of files looked at now replace what was said of them before: a file put right is rejected no more."""
    old = rejected[~rejected["source"].isin({*sources, *new["source"]})]
    return pd.concat([old, new]).sort_values("source", ignore_index=True)
