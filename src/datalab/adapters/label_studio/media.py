"""The images where Label Studio can serve them: links below its document root, and the storage that lets it."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from datalab.adapters.label_studio.client import Client, readable_errors
from datalab.workspace import Workspace


def image_folder(workspace: Workspace, media: Path) -> Path:
    """The folder of a workspace's images below the document root."""
    return media / workspace.name


def image_url(workspace: Workspace, file: str) -> str:
    """Address of an image for task data, relative to the server."""
    return f"/data/local-files/?d={quote(workspace.name)}/{quote(file)}"


def publish_images(client: Client, project_id: int, workspace: Workspace, media: Path, files: Iterable[str]) -> None:
    """Link (or, on another disk, copy) the images and make sure that the project may serve their folder."""
    folder = image_folder(workspace, media)
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        _place(workspace.images / file, folder / file)
    with readable_errors(client.url):
        storages = client.sdk.import_storage.local.list(project=project_id)
        if not any(storage.path == str(folder) for storage in storages):
            client.sdk.import_storage.local.create(project=project_id, path=str(folder), use_blob_urls=True)


def _place(source: Path, target: Path) -> None:
    if target.exists():
        return
    try:
        os.link(source, target)
    except OSError:  # another disk: a copy does as well
        temporary = target.with_name(f".{target.name}")
        shutil.copyfile(source, temporary)
        temporary.replace(target)
