from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from datalab.adapters.files import read_table, write_table
from datalab.errors import InputError
from datalab.learning.selection import STRATEGIES
from datalab.learning.strategies import Pool
from datalab.stages import select
from datalab.stages.select import Inputs, Params, run
from datalab.tables import (
    ANNOTATED_REGIONS,
    BATCH,
    CATALOG,
    CLASS_SCORES,
    EVIDENCE,
    NEXT_BATCH,
    RATINGS,
    REVIEWS,
    SCORES,
    SURPRISE,
    empty,
)
from datalab.workspace import Workspace
from tests.quality.test_reviews import said
from tests.stages.blob_workspace import image_ids
from tests.stages.vectors_kept import keep_all_vectors

PARAMS = Params(
    seed=0,
    strategy="default",
    images=5,
    minutes=0.0,
    random=0.2,
    candidates=4,
    stratified=0.66,
    cost_power=0.5,
    near_duplicate=1.0,
)


@pytest.fixture
def inputs(blobs: Workspace) -> Inputs:
    pool = image_ids(22)[12:]
    rows = [(image_id, place / 10, 0.1, 1 - place / 10, 0.1, place % 3) for place, image_id in enumerate(pool)]
    write_table(blobs.scores, pd.DataFrame(rows, columns=[*SCORES, *EVIDENCE]))
    labels = ("background", "disc", "square")
    by_class = [
        (image_id, label, float(one > 0) * place / 10, (one - 1) * place / 10)
        for place, image_id in enumerate(pool)
        for one, label in enumerate(labels)
    ]
    write_table(blobs.data / "class_scores.parquet", pd.DataFrame(by_class, columns=list(CLASS_SCORES)))
    write_table(blobs.surprise, empty(SURPRISE))
    write_table(blobs.reviews, empty(REVIEWS))
    return Inputs(
        blobs.scores,
        blobs.data / "class_scores.parquet",
        blobs.catalog,
        blobs.embeddings,
        blobs.ratings,
        blobs.reviews,
        blobs.regions,
        blobs.rounds,
        blobs.surprise,
    )


def chosen(inputs: Inputs, out: Path, params: Params = PARAMS) -> pd.DataFrame:
    run(inputs, out, params)
    return read_table(out, NEXT_BATCH)


def test_a_batch_comes_from_the_pool_with_all_reasons(inputs: Inputs, tmp_path: Path) -> None:
    batch = chosen(inputs, tmp_path / "next.parquet")
    assert Counter(batch["reason"]) == {"default": 4, "random": 1}
    assert set(batch["image_id"]) <= set(image_ids(22)[12:])
    assert batch["image_id"].is_unique
    again = chosen(inputs, tmp_path / "again.parquet")
    pd.testing.assert_frame_equal(batch, again)
    assert (tmp_path / "next.parquet").read_bytes() == (tmp_path / "again.parquet").read_bytes()


def test_a_copy_of_a_labelled_image_is_not_asked_about(inputs: Inputs, tmp_path: Path) -> None:
    catalog = read_table(inputs.catalog, CATALOG)
    group = [image_ids(1)[0] if image_id in image_ids(20)[12:] else image_id for image_id in catalog["image_id"]]
    write_table(inputs.catalog, catalog.assign(duplicate_group=group))
    batch = chosen(inputs, tmp_path / "next.parquet")
    assert sorted(batch["image_id"]) == image_ids(22)[20:]


def test_what_a_reviewer_left_out_is_not_asked_about(inputs: Inputs, tmp_path: Path) -> None:
    left_out = image_ids(20)[12:]
    write_table(inputs.reviews, said(*((image_id, "exclude") for image_id in left_out)))
    assert sorted(chosen(inputs, tmp_path / "next.parquet")["image_id"]) == image_ids(22)[20:]


def test_what_brought_no_answer_twice_leaves_its_place_to_others(inputs: Inputs, tmp_path: Path) -> None:
    top = chosen(inputs, tmp_path / "before.parquet")["image_id"].tolist()
    batch = pd.DataFrame([(image_id, "batch", 1, 0, "random") for image_id in top[:2]], columns=list(BATCH))
    write_table(inputs.rounds / "0001" / "batch.parquet", batch)
    assert chosen(inputs, tmp_path / "once.parquet")["image_id"].tolist() == top
    write_table(inputs.rounds / "0002" / "batch.parquet", batch)
    after = chosen(inputs, tmp_path / "twice.parquet")["image_id"].tolist()
    assert len(after) == len(top)
    assert not set(top[:2]) & set(after)


