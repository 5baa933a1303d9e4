from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from datalab.adapters.files import read_json, read_table, write_table
from datalab.errors import InputError
from datalab.stages.slices import Inputs, Params, run
from datalab.tables import CATALOG, METADATA, SLICES, empty
from tests.stages.bars import check_bars

PARAMS = Params(seed=0, least=4, resamples=499, q=0.05, named={"dark": "brightness < 0.3"})


@pytest.fixture
def tables(tmp_path: Path) -> Inputs:
    """Twenty images, the five dark ones with a low IoU; two folders that do not matter."""
    rng = np.random.default_rng(3)
    dark = np.arange(20) < 5
    ids = [f"{number:016x}" for number in range(20)]
    judged = pd.DataFrame(
        {
            "image_id": ids,
            "group": ids,
            "iou": np.where(dark, 0.2, 0.8) + rng.uniform(-0.1, 0.1, 20),
            "brightness": np.where(dark, 0.1, 0.7) + rng.uniform(-0.05, 0.05, 20),
            "leaf there": rng.random(20) < 0.5,
        }
    )
    catalog = pd.DataFrame({name: [""] * 20 for name in CATALOG}).assign(
        image_id=ids, source=[f"{'ab'[number % 2]}/{number}.png" for number in range(20)], width=320, height=256
    )
    write_table(tmp_path / "judged.parquet", judged)
    write_table(tmp_path / "catalog.parquet", catalog)
    write_table(tmp_path / "metadata.parquet", empty(METADATA))
    write_table(tmp_path / "views.parquet", empty(SLICES))
    return Inputs(*(tmp_path / f"{name}.parquet" for name in ("judged", "catalog", "metadata", "views")))


def cut(tables: Inputs, out: Path, params: Params) -> None:
    run(tables, out / "members.parquet", out / "slices.json", out / "plots", params)


