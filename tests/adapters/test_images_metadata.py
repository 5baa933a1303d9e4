"""What people write down about their images, taken in with them."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datalab.adapters.files import read_table
from datalab.adapters.images import IngestParams, ingest
from datalab.adapters.images_metadata import MOST_BYTES, MOST_COLUMNS, ensure_metadata, read_metadata
from datalab.errors import InputError
from datalab.tables import CATALOG, METADATA
from datalab.workspace import Workspace

PARAMS = IngestParams(max_bytes=1_000_000, max_pixels=1_000_000, min_side=8, near_duplicate_distance=0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images, one of them a folder further down."""
    top = tmp_path / "photos"
    (top / "night").mkdir(parents=True)
    for seed, name in enumerate(("a.png", "b  b.png", "night/c.png")):
        pixels = np.random.default_rng(seed).integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(top / name)
    return top


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "work")


def write(folder: Path, *lines: str) -> None:
    (folder / "metadata.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")


def known(workspace: Workspace) -> dict[str, dict[str, str]]:
    """Source -> what table METADATA says of it."""
    catalog = read_table(workspace.catalog, CATALOG).set_index("image_id")["source"]
    table = read_table(workspace.metadata, METADATA, others=True).set_index("image_id")
    return {catalog[str(one)]: {str(name): value for name, value in row.items()} for one, row in table.iterrows()}


def test_the_column_may_be_called_as_in_image_folders_of_hugging_face(folder: Path, workspace: Workspace) -> None:
    write(folder, "file_name,camera", "a.png,south")
    ingest(folder, workspace, PARAMS)
    assert known(workspace) == {"a.png": {"camera": "south"}}


def test_files_of_all_folders_are_joined_to_their_images(folder: Path, workspace: Workspace) -> None:
    write(folder, "file,camera,note,nothing", 'b  b.png, north ,"two', 'lines",', "a.png,south,,")
    write(folder / "night", "camera,file,weather", "north,c.png,rain")
    report = ingest(folder, workspace, PARAMS)
    assert (report.found, report.added, report.ignored) == (3, 3, 0)
    assert (report.described, report.undescribed) == (3, 0)
    assert known(workspace) == {
        "a.png": {"camera": "south", "note": "", "weather": ""},
        "b  b.png": {"camera": "north", "note": "two lines", "weather": ""},
        "night/c.png": {"camera": "north", "note": "", "weather": "rain"},
    }


def test_again_changes_no_byte_and_later_words_take_the_place_of_earlier_ones(
    folder: Path, workspace: Workspace, tmp_path: Path
) -> None:
    write(folder, "file,camera", "a.png,south", "night/c.png,north")
    ingest(folder, workspace, PARAMS)
    before = workspace.metadata.read_bytes()
    ingest(folder, workspace, PARAMS)
    assert workspace.metadata.read_bytes() == before
    write(folder, "file,weather", "a.png,rain")
    ingest(folder, workspace, PARAMS)
    assert known(workspace) == {"a.png": {"weather": "rain"}}
    # another folder says nothing of these images
    (tmp_path / "more").mkdir()
    Image.new("RGB", (16, 16)).save(tmp_path / "more" / "d.png")
    write(tmp_path / "more", "file,weather", "d.png,sun")
    ingest(tmp_path / "more", workspace, PARAMS)
    assert known(workspace) == {"a.png": {"weather": "rain"}, "d.png": {"weather": "sun"}}
    (folder / "metadata.csv").unlink()
    ingest(folder, workspace, PARAMS)
    assert len(known(workspace)) == 2


def test_a_folder_without_one_leaves_a_table_without_rows(folder: Path, workspace: Workspace) -> None:
    ingest(folder, workspace, PARAMS)
    assert read_table(workspace.metadata, METADATA, others=True).columns.tolist() == ["image_id"]
    assert known(workspace) == {}
    written = workspace.metadata.stat().st_mtime_ns
    ensure_metadata(workspace)
    assert workspace.metadata.stat().st_mtime_ns == written


