import json
from pathlib import Path

import pandas as pd
import pytest

from datalab.adapters.files import read_table, write_table
from datalab.errors import InputError
from datalab.stages import collect
from datalab.stages.collect import Inputs, Outputs, run
from datalab.tables import (
    ANNOTATED_REGIONS,
    ANNOTATIONS,
    ATTRIBUTES,
    FIRST_LABELS,
    GOLD,
    QUARANTINE,
    RATING_PROVENANCE,
    RATINGS,
    REVIEWS,
    empty,
)
from tests.quality.images import Box
from tests.quality.test_reviews import said
from tests.stages.rounds_folder import Answer, result_json, write_round

COIN: Box = ("coin", 0, 0, 4, 4)
CUP: Box = ("cup", 1, 1, 4, 4)


def collected(
    folder: Path, gold: tuple[str, ...] = (), reviews: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    truth = pd.DataFrame([(one, "t", "", "", 6, 8) for one in gold], columns=list(GOLD))
    write_table(folder / "gold.parquet", truth)
    write_table(folder / "reviews.parquet", empty(REVIEWS) if reviews is None else reviews)
    names = ("ratings", "regions", "attributes", "first", "earlier_ratings", "earlier_regions")
    outputs = Outputs(*(folder / f"{name}.parquet" for name in names))
    run(Inputs(folder, folder / "gold.parquet", folder / "reviews.parquet"), outputs)
    ratings = read_table(folder / "ratings.parquet", RATINGS)
    return ratings, read_table(folder / "regions.parquet", ANNOTATED_REGIONS)


def first_labels(folder: Path) -> list[list[str]]:
    table: list[list[str]] = read_table(folder / "first.parquet", FIRST_LABELS).to_numpy().tolist()
    return table


def test_ratings_regions_and_roles(tmp_path: Path) -> None:
    write_round(tmp_path, "0001", [("a", "ann", [COIN, COIN]), ("b", "ann", []), ("b", "bob", [COIN])], gold=("b",))
    ratings, regions = collected(tmp_path)
    assert ratings[["image_id", "annotator", "role"]].to_numpy().tolist() == [
        ["a", "ann", "batch"],
        ["b", "ann", "gold"],
        ["b", "bob", "gold"],
    ]
    assert regions["image_id"].tolist() == ["a", "a", "b"]
    assert regions["region_id"].is_unique
    assert set(regions["origin"]) == {"manual"}


def test_what_became_gold_later_is_gold_in_every_round(tmp_path: Path) -> None:
    write_round(tmp_path, "0001", [("a", "ann", [COIN]), ("b", "ann", [])])
    ratings, _ = collected(tmp_path, gold=("a",))
    assert ratings["role"].tolist() == ["gold", "batch"]


def test_the_newest_of_one_person_counts_and_skipped_ones_do_not(tmp_path: Path) -> None:
    answers: list[Answer] = [("a", "ann", [COIN]), ("a", "bob", [COIN]), ("a", "ann", []), ("b", "cat", [])]
    write_round(tmp_path, "0001", answers, skipped=1)
    ratings, regions = collected(tmp_path)
    assert ratings[["annotation_id", "annotator"]].to_numpy().tolist() == [[2, "bob"], [3, "ann"]]
    assert regions["annotation_id"].tolist() == [2]


def test_the_newest_is_what_was_changed_last_whatever_its_id(tmp_path: Path) -> None:
    write_round(tmp_path, "0001", [("a", "ann", [COIN]), ("a", "ann", [CUP])])
    path = tmp_path / "0001" / "annotations.parquet"
    annotations = read_table(path, ANNOTATIONS)
    write_table(path, annotations.assign(updated_at=annotations["updated_at"].tolist()[::-1]))
    ratings, regions = collected(tmp_path)
    assert ratings["annotation_id"].tolist() == [1]
    assert regions["label"].tolist() == ["coin"]


def test_the_splits_go_by_the_newest_answer_of_the_first_round(tmp_path: Path) -> None:
    write_round(tmp_path, "0001", [("a", "ann", [CUP]), ("a", "ann", [COIN])])
    collected(tmp_path)
    assert first_labels(tmp_path) == [["a", "0001", "coin"]]


def test_an_image_sent_again_is_what_was_said_in_its_newest_round(tmp_path: Path) -> None:
    write_round(tmp_path, "0001", [("a", "ann", [COIN]), ("a", "bob", [COIN]), ("b", "ann", [COIN])])
    write_round(tmp_path, "0002", [("a", "cat", [CUP])], first_id=10)
    ratings, regions = collected(tmp_path)
    assert ratings[["image_id", "annotator"]].to_numpy().tolist() == [["b", "ann"], ["a", "cat"]]
    assert regions["label"].tolist() == ["coin", "cup"]
    assert first_labels(tmp_path) == [["a", "0001", "coin"], ["b", "0001", "coin"]]


def test_of_gold_everybodys_newest_counts(tmp_path: Path) -> None:
    write_round(tmp_path, "0001", [("a", "ann", [COIN]), ("b", "ann", [])], gold=("a",))
    write_round(tmp_path, "0002", [("a", "cat", [CUP])], gold=("a",), first_id=10)
    ratings, _ = collected(tmp_path, gold=("a",))
    assert ratings.query("image_id == 'a'")["annotator"].tolist() == ["ann", "cat"]
    assert first_labels(tmp_path) == [["b", "0001", ""]]


@pytest.mark.slow
def test_what_was_said_about_gold_in_earlier_rounds_is_kept_apart(tmp_path: Path) -> None:
    write_round(tmp_path, "0001", [("a", "ann", [CUP]), ("a", "ann", [COIN]), ("b", "ann", [COIN])], gold=("a",))
    write_round(tmp_path, "0002", [("a", "ann", []), ("b", "ann", []), ("a", "bob", [COIN])], gold=("a",), first_id=10)
    ratings, _ = collected(tmp_path, gold=("a",))
    assert ratings["annotation_id"].tolist() == [10, 11, 12]
    earlier = read_table(tmp_path / "earlier_ratings.parquet", RATINGS)
    assert earlier[["annotation_id", "round_id", "annotator", "role"]].to_numpy().tolist() == [
        [2, "0001", "ann", "gold"]
    ]
    drawn = read_table(tmp_path / "earlier_regions.parquet", ANNOTATED_REGIONS)
    assert drawn[["annotation_id", "label"]].to_numpy().tolist() == [[2, "coin"]]
    collected(tmp_path, gold=("a",), reviews=said(("a", "exclude")))
    assert read_table(tmp_path / "earlier_ratings.parquet", RATINGS).empty


def test_what_a_reviewer_left_out_counts_for_nothing_but_the_splits(tmp_path: Path) -> None:
    write_round(tmp_path, "0001", [("a", "ann", [COIN]), ("b", "ann", [CUP])])
    ratings, regions = collected(tmp_path, reviews=said(("a", "exclude")))
    assert ratings["image_id"].tolist() == regions["image_id"].tolist() == ["b"]
    assert first_labels(tmp_path) == [["a", "0001", "coin"], ["b", "0001", "cup"]]


def test_an_image_sent_again_and_skipped_keeps_what_it_had(tmp_path: Path) -> None:
    write_round(tmp_path, "0001", [("a", "ann", [COIN])])
    write_round(tmp_path, "0002", [("b", "ann", [COIN]), ("a", "cat", [CUP])], first_id=10, skipped=1)
    ratings, _ = collected(tmp_path)
    assert ratings.query("image_id == 'a'")["annotator"].tolist() == ["ann"]


def correct(folder: Path, round_id: str, answer: Answer, annotation_id: int) -> None:
    """What the pull of round 0002 finds changed in an earlier one."""
    write_round(folder / "changed", round_id, [answer], first_id=annotation_id)
    table = read_table(folder / "changed" / round_id / "annotations.parquet", ANNOTATIONS)
    write_table(folder / "0002" / "corrections.parquet", table.assign(updated_at=f"{round_id}-99"))


@pytest.mark.slow
def test_a_correction_takes_the_place_of_what_it_was_and_leaves_the_splits(tmp_path: Path) -> None:
    write_round(tmp_path, "0001", [("a", "ann", [COIN]), ("b", "ann", [COIN])])
    write_round(tmp_path, "0002", [("c", "ann", [CUP])], first_id=3)
    collected(tmp_path)
    before = first_labels(tmp_path)
    correct(tmp_path, "0001", ("a", "ann", [CUP, CUP]), annotation_id=1)
    ratings, regions = collected(tmp_path)
    assert ratings["image_id"].tolist() == ["a", "b", "c"]
    assert regions[["image_id", "label"]].to_numpy().tolist() == [
        ["a", "cup"], ["a", "cup"], ["b", "coin"], ["c", "cup"],
    ]  # fmt: skip
    assert first_labels(tmp_path) == before


def test_a_corrected_answer_to_gold_stays_older_than_one_of_a_later_round(tmp_path: Path) -> None:
    write_round(tmp_path, "0001", [("g", "ann", [COIN])], gold=("g",))
    write_round(tmp_path, "0002", [("g", "ann", [CUP])], gold=("g",), first_id=3)
    correct(tmp_path, "0001", ("g", "ann", [COIN, COIN]), annotation_id=1)
    table = read_table(tmp_path / "0002" / "corrections.parquet", ANNOTATIONS)
    write_table(tmp_path / "0002" / "corrections.parquet", table.assign(updated_at="0009-00"))
    ratings, _ = collected(tmp_path)
    assert ratings["round_id"].tolist() == ["0002"]
    assert read_table(tmp_path / "earlier_ratings.parquet", RATINGS)["round_id"].tolist() == ["0001"]
    assert len(read_table(tmp_path / "earlier_regions.parquet", ANNOTATED_REGIONS)) == 2


def test_an_answer_that_was_set_aside_and_submitted_again_is_first_seen_by_the_round_that_read_it(
    tmp_path: Path,
) -> None:
    write_round(tmp_path, "0001", [("a", "ann", []), ("b", "ann", [COIN])])
    write_round(tmp_path, "0002", [("c", "ann", [CUP])], first_id=3)
    aside = (1, 0, "0001", "a", "ann", 12.0, "annotation", -1, "", "empty after long work", "")
    write_table(tmp_path / "0001" / "quarantine.parquet", pd.DataFrame([aside], columns=list(QUARANTINE)))
    correct(tmp_path, "0001", ("a", "ann", []), annotation_id=1)
    ratings, _ = collected(tmp_path)
    assert ratings["image_id"].tolist() == ["a", "b", "c"]
    assert first_labels(tmp_path) == [["a", "0002", ""], ["b", "0001", "coin"], ["c", "0002", "cup"]]


def test_a_correction_that_is_set_aside_leaves_nothing_of_what_it_was(tmp_path: Path) -> None:
    write_round(tmp_path, "0001", [("a", "ann", [COIN]), ("b", "ann", [COIN])])
    write_round(tmp_path, "0002", [("c", "ann", [CUP])], first_id=3)
    correct(tmp_path, "0001", ("a", "ann", [("plate", 0, 0, 4, 4)]), annotation_id=1)
    aside = (1, 0, "0001", "a", "ann", 12.0, "annotation", -1, "", "unknown class", "")
    write_table(tmp_path / "0002" / "quarantine.parquet", pd.DataFrame([aside], columns=list(QUARANTINE)))
    ratings, _ = collected(tmp_path)
    assert ratings["image_id"].tolist() == ["b", "c"]
    assert [image_id for image_id, *_ in first_labels(tmp_path)] == ["a", "b", "c"]


@pytest.mark.slow
def test_same_input_same_bytes(tmp_path: Path) -> None:
    write_round(tmp_path, "0001", [("a", "ann", [COIN]), ("b", "bob", [COIN])])
    collected(tmp_path)
    first = (tmp_path / "regions.parquet").read_bytes()
    collected(tmp_path)
    assert (tmp_path / "regions.parquet").read_bytes() == first


def test_drawings_are_read_last_a_file_at_a_time_and_it_is_told_how_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_round(tmp_path, "0001", [("a", "ann", [COIN]), ("a", "ann", [CUP])])
    write_round(tmp_path, "0002", [("b", "ann", [COIN])], first_id=10)
    asked: list[tuple[str, tuple[str, ...]]] = []

    def watched(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
        asked.append((path.parent.name, columns))
        return read_table(path, columns)

    monkeypatch.setattr(collect, "read_table", watched)
    _, regions = collected(tmp_path)
    assert regions["label"].tolist() == ["cup", "coin"]
    drawings = ("result_json",)
    assert [one for one in asked if "result_json" in one[1]] == [("0001", drawings), ("0002", drawings)]
    # the answer that counts no more is not looked at
    assert "collect 0/2\n" in capsys.readouterr().err


def broken(folder: Path, **changes: str | int) -> None:
    path = folder / "0001" / "annotations.parquet"
    write_table(path, read_table(path, ANNOTATIONS).assign(**changes))


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    write_round(tmp_path, "0001", [("a", "ann", [COIN])])
    broken(tmp_path, result_json=json.dumps([{"id": "x", "type": "keypointlabels", "value": {}}]))
    with pytest.raises(InputError, match="annotation 1 of ann on image a cannot be read: region x: type"):
        collected(tmp_path)


@pytest.mark.parametrize(("side", "size"), [("width", "99 x 6"), ("height", "8 x 99")])
def test_a_mask_of_another_size_is_named(tmp_path: Path, side: str, size: str) -> None:
    write_round(tmp_path, "0001", [("a", "ann", [COIN])])
    broken(tmp_path, **{side: 99})
    with pytest.raises(InputError, match=f"has a mask of 8 x 6 pixels, the image has {size}"):
        collected(tmp_path)


@pytest.mark.parametrize("damaged", ["{", "null", '{"type": "brushlabels"}', '[{"id": "x", "type": "brushlabels"}]'])
def test_damaged_json_is_named(tmp_path: Path, damaged: str) -> None:
    write_round(tmp_path, "0001", [("a", "ann", [COIN])])
    broken(tmp_path, result_json=damaged)
    with pytest.raises(InputError, match="annotation 1 of ann on image a cannot be read"):
        collected(tmp_path)
    assert not (tmp_path / "ratings.parquet").exists()


def test_a_region_without_a_class_is_named(tmp_path: Path) -> None:
    write_round(tmp_path, "0001", [("a", "ann", [("", 0, 0, 4, 4)])])
    with pytest.raises(InputError, match="annotation 1 of ann on image a has a region without a class"):
        collected(tmp_path)


def test_a_proposal_that_nobody_named_does_not_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_round(tmp_path, "0001", [("a", "ann", [("", 0, 0, 4, 4), COIN])])
    path = tmp_path / "0001" / "annotations.parquet"
    annotations = read_table(path, ANNOTATIONS)
    annotations["result_json"] = [text.replace('"manual"', '"prediction"') for text in annotations["result_json"]]
    write_table(path, annotations)
    _, regions = collected(tmp_path)
    assert list(regions["label"]) == ["coin"]
    assert "annotation 1 of ann on image a leaves a proposed region without a class" in caplog.text


def test_an_image_that_was_gold_once_is_gold(tmp_path: Path) -> None:
    write_round(tmp_path, "0001", [("a", "ann", [COIN])], gold=("a",))
    write_round(tmp_path, "0002", [("a", "bob", [COIN])], first_id=10)
    ratings, _ = collected(tmp_path)
    assert ratings["role"].tolist() == ["gold", "gold"]


def test_no_annotation_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no annotation yet"):
        collected(tmp_path)


def test_what_is_in_quarantine_is_left_out_and_nothing_else(tmp_path: Path) -> None:
    answers = [("a", "ann", [COIN]), ("a", "bob", [COIN, ("cup", 1, 1, 3, 3), COIN]), ("b", "ann", [])]
    write_round(tmp_path, "0001", answers)
    write_round(tmp_path, "0002", [("c", "ann", [COIN, COIN])], first_id=10)
    rows = [
        (1, 0, "0001", "a", "ann", 12.0, "annotation", -1, "", "unknown class", ""),
        (2, 1, "0001", "a", "bob", 12.0, "region", 2, "r2", "duplicate region", ""),
    ]
    write_table(tmp_path / "0001" / "quarantine.parquet", pd.DataFrame(rows, columns=list(QUARANTINE)))
    write_table(tmp_path / "0002" / "quarantine.parquet", pd.DataFrame([], columns=list(QUARANTINE)))
    ratings, regions = collected(tmp_path)
    assert ratings[["image_id", "annotator"]].to_numpy().tolist() == [["a", "bob"], ["b", "ann"], ["c", "ann"]]
    assert regions[["image_id", "annotator", "label"]].to_numpy().tolist() == [
        ["a", "bob", "coin"],
        ["a", "bob", "cup"],
        ["c", "ann", "coin"],
        ["c", "ann", "coin"],
    ]


def test_answers_about_regions_that_count_are_kept(tmp_path: Path) -> None:
    write_round(tmp_path, "0001", [("a", "ann", [COIN, CUP])])
    results = json.loads(result_json([COIN, CUP]))
    of_cup = {"id": "r1", "type": "choices", "from_name": "attribute_2_state", "value": {"choices": ["whole"]}}
    broken(tmp_path, result_json=json.dumps([*results, of_cup, {**of_cup, "id": "erased"}]))
    collected(tmp_path)
    table = read_table(tmp_path / "attributes.parquet", ATTRIBUTES).loc[:, list(ATTRIBUTES)]
    assert table.to_numpy().tolist() == [[1, "ann", "a", "1-1", "cup", 2, "state", "whole"]]
    broken(tmp_path, result_json=json.dumps([*results, {**of_cup, "value": {}}]))
    with pytest.raises(InputError, match="annotation 1 of ann: the answer to 'attribute_2_state' is damaged"):
        collected(tmp_path)


def test_ids_that_begin_anew_are_kept_apart(tmp_path: Path) -> None:
    """Label Studio's database was made anew between the rounds."""
    write_round(tmp_path, "0001", [("a", "ann", [COIN])])
    write_round(tmp_path, "0002", [("b", "ann", [CUP]), ("c", "ann", [COIN])])
    ratings, regions = collected(tmp_path)
    assert ratings["annotation_id"].is_unique and regions["region_id"].is_unique
    drawn = regions.merge(ratings[["annotation_id", "image_id"]], on="annotation_id", suffixes=("", "_rated"))
    assert drawn[["image_id", "image_id_rated", "label"]].to_numpy().tolist() == [
        ["a", "a", "coin"], ["c", "c", "coin"], ["b", "b", "cup"],
    ]  # fmt: skip
    assert ratings["annotation_id"].min() == 1


def test_a_rating_has_the_guidelines_that_its_task_was_made_with(tmp_path: Path) -> None:
    write_round(tmp_path, "0001", [("a", "ann", [COIN]), ("b", "ann", [COIN])])
    path = tmp_path / "0001" / "annotations.parquet"
    write_table(path, read_table(path, ANNOTATIONS).assign(guideline_version=["v1", "v2"]))
    collected(tmp_path)
    table = read_table(tmp_path / "ratings.parquet", ("image_id", *RATING_PROVENANCE))
    assert table.to_numpy().tolist() == [["a", "v1"], ["b", "v2"]]
