import logging

import pytest

from datalab.adapters.review_views import slice_views


def slug(name: str) -> str:
    """As FiftyOne's: what is no letter and no digit of ASCII is left out."""
    return "".join(letter for letter in name.lower() if letter.isascii() and letter.isalnum())


def test_a_view_is_named_after_its_slice() -> None:
    assert slice_views(["slice: dark", "slice: wet"], ["worst first"], slug) == {
        "slice: dark": "slice: dark",
        "slice: wet": "slice: wet",
    }


def test_slices_whose_names_are_one_are_told_apart_and_stay_so() -> None:
    views = slice_views(["slice: dark", "slice: 夜", "slice: 雨"], [], slug)
    assert sorted(views.values()) == ["slice: dark", "slice: 夜", "slice: 雨"]
    assert len({slug(name) for name in views}) == 3
    assert views["slice: dark"] == "slice: dark"
    again = slice_views(["slice: 夜", "slice: <"], [], slug)
    assert {name for name, tag in again.items() if tag == "slice: 夜"} <= set(views)


def test_a_persons_view_of_the_same_slug_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert slice_views(["slice: dark", "slice: wet"], ["Slice DARK"], slug) == {"slice: wet": "slice: wet"}
    assert "'slice: dark' has no saved view: to FiftyOne it is the same as 'Slice DARK'" in caplog.text
