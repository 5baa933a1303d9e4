import errno
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from datalab.adapters import files
from datalab.errors import InputError


def test_json_round_trip_and_no_nan(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    files.write_json(path, {"b": 1, "a": None})
    assert files.read_json(path) == {"a": None, "b": 1}
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(path, {"a": float("nan")})
    assert files.read_json(path) == {"a": None, "b": 1}


def test_who_reads_changes_and_writes_takes_turns(tmp_path: Path) -> None:
    path = tmp_path / "new" / "count.json"

    def add_ten(_: int) -> None:
        for _ in range(10):
            with files.locked(path):
                known = files.read_json(path) if path.exists() else 0
                time.sleep(0.001)
                files.write_json(path, known + 1)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add_ten, range(4)))
    assert files.read_json(path) == 40


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    files.write_text(path, "old")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"no space left on the disk of .*; free some"):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.EPERM, errno.EIO])
def test_what_the_disk_refuses_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    why = "no space left on the disk" if number == errno.EDQUOT else f"a.txt cannot be written: {os.strerror(number)}"
    with pytest.raises(InputError, match=why):
        files.write_text(tmp_path / "a.txt", "new")


@pytest.mark.parametrize("target", ["gone", "data"])
def test_a_link_that_leads_nowhere_is_named(tmp_path: Path, target: str) -> None:
    (tmp_path / "data").symlink_to(tmp_path / target)
    path = tmp_path / "data" / "rounds" / "a.txt"
    why = f"{path} cannot be written: {tmp_path}/data is a link to {tmp_path / target}, which is not there; put that"
    with pytest.raises(InputError, match=why):
        files.write_text(path, "new")
    with pytest.raises(InputError, match=why), files.locked(path):
        pass
    with pytest.raises(InputError, match=why), files.fresh_folder(path):
        pass


@pytest.mark.parametrize("path", [Path("/proc/foo/bar"), Path("/tmp") / ("x" * 300)])
def test_a_place_for_no_file_is_one_line(path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be written: (No such file|File name too long)"):
        files.write_text(path, "new")


def test_what_a_block_reads_is_not_taken_for_what_it_writes(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), files.fresh_folder(tmp_path / "out"):
        (tmp_path / "absent").read_bytes()
    assert list(tmp_path.iterdir()) == []


def test_a_table_round_trip_and_a_missing_column(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    files.write_table(path, pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}))
    assert files.read_table(path, ("b",))["b"].tolist() == ["x", "y"]
    with pytest.raises(InputError, match=r"lacks the column\(s\) c"):
        files.read_table(path, ("c",))


def test_missing_and_broken_files_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist; let a round make it"):
        files.read_table(tmp_path / "no.parquet", ("a",))
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 but no")
    with pytest.raises(InputError, match="cannot be read"):
        files.read_table(tmp_path / "bad.parquet", ("a",))
    (tmp_path / "bad.png").write_bytes(b"no png")
    with pytest.raises(InputError, match="cannot be read"):
        files.read_rgb(tmp_path / "bad.png")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("data/rounds/0001/round.json", "it is in no commit: mend it by hand, or, where the round is over, remove it"),
        ("data/images/a.json", "remove it, then `dvc checkout data/images.dvc`$"),
        ("data/scores.json", r"remove it, then dvc repro, or let a round make it"),
        (
            "reports/round-0001.json",
            r"; `git checkout -- '.*/my tiles/reports/round-0001\.json'` where it was committed",
        ),
        (".datalab/run/prefect.json", "; remove it and run `make up`$"),
    ],
)
def test_what_brings_a_damaged_file_back_depends_on_where_it_lies(tmp_path: Path, name: str, advice: str) -> None:
    path = tmp_path / "data" / "my tiles" / name
    files.write_bytes(path, b"{")
    files.write_text(tmp_path / "data" / "my tiles" / "data" / "images.dvc", "outs: []")
    with pytest.raises(InputError, match=advice):
        files.read_json(path)


def test_what_an_open_round_has_is_not_endangered_by_the_advice(tmp_path: Path) -> None:
    path = tmp_path / "data" / "rounds" / "0002" / "batch.parquet"
    files.write_text(tmp_path / "data" / "rounds.dvc", "outs: []")
    where = (
        rf"; `dvc checkout {path}` where the round is over; an open one is not in DVC, and a checkout without a name"
    )
    with pytest.raises(InputError, match=f"{path} does not exist{where}"):
        files.read_table(path, ("a",))


def test_label_map_round_trip(tmp_path: Path) -> None:
    label_map = np.array([[0, 1, 255], [7, 7, 0]], dtype=np.uint8)
    files.write_label_map(tmp_path / "m.png", label_map)
    assert np.array_equal(files.read_label_map(tmp_path / "m.png"), label_map)
    assert files.read_rgb(tmp_path / "m.png").shape == (2, 3, 3)
    assert files.read_image_size(tmp_path / "m.png") == (2, 3)


def test_fresh_folder_replaces_only_when_the_block_ends_well(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with files.fresh_folder(out) as folder:
        (folder / "a").write_text("1")
    with pytest.raises(RuntimeError, match="killed"), files.fresh_folder(out) as folder:
        (folder / "b").write_text("2")
        raise RuntimeError("killed")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "a"]


def test_what_a_killed_writer_left_goes_when_it_is_old(tmp_path: Path) -> None:
    killed = files.fresh_folder(tmp_path / "out")
    left = killed.__enter__()  # and never left: a kill runs no `finally`
    (left / "a").write_text("1")
    (tmp_path / "deep").mkdir()
    for kept in (tmp_path / "deep" / ".gitignore", tmp_path / "a.tmp"):
        kept.write_text("mine")
    files.remove_leftovers(tmp_path)
    assert left.exists()
    old = time.time() - 3601
    os.utime(left, (old, old))
    files.remove_leftovers(tmp_path)
    assert left.exists()  # the file in it is new: somebody is at work
    os.utime(left / "a", (old, old))
    (tmp_path / "deep" / ".b.json.x1.tmp").write_text("half")
    os.utime(tmp_path / "deep" / ".b.json.x1.tmp", (old, old))
    files.remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == [".gitignore", "a.tmp", "deep"]


def test_what_killed_writers_of_one_file_left_beside_it_goes_when_it_is_old(tmp_path: Path) -> None:
    old = time.time() - 3601
    names = ("..env.x1.tmp", "..env.x2.tmp", ".other.x1.tmp", "deep/..env.x1.tmp", ".env")
    (tmp_path / "deep").mkdir()
    for name in names:
        (tmp_path / name).write_text("secret")
        if name != "..env.x2.tmp":
            os.utime(tmp_path / name, (old, old))
    files.remove_leftovers_of(tmp_path / ".env")
    assert [name for name in names if not (tmp_path / name).exists()] == ["..env.x1.tmp"]
    files.remove_leftovers_of(tmp_path / "nowhere" / ".env")
