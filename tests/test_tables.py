import pandas as pd
import pytest

from datalab.errors import InputError
from datalab.tables import empty, require


def test_require_keeps_just_the_columns_in_their_order() -> None:
    table = pd.DataFrame({"b": [1], "c": [2], "a": [3]})
    assert list(require(table, ("a", "b"), "t").columns) == ["a", "b"]


def test_require_names_what_is_missing_and_what_is_there() -> None:
    with pytest.raises(InputError, match=r"votes\.parquet lacks the column\(s\) x, y; it has a"):
        require(pd.DataFrame({"a": [1]}), ("a", "x", "y"), "votes.parquet")


def test_empty_has_the_columns_and_no_row() -> None:
    assert list(empty(("a", "b")).columns) == ["a", "b"]
    assert empty(("a",)).empty
