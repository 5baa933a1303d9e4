from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from datalab.adapters.files import read_json, read_table, write_json, write_table, write_text
from datalab.errors import InputError
from datalab.learning.metrics import overlap_counts
from datalab.rounds.proof import prove
from datalab.rounds.proof_inputs import batch_parts, judged_in, kept_confusions, past_rows, spent
from datalab.rounds.state import Round
from datalab.stages.evaluate import confusion_rows
from datalab.tables import ANNOTATIONS, BATCH, NEXT_BATCH, SURPRISE, empty
from datalab.workspace import Workspace
from tests.rounds.proof_history import PARAMS, ids_of, write_history

FIRST_MINUTES = (7 * 300 + 40 + 120) / 60
"""36 answers of 40, 50, 60, 70, 80 s in turn, and one on gold of 120 s."""


def values(rows: list[dict[str, Any]], name: str) -> list[float]:
    return [row[name]["value"] for row in rows]


def test_a_first_round_is_counted_and_has_no_forecast(tmp_path: Path) -> None:
    _, proof = write_history(tmp_path, 1)
    point = proof["point"]
    assert (point["labelled_images"], point["training_images"], point["test_images"]) == (36, 28, 8)
    assert point["annotator_minutes"] == pytest.approx(FIRST_MINUTES, abs=0.01)
    assert proof["verdict"] == {
        "value": "cannot tell yet",
        "reason": "1 of the 3 comparable rounds that a forecast needs",
    }
    assert proof["forecast"] == {"reason": proof["verdict"]["reason"], "rounds": [], "numbers": None}
    assert proof["hindsight"] == []
    assert proof["next_batch"]["images"] == 36
    assert proof["next_batch"]["minutes"] == pytest.approx(FIRST_MINUTES, abs=0.01)
    assert proof["next_batch"]["gain"]["value"] is None


@pytest.mark.slow
def test_five_rounds_have_a_curve_a_forecast_and_a_verdict(tmp_path: Path) -> None:
    _, proof = write_history(tmp_path, 5)
    rounds = proof["curve"]["rounds"]
    assert proof["curve"]["basis"] == "linked"
    assert [row["labelled_images"] for row in rounds] == [36, 72, 108, 144, 180]
    assert [row["annotator_minutes"] for row in rounds] == pytest.approx(
        [FIRST_MINUTES * turn for turn in range(1, 6)], abs=0.02
    )
    assert rounds[-1]["score"]["value"] == pytest.approx(rounds[-1]["miou"]["value"], abs=1e-6)
    assert all(row["score"]["value"] < row["miou"]["value"] for row in rounds[:-1])
    ahead = proof["forecast"]["rounds"]
    assert [(row["round"], row["labelled_images"]) for row in ahead] == [(5, 180), (6, 216), (7, 252), (8, 288)]
    gain = proof["next_batch"]["gain"]
    assert gain["value"] == pytest.approx(ahead[1]["miou"]["value"] - ahead[0]["miou"]["value"], abs=2e-6)
    assert gain["low"] < gain["value"] < gain["high"]
    assert f"{100 * gain['value']:.1f} points" in proof["verdict"]["reason"]


@pytest.mark.slow
def test_hindsight_says_what_was_said(tmp_path: Path) -> None:
    workspace, proof = write_history(tmp_path, 5)
    for row in proof["hindsight"]:
        then = read_json(workspace.reports / f"round-{row['round']:04d}.json")["proof"]
        assert row["verdict"] == then["verdict"]["value"]
        assert row["expected"]["value"] == pytest.approx(then["next_batch"]["gain"]["value"], abs=1e-5)
    assert [row["round"] for row in proof["hindsight"]] == [1, 2, 3, 4]
    scores = values(proof["curve"]["rounds"], "score")
    assert values(proof["hindsight"], "came") == pytest.approx(np.diff(scores).tolist(), abs=2e-6)


@pytest.mark.slow
def test_the_same_round_twice_says_the_same(tmp_path: Path) -> None:
    workspace, proof = write_history(tmp_path, 3)
    assert prove(workspace, Round(3, "g", "o")) == proof


@pytest.mark.slow
def test_reports_from_before_points_were_kept_are_counted(tmp_path: Path) -> None:
    workspace, _ = write_history(tmp_path, 4)
    figure = {"value": 0.4, "low": 0.3, "high": 0.5}
    none = {"value": None, "low": None, "high": None, "reason": "absent"}
    old = {"round": 1, "evaluation": {"miou": figure, "iou background": figure, "iou coin": none}, "test_images": 8}
    write_json(workspace.reports / "round-0001.json", old)
    kept_confusions(workspace, 1).unlink()
    (row,) = past_rows(workspace, 2, 600.0)
    assert (row["labelled_images"], row["training_images"], row["classes"]) == (36, None, ["background"])
    assert row["annotator_minutes"] == pytest.approx(FIRST_MINUTES, abs=0.01)
    proof = prove(workspace, Round(4, "g", "o"))
    assert [row["score"] is None for row in proof["curve"]["rounds"]] == [True, False, False, False]
    assert proof["curve"]["rounds"][0]["miou"] == figure


