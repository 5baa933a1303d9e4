import numpy as np
import pandas as pd
import pytest
from scipy import stats

from datalab.errors import InputError
from datalab.learning.slices import compare, found_slices, named_slices

TRAITS = pd.DataFrame(
    {
        "brightness": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
        "has_crack": [True, False, False, True, False, False],
        "source": ["a", "a", "b", "b", "b", "c"],
    }
)


def test_the_ends_of_numbers_and_the_values_of_words_are_slices() -> None:
    found = found_slices(TRAITS)
    assert list(found) == ["brightness up to 0.267", "brightness from 0.433", "has_crack", "source: a", "source: b",
                           "source: c"]  # fmt: skip
    assert found["brightness up to 0.267"].tolist() == [True, True, False, False, False, False]
    assert found["source: b"].tolist() == [False, False, True, True, True, False]


def test_numbers_that_hardly_differ_are_no_slice() -> None:
    assert found_slices(pd.DataFrame({"width": [320, 320, 640]})) == {}


def test_a_rule_is_read() -> None:
    found = named_slices(TRAITS, {"dark cracks": "brightness < 0.35 and has_crack"})
    assert found["dark cracks"].tolist() == [True, False, False, False, False, False]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("brightnes < 1", "columns are brightness, has_crack, source"),
        ("brightness <", "cannot be read"),
        ("brightness + 1", "neither yes nor no"),
        ("@pd.read_pickle('x')", "cannot be read"),
    ],
)
def test_a_rule_that_cannot_be_read_is_one_line(rule: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        named_slices(TRAITS, {"mine": rule})
    assert "\n" not in str(caught.value)


def test_the_slice_where_the_model_fails_comes_first() -> None:
    rng = np.random.default_rng(0)
    iou = np.concatenate([rng.uniform(0.1, 0.3, 10), rng.uniform(0.6, 0.9, 40)])
    dark = np.arange(50) < 10
    table = compare(iou, {"even": np.arange(50) % 2 == 0, "dark": dark}, 5, np.random.default_rng(1), 999)
    assert list(table["slice"]) == ["dark", "even"]
    worst = table.iloc[0]
    assert worst["images"] == 10
    assert worst["iou"] == pytest.approx(iou[:10].mean())
    assert worst["elsewhere"] == pytest.approx(iou[10:].mean())
    assert worst["low"] < worst["iou"] < worst["high"]
    assert worst["q"] < 0.01
    assert table.iloc[1]["q"] > 0.05


def test_small_slices_undefined_images_and_small_rests_are_left_out() -> None:
    iou = np.array([0.1, 0.2, np.nan, 0.4, 0.5])
    first = np.array([True, True, True, False, False])
    assert list(compare(iou, {"first": first}, 2, np.random.default_rng(0), 99)["images"]) == [2]
    assert compare(iou, {"first": first, "all": np.ones(5, bool)}, 3, np.random.default_rng(0), 99).empty


def test_many_slices_of_nothing_are_seldom_called_worse() -> None:
    rng = np.random.default_rng(5)
    false_alarms = 0
    for _ in range(20):
        slices = {f"s{number}": rng.random(40) < 0.4 for number in range(12)}
        false_alarms += bool((compare(rng.random(40), slices, 5, rng, 199)["q"] < 0.05).any())
    assert false_alarms <= stats.binom.ppf(0.999, 20, 0.05)


def test_a_slice_that_is_better_than_the_rest_is_not_called_worse() -> None:
    iou = np.concatenate([0.9 + np.arange(10) / 1000, 0.3 + np.arange(30) / 1000])
    table = compare(iou, {"s": np.arange(40) < 10}, 5, np.random.default_rng(0), 199)
    assert table["p"].item() > 0.9


def test_the_border_of_a_third_belongs_to_it_and_two_against_two_are_enough() -> None:
    found = found_slices(pd.DataFrame({"n": [0.0, 1, 2, 2]}))
    assert found["n from 2"].tolist() == [False, False, True, True]
    halves = {"s": np.array([True, True, False, False])}
    assert len(compare(np.array([0.1, 0.2, 0.8, 0.9]), halves, 2, np.random.default_rng(0), 99)) == 1


def test_where_most_images_have_the_lowest_or_the_highest_number_the_rest_is_the_other_end() -> None:
    """Two thirds without foreground: their border is the lowest number, which all images reach."""
    traits = pd.DataFrame({"foreground": [0.0, 0, 0, 0, 0, 0.1, 0.4], "quality": [1.0, 1, 1, 1, 1, 0.2, 0.5]})
    found = found_slices(traits)
    rest = [False] * 5 + [True] * 2
    assert {name: inside.tolist() for name, inside in found.items()} == {
        "foreground up to 0": [not one for one in rest],
        "foreground above 0": rest,
        "quality below 1": rest,
        "quality from 1": [not one for one in rest],
    }
