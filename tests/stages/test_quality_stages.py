"""agree, score_gold and consensus behind collect, on a round typed by hand."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from datalab.adapters.files import read_json, read_table, write_table
from datalab.stages import agree, collect, consensus, score_gold
from datalab.tables import CONSENSUS, DECISIONS, GOLD, GOLD_EVENTS, REVIEWS, empty
from tests.quality.images import HEIGHT, WIDTH, Box, rle
from tests.stages.rated_folder import ALONE, write_catalog, write_metadata
from tests.stages.rounds_folder import Answer, write_round

COIN: Box = ("coin", 0, 0, 4, 4)
NARROW: Box = ("coin", 0, 0, 4, 3)
CUP: Box = ("cup", 4, 5, 6, 8)
PEOPLE = ("ann", "bob", "cat")
CLASSES = """classes: [{id: 1, name: coin, color: "#ff0000"}, {id: 2, name: cup, color: "#00ff00"}]"""
AGREE = agree.Params(1, 0.5, least_images=50, least_of_class=10, reliable=0.8, small_share=0.1, large_share=0.3)

SCORE = score_gold.Params(2, 0.5, 0.1, 20, 0.8, 0.5, 1, 1.5, 0.1, suspect_gap=0.3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "guidelines").mkdir()
    (tmp_path / "guidelines" / "classes.yaml").write_text(CLASSES)
    return tmp_path


def run_stages(folder: Path, answers: list[Answer], gold: pd.DataFrame) -> tuple[Any, Any, pd.DataFrame]:
    write_round(folder / "rounds", "0001", answers, gold=tuple(gold["image_id"]))
    write_table(folder / "gold.parquet", gold)
    ratings, regions = folder / "ratings.parquet", folder / "regions.parquet"
    write_table(folder / "reviews.parquet", empty(REVIEWS))
    taken = collect.Inputs(folder / "rounds", folder / "gold.parquet", folder / "reviews.parquet")
    earlier = folder / "earlier_ratings.parquet", folder / "earlier_regions.parquet"
    others = folder / "attributes.parquet", folder / "first.parquet"
    collect.run(taken, collect.Outputs(ratings, regions, *others, *earlier))
    known = write_catalog(folder, {}), write_metadata(folder, {})
    rated = agree.Inputs(ratings, regions, folder / "attributes.parquet", *known, folder / "guidelines")
    agree.run(rated, folder / "pairs.parquet", folder / "agreement.json", AGREE, ALONE)
    write_table(folder / "events.parquet", empty(GOLD_EVENTS))
    gold_files = folder / "gold.parquet", folder / "events.parquet"
    on_gold = score_gold.Inputs(ratings, regions, *earlier, *gold_files, *known, folder / "guidelines")
    score_gold.run(on_gold, folder / "gold.json", SCORE, 600.0, ALONE)
    write_table(folder / "decisions.parquet", empty(DECISIONS))
    inputs = consensus.Inputs(ratings, regions, folder / "gold.json", folder / "decisions.parquet")
    names = ("consensus.parquet", "adjudication.parquet", "disagreement", "consensus.json")
    outputs = consensus.Outputs(*(folder / name for name in names))
    consensus.run(inputs, outputs, consensus.Params(0.5, 0.8, "skill_weighted", "dawid_skene"))
    merged = read_table(folder / "consensus.parquet", CONSENSUS)
    return read_json(folder / "agreement.json"), read_json(folder / "gold.json")["annotators"], merged


def gold_of(image_id: str) -> pd.DataFrame:
    return pd.DataFrame([(image_id, "t", "coin", rle(0, 0, 4, 4), HEIGHT, WIDTH)], columns=list(GOLD))


@pytest.mark.slow
def test_a_whole_round(folder: Path) -> None:
    answers: list[Answer] = [(image, who, [COIN, CUP]) for image in "ab" for who in PEOPLE]
    answers += [("g", "ann", [COIN]), ("g", "bob", [NARROW]), ("g", "cat", [])]
    agreement, gold, merged = run_stages(folder, answers, gold_of("g"))
    assert agreement["double_labelled_images"] == 3
    assert agreement["verdict"] == {"value": None, "reason": "3 double-labelled images; a verdict needs 50"}
    assert set(agreement["per_pair"]) == {"ann | bob", "ann | cat", "bob | cat"}
    assert agreement["per_pair"]["ann | bob"]["objects"]["value"] == pytest.approx((1 + 1 + 0.75) / 3, abs=1e-6)
    assert [gold[who]["f1"]["value"] for who in PEOPLE] == [1, 1, 0]
    assert gold["bob"]["mean_iou"]["value"] == 0.75
    assert set(merged["image_id"]) == {"a", "b"}
    assert merged["votes"].tolist() == [3, 3, 3, 3]


@pytest.mark.slow
def test_one_person_and_no_gold(folder: Path) -> None:
    agreement, gold, merged = run_stages(folder, [("a", "ann", [COIN])], empty(GOLD))
    assert agreement["figures"]["objects (matched IoU)"]["value"] is None
    assert gold["ann"]["f1"]["value"] is None
    assert gold["ann"]["f1"]["reason"] == "labelled no gold image"
    assert len(merged) == 1


@pytest.mark.slow
def test_everybody_saw_nothing(folder: Path) -> None:
    agreement, _, merged = run_stages(folder, [("a", who, []) for who in PEOPLE], empty(GOLD))
    assert agreement["figures"]["objects (matched IoU)"]["value"] is None
    assert merged.empty


@pytest.mark.slow
def test_same_input_same_bytes(folder: Path) -> None:
    answers: list[Answer] = [(image, who, [COIN, CUP]) for image in "ab" for who in PEOPLE]
    answers += [("g", "ann", [COIN]), ("g", "bob", [NARROW]), ("g", "cat", [])]
    names = ("agreement.json", "gold.json", "pairs.parquet", "consensus.parquet", "adjudication.parquet")
    run_stages(folder, answers, gold_of("g"))
    first = {name: (folder / name).read_bytes() for name in names}
    run_stages(folder, answers, gold_of("g"))
    assert {name: (folder / name).read_bytes() for name in names} == first
