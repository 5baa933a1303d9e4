"""Images below Label Studio's document root."""

import errno
import os
from pathlib import Path
from typing import NoReturn

import pytest

from datalab.adapters.label_studio.client import connect
from datalab.adapters.label_studio.media import ensure_served, image_url, media_file, publish_images
from datalab.errors import InputError
from datalab.workspace import Workspace
from tests.adapters.label_studio.scripted_server import Answer, serving

ME: Answer = (200, {"id": 1})


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    images = tmp_path / "tiles" / "data" / "images"
    images.mkdir(parents=True)
    (images / "a.png").write_bytes(b"pixels")
    return Workspace(tmp_path / "tiles")


def no_links(source: Path, target: Path) -> NoReturn:
    raise OSError(errno.EXDEV, "another disk")


def test_images_are_linked_and_the_folder_announced_once(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "media" / "tiles"
    with serving(ME, (200, []), (201, {}), (200, [{"path": str(folder)}])) as server:
        client = connect(server.url, "abc")
        for _ in range(2):
            publish_images(client, 7, workspace, tmp_path / "media", ["a.png"])
    assert (folder / "a.png").samefile(workspace.images / "a.png")
    assert [(method, body) for method, _, body in server.asked if method == "POST"] == [
        ("POST", {"project": 7, "path": str(folder), "use_blob_urls": True})
    ]


@pytest.mark.parametrize("linked_before", [False, True])
def test_images_that_are_links_to_a_cache_can_be_clicked_on(
    workspace: Workspace, tmp_path: Path, linked_before: bool
) -> None:
    cached = tmp_path / "cache" / "a1b2"
    cached.parent.mkdir()
    (workspace.images / "a.png").rename(cached)
    (workspace.images / "a.png").symlink_to(cached)
    media = tmp_path / "media"
    if linked_before:  # by an earlier version
        (media / "tiles").mkdir(parents=True)
        (media / "tiles" / "a.png").symlink_to(cached)
    with serving(ME, (200, []), (201, {})) as server:
        publish_images(connect(server.url, "abc"), 7, workspace, media, ["a.png"])
    shown = media_file(media, image_url(workspace, "a.png"))
    assert (shown.name, shown.read_bytes()) == ("a.png", b"pixels")


def test_a_folder_that_moved_takes_the_place_of_the_old_one_and_no_other(workspace: Workspace, tmp_path: Path) -> None:
    known = [{"id": 4, "path": "/mine/photos"}, {"id": 5, "path": "/old/.datalab/media/tiles"}]
    with serving(ME, (200, known), (200, {})) as server:
        ensure_served(connect(server.url, "abc"), 7, workspace, tmp_path / "media")
    folder = str(tmp_path / "media" / "tiles")
    assert server.asked[2:] == [
        ("PATCH", "/api/storages/localfiles/5", {"project": 7, "path": folder, "use_blob_urls": True})
    ]


def test_on_another_disk_they_are_copied(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", no_links)
    with serving(ME, (200, []), (201, {})) as server:
        publish_images(connect(server.url, "abc"), 7, workspace, tmp_path / "media", ["a.png"])
    assert [path.name for path in (tmp_path / "media" / "tiles").iterdir()] == ["a.png"]
    assert (tmp_path / "media" / "tiles" / "a.png").read_bytes() == b"pixels"


def test_a_document_root_that_cannot_be_written_is_one_line(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "media").symlink_to(tmp_path / "gone")
    with serving(ME) as server, pytest.raises(InputError, match=r"media is a link to .*gone, which is not there"):
        publish_images(connect(server.url, "abc"), 7, workspace, tmp_path / "media", ["a.png"])


def test_who_copies_at_the_same_time_does_not_get_in_the_way(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workspaces of one name, or a flow and a command: each wrote and moved the same `.a.png`."""
    folder = tmp_path / "media" / "tiles"
    folder.mkdir(parents=True)
    (folder / ".a.png").write_bytes(b"what another one is writing")
    (folder / ".a.png.x1.tmp").write_bytes(b"what a killed one has left")
    os.utime(folder / ".a.png.x1.tmp", (0, 0))
    monkeypatch.setattr(os, "link", no_links)
    with serving(ME, (200, []), (201, {})) as server:
        publish_images(connect(server.url, "abc"), 7, workspace, tmp_path / "media", ["a.png"])
    assert (folder / "a.png").read_bytes() == b"pixels"
    assert (folder / ".a.png").read_bytes() == b"what another one is writing"
    assert not (folder / ".a.png.x1.tmp").exists()


def test_a_missing_image_is_named(workspace: Workspace, tmp_path: Path) -> None:
    with serving(ME) as server, pytest.raises(InputError, match=r"b\.png is in the catalog but not on disk"):
        publish_images(connect(server.url, "abc"), 7, workspace, tmp_path / "media", ["b.png"])


@pytest.mark.parametrize("file", ["../secret.png", "/etc/passwd", "a/../../secret.png"])
def test_nothing_outside_the_images_is_ever_published(workspace: Workspace, tmp_path: Path, file: str) -> None:
    (workspace.images.parent / "secret.png").write_bytes(b"secret")
    with serving(ME) as server, pytest.raises(InputError, match="leads out of"):
        publish_images(connect(server.url, "abc"), 7, workspace, tmp_path / "media", ["a.png", file])
    published = [path.name for path in (tmp_path / "media").rglob("*") if path.is_file()]
    assert published == ["a.png"]


def test_an_address_survives_odd_names() -> None:
    workspace = Workspace(Path("/data/my tiles #2"))
    assert image_url(workspace, "a+b&c.png") == "/data/local-files/?d=my%20tiles%20%232/a%2Bb%26c.png"
