from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from datalab.adapters.files import read_json, read_table, write_table
from datalab.errors import InputError
from datalab.stages.slices import Inputs, Params, run
from datalab.tables import CATALOG, SLICES, empty

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
    write_table(tmp_path / "views.parquet", empty(SLICES))
    return Inputs(tmp_path / "judged.parquet", tmp_path / "catalog.parquet", tmp_path / "views.parquet")


def cut(tables: Inputs, out: Path, params: Params) -> None:
    run(tables, out / "members.parquet", out / "slices.json", out / "plots", params)


def test_the_dark_images_are_named(tables: Inputs, tmp_path: Path) -> None:
    cut(tables, tmp_path, PARAMS)
    report = read_json(tmp_path / "slices.json")
    assert (report["images"], report["named"]) == (20, ["dark"])
    members = read_table(tmp_path / "members.parquet", SLICES)
    assert members.loc[members["slice"] == "dark", "image_id"].tolist() == [f"{number:016x}" for number in range(5)]
    assert {row["slice"] for row in report["slices"]} >= {"dark", "folder: a", "folder: b", "leaf there"}
    assert any(line.startswith("dark: IoU 0.") and "on 5 images" in line for line in report["worse"])
    assert not any("folder" in line for line in report["worse"])
    assert len(pd.read_csv(tmp_path / "plots" / "slices.csv")) == len(report["slices"])
    with Image.open(tmp_path / "plots" / "slices.png") as picture:
        assert min(picture.size) > 100


def test_too_few_images_are_told(tables: Inputs, tmp_path: Path) -> None:
    cut(tables, tmp_path, replace(PARAMS, least=11))
    report = read_json(tmp_path / "slices.json")
    assert (report["slices"], report["worse"]) == ([], [])
    assert report["reason"] == "20 test images: no slice has 11, and leaves as many"
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
