from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from datalab.adapters.files import read_table, write_table
from datalab.errors import InputError
from datalab.stages.select import Inputs, Params, run
from datalab.tables import CATALOG, NEXT_BATCH, RATINGS, REVIEWS, SCORES, empty
from datalab.workspace import Workspace
from tests.quality.test_reviews import said
from tests.stages.blob_workspace import image_ids

PARAMS = Params(seed=0, images=5, diversity=0.2, random=0.2, candidates=4)


@pytest.fixture
def inputs(blobs: Workspace) -> Inputs:
    pool = image_ids(22)[12:]
    rows = [(image_id, place / 10, 0.1) for place, image_id in enumerate(pool)]
    write_table(blobs.scores, pd.DataFrame(rows, columns=list(SCORES)))
    write_table(blobs.reviews, empty(REVIEWS))
    return Inputs(blobs.scores, blobs.catalog, blobs.embeddings, blobs.ratings, blobs.reviews)


def chosen(inputs: Inputs, out: Path, params: Params = PARAMS) -> pd.DataFrame:
    run(inputs, out, params)
    return read_table(out, NEXT_BATCH)


def test_a_batch_comes_from_the_pool_with_all_reasons(inputs: Inputs, tmp_path: Path) -> None:
    batch = chosen(inputs, tmp_path / "next.parquet")
    assert Counter(batch["reason"]) == {"uncertainty": 3, "diversity": 1, "random": 1}
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


def test_an_empty_pool_gives_an_empty_table_with_its_types(inputs: Inputs, tmp_path: Path) -> None:
    write_table(inputs.scores, empty(SCORES))
    batch = chosen(inputs, tmp_path / "next.parquet")
    assert batch.empty
    assert batch["rank"].dtype == np.int64


def test_nothing_labelled_still_chooses(inputs: Inputs, tmp_path: Path) -> None:
    write_table(inputs.ratings, empty(RATINGS))
    assert len(chosen(inputs, tmp_path / "next.parquet", replace(PARAMS, images=50))) == 10


@pytest.mark.parametrize(
    "wrong", [{"images": 0}, {"candidates": 0}, {"random": -0.1}, {"random": 0.7, "diversity": 0.5}], ids=str
)
def test_wrong_numbers_are_one_line(inputs: Inputs, tmp_path: Path, wrong: dict[str, int | float]) -> None:
    with pytest.raises(InputError, match="select"):
        run(inputs, tmp_path / "next.parquet", replace(PARAMS, **wrong))  # type: ignore[arg-type]
    assert not (tmp_path / "next.parquet").exists()