def test_rows_of_files_that_are_no_images_are_counted_and_told(
    folder: Path, workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "text.png").write_text("no picture")
    write(folder, "file,camera", "a.png,x", "gone.png,x", "../a.png,x", "text.png,x", ",x", ",")
    with caplog.at_level(logging.WARNING):
        report = ingest(folder, workspace, PARAMS)
    assert (report.described, report.undescribed) == (1, 4)
    assert "4 of 5 rows are about no image here: gone.png, ../a.png, text.png ..." in caplog.text


def test_of_equal_files_the_one_that_stands_for_them_is_asked_first(folder: Path, workspace: Workspace) -> None:
    shutil.copy(folder / "a.png", folder / "night" / "copy.png")
    write(folder, "file,camera", "night/copy.png,second")
    ingest(folder, workspace, PARAMS)
    assert known(workspace) == {"a.png": {"camera": "second"}}
    write(folder, "file,camera", "night/copy.png,second", "a.png,first")
    ingest(folder, workspace, PARAMS)
    assert known(workspace) == {"a.png": {"camera": "first"}}
    # the catalog has the image by its first name, though the copy's comes before it
    shutil.copy(folder / "a.png", folder / "1.png")
    write(folder, "file,camera", "1.png,second", "a.png,first")
    ingest(folder, workspace, PARAMS)
    assert known(workspace) == {"a.png": {"camera": "first"}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no column 'file' (it has none); commas separate columns"),
        (b"file;camera\na.png;x\n", "has no column 'file' (it has file;camera); commas separate columns"),
        (b"file,camera\na.png,x\nnight/../a.png,y\n", "line 3: a.png has a row already; leave one for each file"),
        (b"file,camera\na.png,x,y\n", "line 2: 3 cells in a table of 2 columns"),
        (b"file,camera,camera\n", "every column needs a name of its own; it has file, camera, camera"),
        (b"file,,camera\n", "every column needs a name of its own"),
        (b"file,width\n", "every image has a 'width' already; give the column another name"),
        (b"file,brightness\n", "every image has a 'brightness' already"),
        (b"file,cup there\n", "every image has a 'cup there' already"),
        (b"file,k\xf6rper\n", "is no UTF-8 (byte 6); save it as CSV UTF-8"),
        (b'file,camera\na.png,"x\n', "no CSV (unexpected end of data)"),
        (b"file," + b",".join(b"c%d" % number for number in range(MOST_COLUMNS)), "51 columns, 50 at most"),
        (b"x" * (MOST_BYTES + 1), "20000001 bytes, 20000000 at most are read"),
    ],
)
def test_what_is_no_table_of_images_is_one_line_and_takes_nothing_in(
    folder: Path, workspace: Workspace, content: bytes, message: str
) -> None:
    (folder / "metadata.csv").write_bytes(content)
    with pytest.raises(InputError) as caught:
        ingest(folder, workspace, PARAMS)
    assert message in str(caught.value)
    assert str(folder / "metadata.csv") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not workspace.data.exists()


def test_two_files_may_not_speak_of_one_image(folder: Path, workspace: Workspace) -> None:
    write(folder, "file,camera", "night/c.png,x")
    write(folder / "night", "file,weather", "c.png,rain")
    with pytest.raises(InputError, match=r"night/metadata\.csv, line 2: night/c\.png has a row already"):
        ingest(folder, workspace, PARAMS)


def test_the_mark_that_spreadsheets_write_first_is_no_part_of_the_header(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_bytes(b"\xef\xbb\xbffile,camera\r\na.png,x\r\n\r\n")
    assert read_metadata([("metadata.csv", tmp_path / "metadata.csv")]) == {"a.png": {"camera": "x"}}


def test_a_link_that_leads_out_of_the_folder_is_not_followed(
    folder: Path, workspace: Workspace, tmp_path: Path
) -> None:
    write(tmp_path, "file,camera", "a.png,x")
    (folder / "metadata.csv").symlink_to(tmp_path / "metadata.csv")
    report = ingest(folder, workspace, PARAMS)
    assert (report.described, report.quarantined) == (0, 1)