@pytest.mark.slow
def test_rounds_without_a_report_or_a_figure_are_left_out(tmp_path: Path) -> None:
    workspace, _ = write_history(tmp_path, 3)
    (workspace.reports / "round-0001.json").unlink()
    write_json(workspace.reports / "round-0002.json", {"round": 2})
    assert past_rows(workspace, 3, 600.0) == []
    assert len(prove(workspace, Round(3, "g", "o"))["curve"]["rounds"]) == 1


@pytest.mark.slow
def test_nothing_left_to_choose_is_the_end(tmp_path: Path) -> None:
    workspace, _ = write_history(tmp_path, 4)
    write_table(workspace.next_batch, empty(NEXT_BATCH))
    proof = prove(workspace, Round(4, "g", "o"))
    assert proof["verdict"] == {"value": "stop", "reason": "no image is left to be chosen"}
    assert proof["forecast"]["rounds"] == []


@pytest.mark.slow
def test_the_forecast_ends_with_the_pool(tmp_path: Path) -> None:
    _, proof = write_history(tmp_path, 3, pool=50)
    assert [row["labelled_images"] for row in proof["forecast"]["rounds"]] == [108, 144, 158]


def test_long_and_missing_times(tmp_path: Path) -> None:
    workspace, _ = write_history(tmp_path, 1)
    path = workspace.round_folder(1) / "annotations.parquet"
    answers = read_table(path, ANNOTATIONS)
    times = [5000.0, np.nan, 0.0, *[60.0] * (len(answers) - 3)]
    write_table(path, answers.assign(lead_time_s=times))
    assert spent(workspace, 1, 600.0) == {"annotator_minutes": 10.0 + len(answers) - 3, "untimed_answers": 2}
    write_table(path, answers.assign(lead_time_s=np.nan))
    assert spent(workspace, 1, 600.0) == {"annotator_minutes": None, "untimed_answers": 37}
    proof = prove(workspace, Round(1, "g", "o"))
    assert proof["next_batch"]["minutes"] is None


def test_the_control_compares_the_parts_of_each_batch(tmp_path: Path) -> None:
    _, proof = write_history(tmp_path, 2)
    found = proof["control"]
    assert found["round"]["images"] == {"chosen": 32, "random": 4}
    assert found["all"]["images"] == {"chosen": 64, "random": 8}
    hard = [0.45 + 0.02 * (place % 7) for place in range(36) if place % 9]
    easy = [0.25 + 0.02 * (place % 7) for place in range(0, 36, 9)]
    figures = found["round"]["surprise_per_image"]
    assert figures["chosen"]["value"] == pytest.approx(np.mean(hard), abs=1e-6)
    assert figures["random"]["value"] == pytest.approx(np.mean(easy), abs=1e-6)
    minutes = sum(40 + 10 * (place % 5) for place in range(0, 36, 9)) / 60
    assert found["round"]["surprise_per_minute"]["random"]["value"] == pytest.approx(sum(easy) / minutes, abs=1e-6)
    assert found["all"]["says"].startswith("the chosen images surprise the model more than random ones: +0.20 (+0.")


def test_an_image_that_was_asked_again_counts_in_its_last_batch(tmp_path: Path) -> None:
    workspace, _ = write_history(tmp_path, 2)
    path = workspace.round_folder(2) / "batch.parquet"
    batch = read_table(path, BATCH)
    skipped = batch.assign(image_id=[ids_of(1)[1], *batch["image_id"][1:]])
    write_table(path, skipped)
    known = read_table(workspace.surprise, SURPRISE)
    twice = pd.DataFrame([("0002", ids_of(1)[1], 0.9)], columns=list(SURPRISE))
    write_table(workspace.surprise, pd.concat([known, twice]))
    parts = batch_parts(workspace, 2, 600.0)
    assert [len(part.surprise) for part in parts[1]] == [31, 4]
    assert [len(part.surprise) for part in parts[2]] == [32, 4]
    assert parts[2][1].surprise[0] == 0.9


@pytest.mark.slow
def test_the_cold_start_is_compared_with_nothing(tmp_path: Path) -> None:
    """Its typical images are easy, and its control is twice as large: it would outweigh what the model chose."""
    workspace, _ = write_history(tmp_path, 2)
    path = workspace.round_folder(1) / "batch.parquet"
    batch = read_table(path, BATCH)
    write_table(path, batch.assign(reason=batch["reason"].replace("default", "cold_start")))
    found = prove(workspace, Round(2, "g", "o"))["control"]
    assert found["all"] == found["round"]
    assert found["all"]["images"] == {"chosen": 32, "random": 4}


