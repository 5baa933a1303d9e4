from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from datalab.adapters.files import read_json, write_table
from datalab.errors import InputError
from datalab.stages.score_gold import Params, run
from datalab.tables import GOLD, empty
from tests.quality.images import HEIGHT, WIDTH, Box, rle
from tests.stages.rated_folder import write_rated

COIN: Box = ("coin", 0, 0, 4, 4)
PARAMS = Params(2, 0.5, 0.1, 20, target=0.8, pause_below=0.5, recent_rounds=1, advise_px=1.5, advise_share=0.1)
TRUTH = pd.DataFrame([("g", "t", "coin", rle(0, 0, 4, 4), HEIGHT, WIDTH)], columns=list(GOLD))


def report(folder: Path, answers: dict[tuple[str, str], list[Box]], gold: pd.DataFrame = TRUTH) -> Any:
    ratings, regions = write_rated(folder, answers)
    write_table(folder / "gold.parquet", gold)
    run(ratings, regions, folder / "gold.parquet", folder / "gold.json", PARAMS)
    return read_json(folder / "gold.json")["annotators"]


def test_everybody_is_scored_on_gold_only(tmp_path: Path) -> None:
    found = report(tmp_path, {("g", "ann"): [COIN], ("g", "bob"): [], ("a", "bob"): [COIN], ("a", "cat"): [COIN]})
    assert {name: score["f1"]["value"] for name, score in found.items()} == {"ann": 1, "bob": 0, "cat": None}
    assert found["bob"]["objects"] == {"matched": 0, "confused": 0, "missed": 1, "extra": 0}
    assert found["cat"]["f1"]["reason"] == "labelled no gold image"
    assert found["ann"]["skill"] > found["cat"]["skill"] > found["bob"]["skill"]
    assert found["ann"]["f1"]["low"] < 1
    assert found["ann"]["skill_interval"]["low"] < found["ann"]["skill"] < found["ann"]["skill_interval"]["high"]
    assert found["bob"]["per_round"]["0001"]["value"] == 0
    assert found["bob"]["action"] == {"value": "none", "reason": "1 gold objects; people are judged from 20 on"}
    assert found["bob"]["advice"] == []


def test_no_gold_at_all(tmp_path: Path) -> None:
    found = report(tmp_path, {("a", "ann"): [COIN]}, empty(GOLD))
    assert (found["ann"]["skill"], found["ann"]["images"], found["ann"]["recall"]["value"]) == (0.5, 0, None)


def test_nobody_labelled_anything(tmp_path: Path) -> None:
    assert report(tmp_path, {}) == {}


def test_a_gold_mask_of_another_size_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gold mask of image g has 99 x 6 pixels"):
        report(tmp_path, {("g", "ann"): [COIN]}, TRUTH.assign(width=99))
