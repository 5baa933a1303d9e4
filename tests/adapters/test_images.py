"""Folders as people have them, taken in twice."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from datalab.adapters import images
from datalab.adapters.files import read_rgb, read_table
from datalab.adapters.images import IngestParams, IngestReport, ingest
from datalab.errors import InputError
from datalab.tables import CATALOG, REJECTED
from datalab.workspace import Workspace
from tests.shared_data import shared_data

PARAMS = IngestParams(max_bytes=1_000_000, max_pixels=1_000_000, min_side=8, near_duplicate_distance=4)


def photo(seed: int) -> Image.Image:
    """Smooth random blobs: unrelated seeds have far hashes, as photographs do."""
    small = np.random.default_rng(seed).integers(0, 255, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((96, 72), Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    top = tmp_path / "photos"
    (top / "more").mkdir(parents=True)
    for seed in range(3):
        photo(seed).save(top / f"{seed}.png")
    photo(0).save(top / "more" / "0 again.JPG", quality=60)
    shutil.copy(top / "1.png", top / "more" / "copy.png")
    (top / "more" / "text.jpg").write_text("no picture")
    (top / "more" / "notes.txt").write_text("no picture")
    (top / ".hidden.png").write_bytes(b"x")
    return top


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "work")


def tables(workspace: Workspace) -> tuple[pd.DataFrame, pd.DataFrame]:
    return read_table(workspace.catalog, CATALOG), read_table(workspace.rejected, REJECTED)


def state(workspace: Workspace) -> dict[str, bytes]:
    paths = (path for path in workspace.data.rglob("*") if path.is_file())
    return {str(path.relative_to(workspace.data)): path.read_bytes() for path in paths}


def test_a_mixed_folder(folder: Path, workspace: Workspace) -> None:
    report = ingest(folder, workspace, PARAMS)
    assert report == IngestReport(
        found=6, added=4, known=0, exact_duplicates=1, near_duplicates=1, quarantined=1, ignored=1
    )
    catalog, rejected = tables(workspace)
    group = dict(zip(catalog["source"], catalog["duplicate_group"], strict=True))
    ids = dict(zip(catalog["source"], catalog["image_id"], strict=True))
    assert sorted(ids) == ["0.png", "1.png", "2.png", "more/0 again.JPG"]
    assert group["0.png"] == group["more/0 again.JPG"]
    assert group["1.png"] == ids["1.png"]
    assert rejected.values.tolist() == [
        ["more/copy.png", "exact_duplicate", "same bytes as 1.png", ids["1.png"]],
        [
            "more/text.jpg",
            "quarantined",
            "not an image of a format that can be read; save it as JPEG or PNG",
            "",
        ],
    ]
    for row in catalog.itertuples():
        assert read_rgb(workspace.images / str(row.file)).shape == (row.height, row.width, 3)


def test_again_changes_no_byte(folder: Path, workspace: Workspace) -> None:
    ingest(folder, workspace, PARAMS)
    before = state(workspace)
    report = ingest(folder, workspace, PARAMS)
    assert (report.added, report.known, report.exact_duplicates, report.quarantined) == (0, 4, 1, 1)
    assert state(workspace) == before


@pytest.mark.parametrize("dying", ["write_bytes", "write_table"])
def test_a_kill_is_made_good(
    folder: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dying: str
) -> None:
    done: Callable[..., None] = getattr(images, dying)
    calls: list[object] = []

    def dies_at_the_second(path: Path, content: object) -> None:
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        done(path, content)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(images, dying, dies_at_the_second)
        ingest(folder, workspace, PARAMS)
    (workspace.images / ".half.png.x1.tmp").write_bytes(b"half")
    ingest(folder, workspace, PARAMS)
    whole = Workspace(tmp_path / "whole")
    ingest(folder, whole, PARAMS)
    assert state(workspace) == state(whole)


def test_a_second_folder_adds_to_the_first(folder: Path, workspace: Workspace, tmp_path: Path) -> None:
    ingest(folder, workspace, PARAMS)
    (tmp_path / "second").mkdir()
    photo(7).save(tmp_path / "second" / "7.png")
    photo(1).save(tmp_path / "second" / "1 renamed.png")
    report = ingest(tmp_path / "second", workspace, PARAMS)
    assert (report.added, report.known, report.exact_duplicates) == (1, 1, 0)
    catalog, rejected = tables(workspace)
    assert len(catalog) == 5
    assert len(rejected) == 2


def test_a_file_put_right_and_an_image_lost(folder: Path, workspace: Workspace) -> None:
    ingest(folder, workspace, PARAMS)
    photo(5).save(folder / "more" / "text.jpg")
    (workspace.images / tables(workspace)[0]["file"][0]).unlink()
    report = ingest(folder, workspace, PARAMS)
    assert (report.added, report.known, report.quarantined) == (1, 4, 0)
    catalog, rejected = tables(workspace)
    assert list(rejected["kind"]) == ["exact_duplicate"]
    assert all((workspace.images / name).exists() for name in catalog["file"])


def test_links_stay_inside(tmp_path: Path, folder: Path, workspace: Workspace) -> None:
    photo(9).save(tmp_path / "secret.png")
    (tmp_path / "elsewhere").mkdir()
    (folder / "out.png").symlink_to(tmp_path / "secret.png")
    (folder / "in.png").symlink_to(folder / "2.png")
    (folder / "lost.png").symlink_to(folder / "nowhere.png")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "elsewhere").symlink_to(tmp_path / "elsewhere")
    ingest(folder, workspace, PARAMS)
    catalog, rejected = tables(workspace)
    reasons = dict(zip(rejected["source"], rejected["reason"], strict=True))
    assert "leads out" in reasons["out.png"]
    assert "same bytes" in reasons["in.png"]
    assert "nowhere" in reasons["lost.png"]
    assert "nowhere" in reasons["loop.png"]
    assert "not followed" in reasons["elsewhere"]
    assert len(catalog) == 4


def test_large_files_are_not_read(folder: Path, workspace: Workspace) -> None:
    with (folder / "huge.jpg").open("wb") as file:
        file.truncate(PARAMS.max_bytes + 1)
    ingest(folder, workspace, PARAMS)
    rejected = tables(workspace)[1].set_index("source")
    assert rejected.loc["huge.jpg", "reason"] == "1000001 bytes is more than max_bytes 1000000; it was not read"


def test_a_name_that_is_no_utf8(workspace: Workspace, tmp_path: Path) -> None:
    import os

    top = os.fsencode(tmp_path / "odd")
    os.mkdir(top)  # noqa: PTH102 - a path of bytes
    photo(1).save(tmp_path / "odd" / "1.png")
    os.rename(top + b"/1.png", top + b"/gr\xfcn.png")  # noqa: PTH104
    ingest(tmp_path / "odd", workspace, PARAMS)
    assert list(tables(workspace)[0]["source"]) == ["gr\\xfcn.png"]


def test_only_unusable_files(tmp_path: Path, workspace: Workspace) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.heic").write_text("?")
    for _ in range(2):
        report = ingest(tmp_path / "bad", workspace, PARAMS)
        assert (report.found, report.added, report.quarantined) == (1, 0, 1)
        assert [len(table) for table in tables(workspace)] == [0, 1]


def test_wrong_folders(tmp_path: Path, workspace: Workspace) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.png").write_bytes(b"")
    workspace.images.mkdir(parents=True)
    for folder, message in [
        (tmp_path / "absent", "does not exist"),
        (tmp_path / "file.png", "is a file"),
        (tmp_path / "empty", "no image in"),
        (workspace.images, "own data"),
    ]:
        with pytest.raises(InputError, match=message) as caught:
            ingest(folder, workspace, PARAMS)
        assert "\n" not in str(caught.value)
    assert not workspace.catalog.exists()


@pytest.mark.slow
def test_two_at_once_take_turns(workspace: Workspace, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two", "three")]
    for place, path in enumerate(folders):
        path.mkdir()
        for number in range(4):
            photo(10 * place + number).save(path / f"{number}.png")
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda path: ingest(path, workspace, PARAMS), folders))
    assert len(tables(workspace)[0]) == 12


def test_more_pixels_than_can_be_opened_later_are_refused(folder: Path, workspace: Workspace) -> None:
    with pytest.raises(InputError, match=r"ingest\.max_pixels is 200000000; later stages open at most 178956970"):
        ingest(folder, workspace, replace(PARAMS, max_pixels=200_000_000))


def test_a_camera_that_stands_still_is_told_and_can_be_labelled(
    workspace: Workspace, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "camera").mkdir()
    for place in range(24):
        frame = photo(0)
        frame.paste((200, 30, 30), (3 * place, 40, 3 * place + 4, 44))
        frame.save(tmp_path / "camera" / f"{place:02}.png")
    ingest(tmp_path / "camera", workspace, PARAMS)
    assert tables(workspace)[0]["duplicate_group"].nunique() == 1
    (told,) = [record.message for record in caplog.records]
    assert told.startswith("24 of 24 images are near duplicates of one another, as from a camera that stands still")
    assert "set ingest.near_duplicate_distance: -1" in told
    caplog.clear()
    ingest(tmp_path / "camera", workspace, replace(PARAMS, near_duplicate_distance=-1))
    assert tables(workspace)[0]["duplicate_group"].nunique() == 24
    assert not caplog.records


def test_a_few_looks_alike_are_not_told(folder: Path, workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    ingest(folder, workspace, PARAMS)
    assert not caplog.records


@pytest.mark.slow
def test_near_uniform_textures_do_not_collapse(workspace: Workspace) -> None:
    report = ingest(shared_data("magnetic_tile") / "images", workspace, PARAMS)
    assert (report.found, report.added, report.quarantined) == (1344, 1344, 0)
    # every tile was photographed with six exposures, some twice: no group may be larger
    assert tables(workspace)[0]["duplicate_group"].value_counts().max() <= 12