def test_the_parts_that_pairs_are_compared_with_are_told(
    tables: Inputs, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cut(tables, tmp_path, replace(PARAMS, least=2))
    assert read_json(tmp_path / "slices.json")["pairs"] == 8
    assert "slices 0/5\n" in capfd.readouterr().err


def test_the_dark_images_are_named(tables: Inputs, tmp_path: Path) -> None:
    cut(tables, tmp_path, PARAMS)
    report = read_json(tmp_path / "slices.json")
    assert (report["images"], report["named"]) == (20, ["dark"])
    members = read_table(tmp_path / "members.parquet", SLICES)
    assert members.loc[members["slice"] == "dark", "image_id"].tolist() == [f"{number:016x}" for number in range(5)]
    assert {row["slice"] for row in report["slices"]} >= {"dark", "folder: a", "folder: b", "leaf there"}
    assert any(line.startswith("dark: IoU 0.") and "on 5 images" in line for line in report["worse"])
    assert not any("folder" in line for line in report["worse"])
    check_bars(tmp_path / "plots" / "slices.csv")
    assert len(pd.read_csv(tmp_path / "plots" / "slices.csv")) == len(report["slices"])
    with Image.open(tmp_path / "plots" / "slices.png") as picture:
        assert min(picture.size) > 100


def test_too_few_images_are_told(tables: Inputs, tmp_path: Path) -> None:
    cut(tables, tmp_path, replace(PARAMS, least=11))
    report = read_json(tmp_path / "slices.json")
    assert (report["slices"], report["worse"]) == ([], [])
    assert report["reason"] == "20 test images of 20 groups: no slice has 11 groups, and leaves as many"
    assert (tmp_path / "plots" / "slices.png").is_file()


def test_a_wrong_rule_is_one_line_and_leaves_nothing(tables: Inputs, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="columns are brightness, leaf there, megapixels, folder"):
        run(
            tables,
            tmp_path / "members.parquet",
            tmp_path / "slices.json",
            tmp_path / "plots",
            replace(PARAMS, named={"odd": "colour > 1"}),
        )
    assert not (tmp_path / "slices.json").exists()


def test_a_reviewers_view_is_a_slice_of_its_test_images(tables: Inputs, tmp_path: Path) -> None:
    seen = [f"{number:016x}" for number in (*range(5), 12)]
    rows = [(one, "shots for $5, not $10") for one in [*seen, "an image of another split"]]
    rows += [(f"{number:016x}", "dark") for number in range(10, 20)]
    write_table(tables.views, pd.DataFrame(rows, columns=list(SLICES)))
    cut(tables, tmp_path, PARAMS)
    report = read_json(tmp_path / "slices.json")
    found = {row["slice"]: row for row in report["slices"]}
    assert report["named"] == ["dark", "shots for $5, not $10"]
    assert found["shots for $5, not $10"]["images"] == 6
    # the rule in params.yaml comes before a view of the same name
    assert found["dark"]["images"] == 5
    members = read_table(tmp_path / "members.parquet", SLICES)
    assert members.loc[members["slice"] == "shots for $5, not $10", "image_id"].tolist() == seen


@pytest.mark.slow
def test_rules_read_the_catalog_and_what_people_wrote_and_few_values_are_slices(tables: Inputs, tmp_path: Path) -> None:
    ids = [f"{number:016x}" for number in range(20)]
    metadata = pd.DataFrame(
        {
            "image_id": ["of another split", *ids[:18]],
            "camera": ["third", *(["north"] * 6), *(["south"] * 12)],
            "line": ["9", *("12" * 9)],
            "exposure time": ["0.1", *(f"{number / 100}" for number in range(18))],
            "patient": [f"p{number}" for number in range(19)],
        }
    )
    write_table(tables.metadata, metadata)
    rules = {
        "small": "width < 640 and height == 256",
        "clip b": "source.str.startswith('b/')",
        "copies": "duplicate_group == ''",
        "second line": "line == 2 and `exposure time` > 0.05",
        "first": f"image_id == '{ids[0]}'",
    }
    cut(tables, tmp_path, replace(PARAMS, named=rules, least=5))
    report = read_json(tmp_path / "slices.json")
    found = {row["slice"]: row["images"] for row in report["slices"]}
    assert report["named"] == sorted(rules)
    members = read_table(tmp_path / "members.parquet", SLICES).groupby("slice")["image_id"].agg(list)
    assert (len(members["small"]), members["first"]) == (20, ids[:1])
    assert members["clip b"] == ids[1::2]
    assert members["second line"] == ids[7:18:2]
    own = {name: count for name, count in found.items() if name.startswith(("camera", "line", "exposure", "patient"))}
    assert own.pop("exposure time up to 0.0567") == own.pop("exposure time from 0.113") == 6
    # an image that nobody wrote of is in none, and with everybody's own patient there is none to be in
    assert own == {"camera: north": 6, "camera: south": 12, "line: 1": 9, "line: 2": 9}


def test_a_fault_of_two_things_together_is_told_and_its_images_are_kept(tables: Inputs, tmp_path: Path) -> None:
    ids = [f"{number:016x}" for number in range(40)]
    rng = np.random.default_rng(0)
    night, rain = np.arange(40) < 20, np.arange(40) % 2 == 0
    judged = pd.DataFrame(
        {"image_id": ids, "group": ids, "iou": np.where(night & rain, 0.2, 0.8) + rng.normal(0, 0.002, 40)}
    )
    metadata = judged[["image_id"]].assign(time=np.where(night, "night", "day"), weather=np.where(rain, "rain", "sun"))
    catalog = read_table(tables.catalog, CATALOG)
    write_table(tables.judged, judged)
    write_table(tables.metadata, metadata)
    write_table(tables.catalog, pd.concat([catalog, catalog]).assign(image_id=ids, source="one.png"))
    cut(tables, tmp_path, replace(PARAMS, named={}, least=8))
    report = read_json(tmp_path / "slices.json")
    assert report["worse"][0] == "time: night & weather: rain: IoU 0.20 on 10 images, 0.80 elsewhere"
    # pairs that are not worse are no rows; how many were looked at is told
    assert [row["slice"] for row in report["slices"] if " & " in row["slice"]] == ["time: night & weather: rain"]
    assert report["pairs"] == 4
    members = read_table(tmp_path / "members.parquet", SLICES)
    assert members.loc[members["slice"] == "time: night & weather: rain", "image_id"].tolist() == ids[0:20:2]
    assert pd.read_csv(tmp_path / "plots" / "slices.csv")["slice"].tolist() == [
        row["slice"] for row in report["slices"]
    ]