def test_an_empty_pool_gives_an_empty_table_with_its_types(inputs: Inputs, tmp_path: Path) -> None:
    write_table(inputs.scores, empty((*SCORES, *EVIDENCE)))
    write_table(inputs.class_scores, empty(CLASS_SCORES))
    batch = chosen(inputs, tmp_path / "next.parquet")
    assert batch.empty
    assert batch["rank"].dtype == np.int64


def test_nothing_labelled_still_chooses(inputs: Inputs, tmp_path: Path) -> None:
    write_table(inputs.ratings, empty(RATINGS))
    assert len(chosen(inputs, tmp_path / "next.parquet", replace(PARAMS, images=50))) == 10


@pytest.mark.parametrize("name", STRATEGIES)
def test_one_word_changes_the_strategy(inputs: Inputs, tmp_path: Path, name: str) -> None:
    batch = chosen(inputs, tmp_path / "next.parquet", replace(PARAMS, strategy=name))
    assert len(batch) == 5
    assert set(batch["reason"]) == {name, "random"}


def test_embeddings_of_another_model_are_refused(inputs: Inputs, tmp_path: Path) -> None:
    path = inputs.embeddings / f"{image_ids(22)[15]}.npy"
    np.save(path, np.ones((3, 4, 4), dtype=np.float16))
    with pytest.raises(InputError, match="of different models; run dvc repro embed"):
        run(inputs, tmp_path / "next.parquet", PARAMS)
    for image_id in image_ids(22)[12:]:
        np.save(inputs.embeddings / f"{image_id}.npy", np.ones((3, 4, 4), dtype=np.float16))
    with pytest.raises(InputError, match="of different models; run dvc repro embed"):
        run(inputs, tmp_path / "next.parquet", PARAMS)


@pytest.mark.parametrize("name", STRATEGIES)
def test_kept_vectors_choose_as_the_embeddings_do(inputs: Inputs, tmp_path: Path, name: str) -> None:
    params = replace(PARAMS, strategy=name)
    run(inputs, tmp_path / "computed.parquet", params)
    keep_all_vectors(inputs.catalog, inputs.embeddings)
    run(inputs, tmp_path / "kept.parquet", params)
    assert (tmp_path / "kept.parquet").read_bytes() == (tmp_path / "computed.parquet").read_bytes()


def test_rounds_in_which_choosing_found_nothing_shrink_the_chosen_part(inputs: Inputs, tmp_path: Path) -> None:
    rated = image_ids(12)
    rows = [("0001" if place < 6 else "0002", image_id, 0.2) for place, image_id in enumerate(rated)]
    wrong = pd.DataFrame(rows, columns=list(SURPRISE))
    write_table(inputs.surprise, wrong)
    for number, ids in (("0001", rated[:6]), ("0002", rated[6:])):
        batch = [(key, "batch", 1, place, ("default", "random")[place % 2]) for place, key in enumerate(ids)]
        write_table(inputs.rounds / number / "batch.parquet", pd.DataFrame(batch, columns=list(BATCH)))
    assert Counter(chosen(inputs, tmp_path / "next.parquet")["reason"]) == {"default": 2, "random": 3}
    write_table(inputs.surprise, wrong.assign(surprise=[0.9, 0.1] * 6))
    assert Counter(chosen(inputs, tmp_path / "next.parquet")["reason"]) == {"default": 4, "random": 1}
    write_table(inputs.surprise, wrong.assign(round_id="0001"))  # of the second round nothing is known
    assert Counter(chosen(inputs, tmp_path / "next.parquet")["reason"]) == {"default": 4, "random": 1}


