from pathlib import Path

import pandas as pd
import pytest

from datalab.adapters.files import read_json, read_label_map, read_table, write_json, write_table
from datalab.stages.consensus import Inputs, Outputs, Params, run
from datalab.tables import ADJUDICATION, CONSENSUS, DECISIONS, PROVENANCE, empty
from tests.quality.images import HEIGHT, WIDTH, Box, rle
from tests.stages.rated_folder import write_rated

COIN: Box = ("coin", 0, 0, 4, 4)
NARROW: Box = ("coin", 0, 0, 4, 3)
CUP: Box = ("cup", 4, 5, 6, 8)
PARAMS = Params(iou_threshold=0.5, outline_iou=0.7, pixels="skill_weighted", classes="dawid_skene")


def merged(
    folder: Path,
    answers: dict[tuple[str, str], list[Box]],
    role: str = "batch",
    skills: dict[str, float] | None = None,
    decisions: pd.DataFrame | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    ratings, regions = write_rated(folder, answers, role)
    scores = {name: {"skill": skill} for name, skill in (skills or {}).items()}
    write_json(folder / "gold.json", {"annotators": scores})
    write_table(folder / "decisions.parquet", empty(DECISIONS) if decisions is None else decisions)
    inputs = Inputs(ratings, regions, folder / "gold.json", folder / "decisions.parquet")
    outs = Outputs(*(folder / name for name in ("consensus.parquet", "adjudication.parquet", "maps", "report.json")))
    run(inputs, outs, PARAMS)
    return read_table(outs.consensus, (*CONSENSUS, *PROVENANCE)), read_table(outs.adjudication, ADJUDICATION)


def decided(reason: str, answers: dict[str, list[Box]], asked: str = "") -> pd.DataFrame:
    rows = [
        (image, f"d{place}", label, rle(*box) if label else "", HEIGHT, WIDTH, "eve", reason, asked)
        for image, boxes in answers.items()
        for place, (label, *box) in enumerate(boxes or [("", 0, 0, 0, 0)])
    ]
    return pd.DataFrame(rows, columns=list(DECISIONS))


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


def test_an_object_keeps_its_name_when_another_comes_before_it(tmp_path: Path) -> None:
    (tmp_path / "then").mkdir()
    (tmp_path / "now").mkdir()
    then, _ = merged(tmp_path / "then", {("a", "x"): [CUP]})
    now, _ = merged(tmp_path / "now", {("a", "x"): [COIN, CUP]})
    assert dict(zip(now["label"], now["region_id"], strict=True))["cup"] == then["region_id"].item()
    assert now["region_id"].is_unique


def test_the_same_object_twice_has_two_names(tmp_path: Path) -> None:
    table, _ = merged(tmp_path, {("a", "x"): [COIN]}, decisions=decided("contested", {"a": [COIN, COIN]}))
    assert len(table) == 2
    assert table["region_id"].is_unique


def test_what_one_of_two_drew_goes_to_adjudication(tmp_path: Path) -> None:
    table, doubts = merged(tmp_path, {("a", "x"): [COIN, CUP], ("a", "y"): [COIN]})
    assert table["label"].tolist() == ["coin"]
    assert doubts[["image_id", "reason", "kept", "label"]].to_numpy().tolist() == [["a", "existence", False, "cup"]]
    assert not set(doubts["region_id"]) & set(table["region_id"])


def test_two_classes_for_one_object_are_disputed(tmp_path: Path) -> None:
    answers: dict[tuple[str, str], list[Box]] = {("a", "x"): [COIN], ("a", "y"): [("cup", 0, 0, 4, 4)]}
    table, doubts = merged(tmp_path, answers, skills={"x": 0.6, "y": 0.9})
    assert table.empty
    assert doubts[["reason", "kept", "disputed"]].to_numpy().tolist() == [["class", False, rle(0, 0, 4, 4)]]


def test_who_contributed_is_in_the_table(tmp_path: Path) -> None:
    table, _ = merged(tmp_path, {("a", "x"): [COIN], ("a", "y"): [], ("a", "z"): [COIN]})
    assert table[["method", "contributors"]].to_numpy().tolist() == [["two", "x, z"]]


def test_a_decision_replaces_what_people_said(tmp_path: Path) -> None:
    answers: dict[tuple[str, str], list[Box]] = {("a", "x"): [COIN, CUP], ("a", "y"): [COIN], ("b", "x"): [COIN]}
    decisions = decided("contested", {"a": [NARROW, ("coin", 4, 5, 6, 8)], "b": [], "gone": [COIN]})
    table, doubts = merged(tmp_path, answers, decisions=decisions)
    assert doubts.empty
    assert table[["image_id", "label", "votes", "method", "contributors"]].to_numpy().tolist() == [
        ["a", "coin", 2, "adjudicated", "eve"],
        ["a", "coin", 0, "adjudicated", "eve"],
    ]
    assert table["agreement"].tolist() == [0.75, 0]
    report = read_json(tmp_path / "report.json")
    assert (report["contested_images"], report["decided_contested_images"], report["audited_images"]) == (1, 1, 0)


def test_what_the_audit_found_is_counted(tmp_path: Path) -> None:
    answers: dict[tuple[str, str], list[Box]] = {(image, "x"): [COIN] for image in "abcdefghij"}
    decisions = decided("audit", {"a": [COIN], "b": [("cup", 0, 0, 4, 4)], "c": [COIN], "d": [COIN]})
    merged(tmp_path, answers, decisions=decisions)
    report = read_json(tmp_path / "report.json")
    assert (report["audited_images"], report["audited_objects"], report["wrong_objects"]) == (4, 4, 1)
    assert report["wrong_images"] == 1


def test_an_audit_of_an_image_that_was_contested_later_is_no_part_of_the_sample(tmp_path: Path) -> None:
    answers: dict[tuple[str, str], list[Box]] = {("a", "x"): [COIN, CUP], ("a", "y"): [COIN], ("b", "x"): [COIN]}
    merged(tmp_path, answers, decisions=decided("audit", {"a": [], "b": [COIN]}))
    report = read_json(tmp_path / "report.json")
    assert (report["contested_images"], report["audited_images"], report["wrong_images"]) == (1, 1, 0)


def test_the_disagreement_is_drawn_where_two_rated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    merged(tmp_path, {("a", "x"): [COIN], ("a", "y"): [NARROW], ("b", "x"): [COIN]})
    assert [path.name for path in (tmp_path / "maps").iterdir()] == ["a.png"]
    assert read_label_map(tmp_path / "maps" / "a.png")[0].tolist() == [0, 0, 0, 255, 0, 0, 0, 0]
    said = capsys.readouterr().err
    assert [f"{what}\n" in said for what in ("find objects 0/2", "merge objects 0/2", "disagreement 0/2")] == [True] * 3


def test_gold_stays_out(tmp_path: Path) -> None:
    table, doubts = merged(tmp_path, {("g", "x"): [COIN], ("g", "y"): [COIN]}, role="gold")
    assert table.empty
    assert doubts.empty


def test_an_image_without_objects_has_no_row(tmp_path: Path) -> None:
    table, doubts = merged(tmp_path, {("a", "x"): [], ("a", "y"): []})
    assert table.columns.tolist() == [*CONSENSUS, *PROVENANCE]
    assert doubts.columns.tolist() == list(ADJUDICATION)
    assert table.empty
    assert doubts.empty
