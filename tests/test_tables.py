from pathlib import Path

import pandas as pd
import pytest

from datalab.adapters.files import read_table, write_table
from datalab.errors import InputError
from datalab.tables import NEXT_BATCH, empty, require, typed


def test_require_keeps_just_the_columns_in_their_order() -> None:
    table = pd.DataFrame({"b": [1], "c": [2], "a": [3]})
    assert list(require(table, ("a", "b"), "t").columns) == ["a", "b"]


def test_require_names_what_is_missing_and_what_is_there() -> None:
    with pytest.raises(InputError, match=r"votes\.parquet lacks the column\(s\) x, y; it has a"):
        require(pd.DataFrame({"a": [1]}), ("a", "x", "y"), "votes.parquet")


def test_empty_has_the_columns_and_no_row() -> None:
    assert list(empty(("a", "b")).columns) == ["a", "b"]
    assert empty(("a",)).empty


def test_a_table_without_rows_has_the_types_of_one_with_rows(tmp_path: Path) -> None:
    path, row = tmp_path / "a.parquet", {"image_id": "i", "rank": 1, "reason": "random", "uncertainty": 0.5}
    write_table(path, pd.DataFrame([row]))
    filled = read_table(path, NEXT_BATCH)
    write_table(path, pd.DataFrame([], columns=list(NEXT_BATCH)))
    assert read_table(path, NEXT_BATCH).dtypes.equals(filled.dtypes)


def test_rows_join_an_empty_table_without_a_change_of_type() -> None:
    rows = pd.DataFrame({"image_id": ["i"], "aided": [True], "overlap": [2]})
    assert pd.concat([empty(("image_id", "aided", "overlap")), rows]).dtypes.equals(rows.dtypes)


def test_what_has_a_type_of_its_own_keeps_it() -> None:
    assert typed(pd.DataFrame({"sharpness": [0.5], "rank": ["3"]})).dtypes.tolist() == ["float64", "int64"]


def test_a_file_whose_empty_columns_have_no_type_is_read_with_types() -> None:
    old = pd.DataFrame({"image_id": pd.Series(dtype=object), "rank": pd.Series(dtype=object)})
    assert require(old, ("image_id", "rank"), "t").dtypes.equals(empty(("image_id", "rank")).dtypes)