def test_a_cold_start_that_found_nothing_leaves_the_chosen_part_alone(inputs: Inputs, tmp_path: Path) -> None:
    rated = image_ids(12)
    rows = [("0001" if place < 6 else "0002", image_id, 0.2) for place, image_id in enumerate(rated)]
    write_table(inputs.surprise, pd.DataFrame(rows, columns=list(SURPRISE)))
    for number, chosen_by, ids in (("0001", "cold_start", rated[:6]), ("0002", "default", rated[6:])):
        batch = [(key, "batch", 1, place, (chosen_by, "random")[place % 2]) for place, key in enumerate(ids)]
        write_table(inputs.rounds / number / "batch.parquet", pd.DataFrame(batch, columns=list(BATCH)))
    assert Counter(chosen(inputs, tmp_path / "next.parquet")["reason"]) == {"default": 4, "random": 1}


@pytest.mark.parametrize(
    "wrong", [{"images": 0}, {"candidates": 0}, {"random": -0.1}, {"strategy": "luck"}, {"minutes": -1.0}], ids=str
)
def test_wrong_numbers_are_one_line(inputs: Inputs, tmp_path: Path, wrong: dict[str, int | float]) -> None:
    with pytest.raises(InputError, match="select"):
        run(inputs, tmp_path / "next.parquet", replace(PARAMS, **wrong))  # type: ignore[arg-type]
    assert not (tmp_path / "next.parquet").exists()


def test_gold_is_no_label_that_a_model_learns_from(
    inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else every round's gold would flatten the shares of the classes, and look-alikes of gold would seem known."""
    seen: list[tuple[pd.DataFrame, Pool]] = []

    def watched(pool: pd.DataFrame, facts: Pool, *others: object) -> pd.DataFrame:
        seen.append((pool, facts))
        return pool.head(0).assign(rank=0, reason="")

    monkeypatch.setattr(select, "next_batch", watched)
    ids = image_ids(24)
    catalog = read_table(inputs.catalog, CATALOG)
    write_table(inputs.catalog, catalog.assign(duplicate_group=catalog["image_id"].replace({ids[21]: ids[22]})))
    run(inputs, tmp_path / "next.parquet", PARAMS)
    ratings, regions = read_table(inputs.ratings, RATINGS), read_table(inputs.regions, ANNOTATED_REGIONS)
    gold = ids[22:]
    asked = pd.DataFrame([(f"g{key}", "0001", key, "a@b.c", 99.0, "gold", 64, 48) for key in gold], columns=RATINGS)
    drawn = [regions.head(1).assign(image_id=key, annotation_id=f"g{key}", label="square") for key in gold]
    write_table(inputs.ratings, pd.concat([ratings, asked]))
    write_table(inputs.regions, pd.concat([regions, *drawn]))
    run(inputs, tmp_path / "next.parquet", PARAMS)
    (pool, before), (without_copy, after) = seen
    assert after.class_counts.tolist() == before.class_counts.tolist()
    np.testing.assert_array_equal(after.labelled, before.labelled)
    assert set(pool["image_id"]) - set(without_copy["image_id"]) == {ids[21]}  # people have seen a copy of it


def test_what_is_known_of_the_pool_is_in_the_order_of_its_rows(inputs: Inputs) -> None:
    pool = read_table(inputs.scores, (*SCORES, *EVIDENCE)).iloc[::-1].reset_index(drop=True)
    ratings, drawn = read_table(inputs.ratings, RATINGS), read_table(inputs.regions, ANNOTATED_REGIONS)
    few = drawn[(drawn["label"] == "disc") | drawn["image_id"].isin(drawn["image_id"].unique()[:2])]
    few = pd.concat([few, few.head(1).assign(region_id="another")])
    objects = few.groupby("annotation_id").size().reindex(ratings["annotation_id"]).fillna(0).to_numpy()
    # twice, since fewer than 20 ratings say nothing about costs
    timed, none = pd.concat([ratings.assign(lead_time_s=10 + 20 * objects)] * 2), np.zeros((0, 1), dtype=np.float32)
    facts = select._facts(pool, read_table(inputs.class_scores, CLASS_SCORES), none, none, timed, few)
    assert facts.class_scores is not None
    np.testing.assert_allclose(facts.class_scores, np.repeat(pool[["uncertainty"]].to_numpy(), 2, axis=1))
    assert facts.class_counts.tolist() == [few.query("label == 'disc'")["image_id"].nunique(), 2]
    np.testing.assert_allclose(facts.costs, 10 + 20 * pool["objects"])
