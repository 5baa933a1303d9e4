from pathlib import Path

import pandas as pd

from datalab.adapters.files import read_table, write_json
from datalab.quality.consensus import ADJUDICATION
from datalab.stages.consensus import Params, run
from datalab.tables import CONSENSUS
from tests.quality.images import Box
from tests.stages.rated_folder import write_rated

COIN: Box = ("coin", 0, 0, 4, 4)
NARROW: Box = ("coin", 0, 0, 4, 3)
CUP: Box = ("cup", 4, 5, 6, 8)


def merged(
    folder: Path,
    answers: dict[tuple[str, str], list[Box]],
    role: str = "batch",
    skills: dict[str, float] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    ratings, regions = write_rated(folder, answers, role)
    scores = {name: {"skill": skill} for name, skill in (skills or {}).items()}
    write_json(folder / "gold.json", {"annotators": scores})
    outs = folder / "consensus.parquet", folder / "adjudication.parquet"
    run(ratings, regions, folder / "gold.json", *outs, Params(iou_threshold=0.5))
    return read_table(outs[0], CONSENSUS), read_table(outs[1], ADJUDICATION)


def test_objects_votes_and_raters(tmp_path: Path) -> None:
    people: list[Box] = [COIN, COIN, NARROW]
    answers: dict[tuple[str, str], list[Box]] = {("a", who): [box] for who, box in zip("xyz", people, strict=True)}
    answers["b", "x"] = [CUP]
    table, doubts = merged(tmp_path, answers)
    assert table[["image_id", "label", "votes", "raters"]].to_numpy().tolist() == [
        ["a", "coin", 3, 3],
        ["b", "cup", 1, 1],
    ]
    assert table["region_id"].is_unique
    assert doubts.empty


def test_what_one_of_two_drew_goes_to_adjudication(tmp_path: Path) -> None:
    table, doubts = merged(tmp_path, {("a", "x"): [COIN, CUP], ("a", "y"): [COIN]})
    assert table["label"].tolist() == ["coin"]
    assert doubts[["image_id", "reason", "kept", "label"]].to_numpy().tolist() == [["a", "existence", False, "cup"]]
    assert not set(doubts["region_id"]) & set(table["region_id"])


def test_a_class_decided_by_skill_alone_is_kept_and_adjudicated(tmp_path: Path) -> None:
    answers: dict[tuple[str, str], list[Box]] = {("a", "x"): [COIN], ("a", "y"): [("cup", 0, 0, 4, 4)]}
    table, doubts = merged(tmp_path, answers, skills={"x": 0.6, "y": 0.9})
    assert table["label"].tolist() == ["cup"]
    assert doubts["kept"].tolist() == [True]
    table, doubts = merged(tmp_path, answers)
    assert table.empty
    assert doubts["reason"].tolist() == ["class"]


def test_gold_stays_out(tmp_path: Path) -> None:
    table, doubts = merged(tmp_path, {("g", "x"): [COIN], ("g", "y"): [COIN]}, role="gold")
    assert table.empty
    assert doubts.empty


def test_an_image_without_objects_has_no_row(tmp_path: Path) -> None:
    table, doubts = merged(tmp_path, {("a", "x"): [], ("a", "y"): []})
    assert table.columns.tolist() == list(CONSENSUS)
    assert doubts.columns.tolist() == list(ADJUDICATION)
    assert table.empty
    assert doubts.empty
