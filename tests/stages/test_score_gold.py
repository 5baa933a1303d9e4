from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from datalab.adapters.files import read_json, read_table, write_table
from datalab.errors import InputError
from datalab.learning.splits import GroupRules
from datalab.stages.score_gold import Inputs, Params, run
from datalab.tables import GOLD, GOLD_EVENTS, RATINGS, empty
from tests.quality.images import HEIGHT, WIDTH, Box, rle, tables
from tests.stages.rated_folder import ALONE, write_catalog, write_metadata, write_rated

COIN: Box = ("coin", 0, 0, 4, 4)
PARAMS = Params(
    2, 0.5, 0.1, 20, target=0.8, pause_below=0.5, recent_rounds=1, advise_px=1.5, advise_share=0.1, suspect_gap=0.3
)
TRUTH = pd.DataFrame([("g", "t", "coin", rle(0, 0, 4, 4), HEIGHT, WIDTH)], columns=list(GOLD))


Answers = dict[tuple[str, str], list[Box]]


def whole_report(
    folder: Path,
    answers: Answers,
    gold: pd.DataFrame = TRUTH,
    events: tuple[str, ...] = (),
    earlier: Answers | None = None,
    rules: GroupRules = ALONE,
) -> Any:
    """`events`: what happened to image g, all in the round of the ratings; `earlier`: answers of the round before."""
    ratings, regions = write_rated(folder, answers)
    write_table(folder / "gold.parquet", gold)
    rows = [("g", action, "because", "ann", "0001", "2026-01-01") for action in events]
    write_table(folder / "events.parquet", pd.DataFrame(rows, columns=list(GOLD_EVENTS)))
    before = write_earlier(folder, {} if earlier is None else earlier)
    sources = {image: f"{image[0]}/{image}.png" for image, _ in answers}
    known = write_catalog(folder, sources), write_metadata(folder, {})
    gold_files = folder / "gold.parquet", folder / "events.parquet"
    inputs = Inputs(ratings, regions, *before, *gold_files, *known, folder / "guidelines")
    run(inputs, folder / "gold.json", PARAMS, 600.0, rules)
    return read_json(folder / "gold.json")


def write_earlier(folder: Path, answers: Answers) -> tuple[Path, Path]:
    paths = folder / "earlier_ratings.parquet", folder / "earlier_regions.parquet"
    for path, table in zip(paths, tables(answers, "gold"), strict=True):
        write_table(path, table.assign(round_id="0000"))
    return paths


def report(folder: Path, answers: Answers, gold: pd.DataFrame = TRUTH) -> Any:
    return whole_report(folder, answers, gold)["annotators"]


def test_everybody_is_scored_on_gold_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = report(tmp_path, {("g", "ann"): [COIN], ("g", "bob"): [], ("a", "bob"): [COIN], ("a", "cat"): [COIN]})
    assert {name: score["f1"]["value"] for name, score in found.items()} == {"ann": 1, "bob": 0, "cat": None}
    assert found["bob"]["objects"] == {"matched": 0, "confused": 0, "missed": 1, "extra": 0}
    assert found["cat"]["f1"]["reason"] == "labelled no gold image"
    assert found["ann"]["skill"] > found["cat"]["skill"] > found["bob"]["skill"]
    assert (found["ann"]["f1"]["low"], found["ann"]["f1"]["reason"]) == (None, "no interval from one image")
    assert found["ann"]["skill_interval"]["reason"] == "no interval from one image"
    assert found["cat"]["skill_interval"]["low"] < found["cat"]["skill"] < found["cat"]["skill_interval"]["high"]
    assert found["bob"]["per_round"]["0001"]["value"] == 0
    assert found["bob"]["action"] == {"value": "none", "reason": "1 gold objects; people are judged from 20 on"}
    assert found["bob"]["advice"] == []
    assert "score gold 0/3\n" in capsys.readouterr().err


def test_an_answer_that_was_replaced_counts_in_its_own_round_alone(tmp_path: Path) -> None:
    found = whole_report(tmp_path, {("g", "ann"): []}, earlier={("g", "ann"): [COIN], ("g", "bob"): [COIN]})
    ((name, ann),) = found["annotators"].items()
    assert name == "ann"
    assert {name: one["value"] for name, one in ann["per_round"].items()} == {"0000": 1, "0001": 0}
    assert (ann["images"], ann["f1"]["value"]) == (1, 0)


@pytest.mark.slow
def test_nobody_is_judged_by_gold_that_is_contested_or_came_after_the_labels(tmp_path: Path) -> None:
    answers: Answers = {("g", "ann"): [COIN]}
    for events in (("contested",), ("contested", "disputed"), ("added",)):
        assert whole_report(tmp_path, answers, events=events)["annotators"]["ann"]["images"] == 0
    for events in (("contested", "upheld"), ("leaked",), ("retired",)):
        assert whole_report(tmp_path, answers, events=events)["annotators"]["ann"]["images"] == 1


@pytest.mark.slow
def test_gold_that_people_contradict_together_is_suspect(tmp_path: Path) -> None:
    people = ("ann", "bob", "cat")
    together = whole_report(tmp_path, {("g", who): [("coin", 2, 4, 6, 8)] for who in people})
    assert together["suspects"] == [{"image_id": "g", "among_people": 1, "with_gold": 0}]
    apart: Answers = {("g", who): [("coin", 0, 2 * place, 2, 2 * place + 2)] for place, who in enumerate(people)}
    assert whole_report(tmp_path, apart)["suspects"] == []
    assert whole_report(tmp_path, {("g", who): [COIN] for who in people})["suspects"] == []


