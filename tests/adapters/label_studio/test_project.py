"""Titles that Label Studio takes."""

import pytest

from datalab.adapters.label_studio.project import valid_title


@pytest.mark.parametrize("title", ["abc", "magnetic-tile", "x" * 50])
def test_a_title_that_fits_is_kept(title: str) -> None:
    assert valid_title(title) == title


def test_others_are_made_to_fit_and_stay_apart() -> None:
    odd = ["", "a", "ab", "x" * 51, "x" * 52, "x" * 300]
    fitting = [valid_title(title) for title in odd]
    assert all(3 <= len(title) <= 50 for title in fitting)
    assert len(set(fitting)) == len(odd)
