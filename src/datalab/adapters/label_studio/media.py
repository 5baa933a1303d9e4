"""The images where Label Studio can serve them: links below its document root, and the storage that lets it."""

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, quote, urlsplit

from datalab.adapters.files import readable_disk_errors, remove_leftovers, write_bytes
from datalab.adapters.label_studio.client import Client
from datalab.config import Guidelines
from datalab.errors import InputError
from datalab.workspace import Workspace

STORAGES = "/api/storages/localfiles"
LOCAL_FILES = "/data/local-files/"


def image_folder(workspace: Workspace, media: Path) -> Path:
    """The folder of a workspace's images below the document root."""
    return media / workspace.name


def image_url(workspace: Workspace, file: str) -> str:
    """Address of an image for task data, relative to the server."""
    return f"{LOCAL_FILES}?d={quote(workspace.name)}/{quote(file)}"


def media_file(media: Path, address: str) -> Path:
    """The file below the document root that `image_url` gave this address; the other way round, for foreign input.

    InputError for any other address, for one that leads out of `media`, also by a link, and where there is no file.
    """
    parts = urlsplit(address)
    asked = parse_qs(parts.query).get("d", [])
    if parts.scheme or parts.netloc or parts.path != LOCAL_FILES or len(asked) != 1:
        raise InputError(f"the image {address[:200]!r} is none that datalab published; only those can be looked at")
    try:
        path = (media / asked[0]).resolve()
        inside = path.is_relative_to(media.resolve()) and path.is_file()
    except (OSError, ValueError):  # a name too long, or with a zero byte
        inside = False
    if not inside:
        raise InputError(f"the image {asked[0][:200]!r} is not there; push the round again or ask who runs the project")
    return path


def publish_images(client: Client, project_id: int, workspace: Workspace, media: Path, files: Iterable[str]) -> None:
    """Link (or, on another disk, copy) the images and make sure that the project may serve their folder.

    InputError where an image of the catalog is missing or its name leads out of the images, and where nothing can be
    written below `media`.
    """
    folder = image_folder(workspace, media)
    _make_folder(folder)
    remove_leftovers(folder)
    for file in files:
        # whoever made the catalog, nothing else of this machine is ever shown to people
        if PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts:
            raise InputError(f"{file!r} in {workspace.catalog} leads out of {workspace.images}; ingest the image anew")
        _place(workspace.images / file, folder / file)
    ensure_served(client, project_id, workspace, media)


def ensure_served(client: Client, project_id: int, workspace: Workspace, media: Path) -> None:
    """Have the project serve the workspace's folder, by its place of now: the repository may have been moved.

    Again changes nothing, and asks once.
    """
    folder = image_folder(workspace, media)
    # the folder has to be known, never synchronised: that would make a task of every file in it
    known = client.get(STORAGES, project=project_id)
    if str(folder) in [storage["path"] for storage in known]:
        return
    # the server takes no folder that is not there
    _make_folder(folder)
    wanted = {"project": project_id, "path": str(folder), "use_blob_urls": True}
    # one that a person has added has another folder
    ours = [storage for storage in known if PurePosixPath(str(storage["path"])).name == folder.name]
    if ours:
        client.patch(f"{STORAGES}/{ours[0]['id']}", wanted)
    else:
        client.post(STORAGES, wanted)


def picture_urls(workspace: Workspace, guidelines: Guidelines) -> dict[str, str]:
    """Addresses of the guidelines' example pictures; each version of the guidelines has its own."""
    folder = f"guidelines-{guidelines.version}"
    return {picture: image_url(workspace, f"{folder}/{picture}") for picture in guidelines.pictures}


def publish_pictures(workspace: Workspace, media: Path, guidelines: Guidelines) -> None:
    """Copy the example pictures to where `picture_urls` says; the folder of the images has to be published, too."""
    folder = image_folder(workspace, media) / f"guidelines-{guidelines.version}"
    for picture in guidelines.pictures:
        target = folder / picture
        _make_folder(target.parent)
        if not target.exists():
            # not a link: the next version of the picture may be written into the same file
            _copy(workspace.guidelines / picture, target)


def _make_folder(folder: Path) -> None:
    with readable_disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)


def _place(source: Path, target: Path) -> None:
    if target.is_symlink():
        # of an earlier version: it leads out of `media`, where click-to-mask takes nothing from
        target.unlink(missing_ok=True)
    if target.exists():
        return
    try:
        # where DVC keeps links to its cache, the file they lead to
        os.link(source.resolve(), target)
    except FileNotFoundError as exc:
        restore = "restore it with `dvc checkout data/images.dvc`"
        raise InputError(f"{source} is in the catalog but not on disk; {restore}") from exc
    except OSError:
        _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    """On another disk there are no hard links; a copy does as well, and is never seen half-written.

    InputError where the source is not there or the target cannot be written.
    """
    try:
        content = source.read_bytes()
    except OSError as exc:
        raise InputError(f"{source} cannot be read: {exc.strerror}; people are to see it, so put it back") from exc
    write_bytes(target, content)