def test_two_people_alone_make_no_gold_suspect(tmp_path: Path) -> None:
    together = whole_report(tmp_path, {("g", who): [("coin", 2, 4, 6, 8)] for who in ("ann", "bob")})
    assert together["suspects"] == []


@pytest.mark.slow
def test_gold_where_people_see_nothing_is_suspect_and_rightly_empty_gold_is_not(tmp_path: Path) -> None:
    people = ("ann", "bob", "cat")
    nothing: Answers = {("g", who): [] for who in people}
    assert whole_report(tmp_path, nothing)["suspects"] == [{"image_id": "g", "among_people": 1, "with_gold": 0}]
    empty_gold = TRUTH.assign(label="", rle="")
    assert whole_report(tmp_path, nothing, empty_gold)["suspects"] == []
    assert whole_report(tmp_path, {**nothing, ("g", "cat"): [COIN]}, empty_gold)["suspects"] == []


def test_an_answer_left_open_over_lunch_counts_as_the_longest(tmp_path: Path) -> None:
    ratings, regions = write_rated(tmp_path, {("g", "ann"): [COIN]})
    write_table(ratings, read_table(ratings, RATINGS).assign(lead_time_s=18_000.0))
    write_table(tmp_path / "gold.parquet", TRUTH)
    write_table(tmp_path / "events.parquet", empty(GOLD_EVENTS))
    gold = tmp_path / "gold.parquet", tmp_path / "events.parquet"
    known = write_catalog(tmp_path, {}), write_metadata(tmp_path, {})
    inputs = Inputs(ratings, regions, *write_earlier(tmp_path, {}), *gold, *known, tmp_path / "guidelines")
    run(inputs, tmp_path / "gold.json", PARAMS, 600.0, ALONE)
    assert read_json(tmp_path / "gold.json")["annotators"]["ann"]["median_seconds"] == 600


def test_no_gold_at_all(tmp_path: Path) -> None:
    found = report(tmp_path, {("a", "ann"): [COIN]}, empty(GOLD))
    assert (found["ann"]["skill"], found["ann"]["images"], found["ann"]["recall"]["value"]) == (0.5, 0, None)


def test_nobody_labelled_anything(tmp_path: Path) -> None:
    assert report(tmp_path, {}) == {}


def test_a_gold_mask_of_another_size_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gold mask of image g has 99 x 6 pixels"):
        report(tmp_path, {("g", "ann"): [COIN]}, TRUTH.assign(width=99))


@pytest.mark.slow
def test_gold_images_that_hang_together_are_one_witness(tmp_path: Path) -> None:
    """g1 and g2 come from one folder, h from another."""
    answers: Answers = {(image, "ann"): [COIN] if image != "g2" else [] for image in ("g1", "g2", "h")}
    truth = pd.concat([TRUTH.assign(image_id=image) for image in ("g1", "g2", "h")], ignore_index=True)
    both = (whole_report(tmp_path, answers, truth, rules=rules) for rules in (ALONE, GroupRules("^[^/]+", "", -1)))
    alone, found = (one["annotators"]["ann"] for one in both)
    assert (alone["presence_kappa"]["n"], found["presence_kappa"]["n"]) == (3, 2)
    assert alone["f1"]["value"] == found["f1"]["value"]
    assert (alone["f1"]["low"], alone["f1"]["high"]) != (found["f1"]["low"], found["f1"]["high"])
    one = whole_report(tmp_path, answers, truth, rules=GroupRules("", "", 0))["annotators"]["ann"]
    assert one["f1"]["reason"] == "no interval: all 3 images are of one group"


def test_nobody_is_judged_by_gold_of_a_class_that_has_another_name_now(tmp_path: Path) -> None:
    renamed = TRUTH.assign(label="saucer")
    with pytest.raises(InputError, match=r"gold image g holds 'saucer', which guidelines/classes.yaml does not name"):
        report(tmp_path, {("g", "ann"): [COIN]}, renamed)
    found = whole_report(tmp_path, {("g", "ann"): [COIN]}, renamed, events=("disputed",))
    assert found["annotators"]["ann"]["f1"]["reason"] == "labelled no gold image"


def test_people_who_agree_on_what_gold_does_not_know_make_no_gold_suspect(tmp_path: Path) -> None:
    cups: list[Box] = [("cup", 4, 5, 5, 8), ("cup", 5, 5, 6, 8)]
    narrow: Box = ("coin", 0, 0, 4, 3)
    answers = {("g", "ann"): [COIN, *cups], ("g", "bob"): [narrow, *cups], ("g", "cat"): [("coin", 0, 1, 4, 4), *cups]}
    void = pd.DataFrame([("g", "v", "", rle(4, 4, 6, 8), HEIGHT, WIDTH)], columns=list(GOLD))
    assert [one["image_id"] for one in whole_report(tmp_path, answers)["suspects"]] == ["g"]
    assert whole_report(tmp_path, answers, pd.concat([TRUTH, void], ignore_index=True))["suspects"] == []