@pytest.mark.parametrize(
    ("minutes", "reason", "count", "said"),
    [
        (5, "random", 3, True),
        (0, "random", 3, False),
        (5, "random", 4, False),
        (5, "default", 3, False),
        (5, "random", 0, False),
    ],
)
def test_minutes_that_pay_for_no_chosen_image_are_told(
    tmp_path: Path, minutes: int, reason: str, count: int, said: bool
) -> None:
    workspace, _ = write_history(tmp_path, 1)
    write_text(workspace.params, PARAMS.replace("minutes: 0", f"minutes: {minutes}"))
    write_table(workspace.next_batch, read_table(workspace.next_batch, NEXT_BATCH).head(count).assign(reason=reason))
    why = prove(workspace, Round(1, "g", "o"))["verdict"]["reason"]
    end = "; select.minutes pays for no chosen image: the next batch is 3 random ones, the least control"
    assert why.endswith(end) == ("select.minutes" in why) == said


def test_a_small_pool_is_no_lack_of_minutes(tmp_path: Path) -> None:
    workspace, _ = write_history(tmp_path, 1, pool=3)
    write_text(workspace.params, PARAMS.replace("minutes: 0", "minutes: 5"))
    write_table(workspace.next_batch, read_table(workspace.next_batch, NEXT_BATCH).assign(reason="random"))
    assert "select.minutes" not in prove(workspace, Round(1, "g", "o"))["verdict"]["reason"]


def test_what_a_reviewer_sent_back_is_in_neither_part(tmp_path: Path) -> None:
    workspace, _ = write_history(tmp_path, 1)
    path = workspace.round_folder(1) / "batch.parquet"
    batch = read_table(path, BATCH)
    sent = batch["image_id"].isin(ids_of(1)[1:6])
    write_table(path, batch.assign(reason=batch["reason"].mask(sent, "review")))
    chosen, random = batch_parts(workspace, 1, 600.0)[1]
    assert (len(chosen.surprise), len(random.surprise)) == (27, 4)
    write_table(path, batch.assign(reason="default"))
    says = prove(workspace, Round(1, "g", "o"))["control"]["round"]["says"]
    assert says == "whether the choice beats chance cannot be told: a part has fewer than 3 images to compare"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("resamples: 300", "resamples: 9"),
        ("ahead: 3", "ahead: 0"),
        ("points: 1.0", "points: -1.0"),
        ("_s: 600.0", "_s: 0.0"),
    ],
)
def test_wrong_numbers_are_one_line(tmp_path: Path, old: str, new: str) -> None:
    workspace, _ = write_history(tmp_path, 1)
    write_text(workspace.params, PARAMS.replace(old, new))
    with pytest.raises(InputError, match=r"proof\.\w+ is -?[\d.]+; it has to be at least [\d.]+$"):
        prove(workspace, Round(1, "g", "o"))


@pytest.mark.slow
def test_a_class_that_came_later_is_known_to_all_rounds(tmp_path: Path) -> None:
    workspace, _ = write_history(tmp_path, 3)
    rows = read_table(workspace.confusions, ("image_id", "truth", "predicted", "pixels"))
    later = pd.DataFrame([("r03-00", "spoon", "coin", 9)], columns=rows.columns)
    write_table(workspace.confusions, pd.concat([rows, later], ignore_index=True))
    proof = prove(workspace, Round(3, "g", "o"))
    assert proof["curve"]["basis"] == "linked"
    assert len(proof["hindsight"]) == 2


def test_what_is_read_of_the_kept_counts_grows_with_the_classes_and_not_with_their_square(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    names, images = tuple(f"class{place}" for place in range(40)), ["a", "b", "c"]
    write_table(workspace.dataset / "index.parquet", pd.DataFrame({"image_id": images, "group": ["a", "b", "a"]}))
    drawn = np.random.default_rng(0).integers(1, 900, (2, 3, 40, 40))
    drawn[0, 2] = 0  # this image was not among the first round's
    for number, counts in enumerate(drawn, start=1):
        write_table(kept_confusions(workspace, number), confusion_rows(images, counts, names))
    found = judged_in(workspace, [1, 2])
    by_name = np.argsort(names)
    assert (found.overlaps == overlap_counts(drawn)[:, :, by_name]).all()
    assert found.overlaps.nbytes == 2 * 3 * 40 * 3 * 8
    assert found.judged.tolist() == [[True, True, False], [True, True, True]]
    assert found.places.tolist() == [0, 1, 0]
