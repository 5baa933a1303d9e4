from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from datalab.adapters.files import read_json, read_table, write_table
from datalab.stages.proposal_benefit import Inputs, Params, run
from datalab.tables import BATCH, GOLD, GOLD_EVENTS, REGIONS, ROUND_BATCH
from tests.quality.images import HEIGHT, WIDTH, Box, rle, tables

COIN: Box = ("coin", 0, 0, 4, 4)
TRUTH = pd.DataFrame([("g", "t", "coin", rle(0, 0, 4, 4), HEIGHT, WIDTH)], columns=list(GOLD))


def write_world(folder: Path, aided: bool = True) -> None:
    answers = {("a", "ann"): [COIN], ("b", "ann"): [COIN, COIN], ("g", "ann"): [COIN], ("e", "ann"): []}
    ratings, regions = tables(answers)
    write_table(folder / "ratings.parquet", ratings)
    write_table(folder / "regions.parquet", regions.assign(origin="proposal"))
    write_table(folder / "gold.parquet", TRUTH)
    roles = {"g": "gold"}
    batch = [
        (one, roles.get(one, "batch"), 1, rank, "random", one not in ("b", "e")) for rank, one in enumerate("abge")
    ]
    table = pd.DataFrame(batch, columns=list(ROUND_BATCH))
    write_table(folder / "rounds" / "0001" / "batch.parquet", table if aided else table.loc[:, list(BATCH)])
    proposals = pd.DataFrame([("a", "a-p0", "coin", rle(0, 0, 4, 2), HEIGHT, WIDTH)], columns=list(REGIONS))
    write_table(folder / "rounds" / "0001" / "proposals.parquet", proposals.assign(decision="propose"))


def report(folder: Path, *events: tuple[str, str]) -> Any:
    """`events`: (image, action), in round 0001."""
    ratings, regions, gold, ledger = (folder / f"{name}.parquet" for name in ("ratings", "regions", "gold", "events"))
    rows = [(image, action, "because", "eve", "0001", "2026-01-01") for image, action in events]
    write_table(ledger, pd.DataFrame(rows, columns=list(GOLD_EVENTS)))
    params = Params(seed=4, iou_threshold=0.5, least_tasks=2, longest_answer_s=12.5)
    run(Inputs(folder / "rounds", [ratings], [regions], gold, ledger), folder / "out.json", params)
    return read_json(folder / "out.json")


def test_a_round_has_its_figures_and_all_rounds_theirs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_world(tmp_path)
    found = report(tmp_path)
    one = found["rounds"]["0001"]
    assert one["tasks"] == {"with": 2, "without": 2}
    assert one["seconds_per_object"]["with"]["value"] == 10  # not of gold
    # the last one took 13 seconds
    assert one["seconds_per_object"]["without"]["value"] == (11 + 12.5) / 2
    assert one["edits"]["iou"]["value"] == 0.5
    assert one["gold_f1"]["with"]["value"] == 1
    assert one["gold_f1"]["without"]["value"] is None
    assert found["all"]["tasks"] == one["tasks"]
    assert "proposal benefit 0/1\n" in capsys.readouterr().err


def test_where_gold_does_not_know_the_class_nothing_is_missed_and_nothing_too_much(tmp_path: Path) -> None:
    write_world(tmp_path)
    ratings, regions = tables({("g", "ann"): [COIN, ("cup", 4, 5, 6, 8)]})
    write_table(tmp_path / "ratings.parquet", ratings)
    write_table(tmp_path / "regions.parquet", regions.assign(origin="manual"))
    assert report(tmp_path)["rounds"]["0001"]["gold_f1"]["with"]["value"] == pytest.approx(2 / 3, abs=1e-6)
    void = TRUTH.assign(region_id="v", label="", rle=rle(4, 5, 6, 8))
    write_table(tmp_path / "gold.parquet", pd.concat([TRUTH, void], ignore_index=True))
    assert report(tmp_path)["rounds"]["0001"]["gold_f1"]["with"]["value"] == 1


def test_gold_in_doubt_judges_nobody_and_is_no_task_of_the_batch(tmp_path: Path) -> None:
    write_world(tmp_path)
    found = report(tmp_path, ("g", "contested"))["all"]
    assert found["gold_f1"]["with"]["value"] is None
    assert found["tasks"] == {"with": 1, "without": 2}


def test_what_a_reviewer_sent_back_does_not_count(tmp_path: Path) -> None:
    write_world(tmp_path)
    path = tmp_path / "rounds" / "0001" / "batch.parquet"
    batch = read_table(path, ROUND_BATCH)
    write_table(path, batch.assign(reason=batch["reason"].where(batch["image_id"] != "a", "review")))
    assert report(tmp_path)["all"]["tasks"] == {"with": 1, "without": 2}


def test_what_was_said_before_an_image_became_gold_is_an_answer_like_others(tmp_path: Path) -> None:
    write_world(tmp_path)
    truth = TRUTH.assign(image_id="a", region_id="t2")
    write_table(tmp_path / "gold.parquet", pd.concat([TRUTH, truth], ignore_index=True))
    found = report(tmp_path, ("a", "added"))["all"]
    assert found["gold_f1"]["with"]["n"] == 1
    assert found["seconds_per_object"]["with"]["value"] == 10
    assert found["tasks"] == {"with": 2, "without": 2}


def test_a_proposal_that_was_accepted_by_itself_is_no_edit(tmp_path: Path) -> None:
    write_world(tmp_path)
    path = tmp_path / "rounds" / "0001" / "proposals.parquet"
    accepted = read_table(path, (), others=True).assign(decision="accept")
    write_table(path, accepted)
    assert report(tmp_path)["all"]["edits"]["iou"]["reason"] == "no proposal was kept or edited"


def test_a_round_of_before_is_left_out(tmp_path: Path) -> None:
    write_world(tmp_path, aided=False)
    found = report(tmp_path)
    assert found["rounds"] == {}
    assert found["all"]["seconds_per_object"]["with"]["value"] is None
