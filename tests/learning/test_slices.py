import numpy as np
import pandas as pd
import pytest
from scipy import stats

from datalab.errors import InputError
from datalab.learning.slices import (
    MOST_PAIRS,
    Floats,
    Pairs,
    compare,
    found_pairs,
    found_slices,
    named_slices,
    worse_slices,
)

TRAITS = pd.DataFrame(
    {
        "brightness": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
        "has_crack": [True, False, False, True, False, False],
        "source": ["a", "a", "b", "b", "b", "c"],
    }
)


def alone(iou: Floats) -> list[str]:
    """Every image a group of its own."""
    return [str(place) for place in range(len(iou))]


def test_the_ends_of_numbers_and_the_values_of_words_are_slices() -> None:
    found = found_slices(TRAITS, 2)
    assert list(found) == ["brightness up to 0.267", "brightness from 0.433", "has_crack", "source: a", "source: b",
                           "source: c"]  # fmt: skip
    assert found["brightness up to 0.267"].tolist() == [True, True, False, False, False, False]
    assert found["source: b"].tolist() == [False, False, True, True, True, False]


def test_numbers_that_hardly_differ_are_no_slice() -> None:
    assert found_slices(pd.DataFrame({"width": [320, 320, 640]}), 2) == {}


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
    table = compare(iou, alone(iou), {"even": np.arange(50) % 2 == 0, "dark": dark}, 5, np.random.default_rng(1), 999)
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
    assert list(compare(iou, alone(iou), {"first": first}, 2, np.random.default_rng(0), 99)["images"]) == [2]
    assert compare(iou, alone(iou), {"first": first, "all": np.ones(5, bool)}, 3, np.random.default_rng(0), 99).empty


def test_many_slices_of_nothing_are_seldom_called_worse() -> None:
    rng = np.random.default_rng(5)
    false_alarms = 0
    for _ in range(20):
        slices = {f"s{number}": rng.random(40) < 0.4 for number in range(12)}
        values = rng.random(40)
        false_alarms += bool((compare(values, alone(values), slices, 5, rng, 199)["q"] < 0.05).any())
    assert false_alarms <= stats.binom.ppf(0.999, 20, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["singles beside bursts", "a slice that varies"])
def test_parts_that_vary_differently_are_not_called_worse_by_that(kind: str) -> None:
    """Ten single shots and thirty bursts of twelve of the same distribution; eight images of the same mean that spread
    four times as far. A permutation of plain means called either worse in 18% of 200."""
    alarms = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        if kind == "singles beside bursts":
            groups = [*(f"a{number}" for number in range(10)), *np.repeat([f"b{number}" for number in range(30)], 12)]
            a, values = np.array([name[0] == "a" for name in groups]), rng.normal(0.7, 0.15, 370)
        else:
            a = np.arange(48) < 8
            groups, values = alone(a.astype(np.float64)), rng.normal(0.7, np.where(a, 0.2, 0.05))
        table = compare(values, groups, {"a": a, "b": ~a}, 8, rng, 199)
        alarms += bool((table["q"] < 0.05).any())
    # a t of eight against forty is no exact one: a few in a hundred more than 5%
    assert alarms <= 0.11 * 120


def test_a_slice_that_is_a_little_worse_is_still_found() -> None:
    found = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        a = np.arange(48) < 8
        values = rng.normal(0.7, 0.1, 48) - 0.12 * a
        found += bool((compare(values, alone(values), {"a": a}, 8, rng, 199)["q"] < 0.05).any())
    assert found >= 0.75 * 60


def test_images_that_all_score_the_same_are_no_slice() -> None:
    values = np.full(20, 0.7)
    table = compare(values, alone(values), {"s": np.arange(20) < 10}, 5, np.random.default_rng(0), 99)
    assert table["p"].item() == 1


@pytest.mark.slow
def test_frames_of_a_clip_are_one_witness() -> None:
    """Ten clips of ten frames; what is dark is so for a whole clip, and has nothing to do with the IoU."""
    rng = np.random.default_rng(7)
    clips = [f"clip {place // 10}" for place in range(100)]
    alarms = {"clips": 0, "frames": 0}
    for _ in range(40):
        iou = np.repeat(rng.normal(0.7, 0.1, 10), 10) + rng.normal(0, 0.03, 100)
        dark = np.repeat(rng.permutation(10) < 5, 10)
        for name, groups in (("clips", clips), ("frames", alone(iou))):
            table = compare(iou, groups, {"dark": dark, "bright": ~dark}, 4, np.random.default_rng(0), 199)
            alarms[name] += bool((table["q"] < 0.05).any())
    assert alarms["clips"] <= stats.binom.ppf(0.999, 40, 0.05)
    assert alarms["frames"] > 10


def test_a_group_is_in_a_slice_where_most_of_its_images_are() -> None:
    iou = np.array([0.1, 0.2, 0.3, 0.2, 0.8, 0.9, 0.7, 0.8])
    groups = ["a", "a", "a", "b", "c", "c", "c", "d"]
    inside = np.array([True, True, False, True, True, False, False, False])
    table = compare(iou, groups, {"s": inside}, 2, np.random.default_rng(0), 199)
    # four images; of the groups a and b are inside, c and d outside, each by its mean
    assert table["images"].item() == 4
    assert table["iou"].item() == pytest.approx((0.2 + 0.2) / 2)
    assert table["elsewhere"].item() == pytest.approx((0.8 + 0.8) / 2)
    assert table["p"].item() == pytest.approx(1 / 6, abs=0.1)
    assert compare(iou, groups, {"s": inside}, 3, np.random.default_rng(0), 199).empty


def test_a_slice_that_is_better_than_the_rest_is_not_called_worse() -> None:
    iou = np.concatenate([0.9 + np.arange(10) / 1000, 0.3 + np.arange(30) / 1000])
    table = compare(iou, alone(iou), {"s": np.arange(40) < 10}, 5, np.random.default_rng(0), 199)
    assert table["p"].item() > 0.9


def test_the_border_of_a_third_belongs_to_it_and_two_against_two_are_enough() -> None:
    found = found_slices(pd.DataFrame({"n": [0.0, 1, 2, 2]}), 2)
    assert found["n from 2"].tolist() == [False, False, True, True]
    halves = {"s": np.array([True, True, False, False])}
    four = np.array([0.1, 0.2, 0.8, 0.9])
    assert len(compare(four, alone(four), halves, 2, np.random.default_rng(0), 99)) == 1


def test_where_most_images_have_the_lowest_or_the_highest_number_the_rest_is_the_other_end() -> None:
    """Two thirds without foreground: their border is the lowest number, which all images reach."""
    traits = pd.DataFrame({"foreground": [0.0, 0, 0, 0, 0, 0.1, 0.4], "quality": [1.0, 1, 1, 1, 1, 0.2, 0.5]})
    found = found_slices(traits, 3)
    rest = [False] * 5 + [True] * 2
    assert {name: inside.tolist() for name, inside in found.items()} == {
        "foreground up to 0": [not one for one in rest],
        "foreground above 0": rest,
        "quality below 1": rest,
        "quality from 1": [not one for one in rest],
    }


def test_a_number_of_few_values_with_images_enough_is_cut_by_them() -> None:
    lines = pd.DataFrame({"line": [1.0, 1, 2, 2, 3.5, 3.5, np.nan]})
    found = found_slices(lines, 2)
    assert list(found) == ["line: 1", "line: 2", "line: 3.5"]
    assert found["line: 2"].tolist() == [False, False, True, True, False, False, False]
    assert list(found_slices(lines, 3)) == ["line up to 1.67", "line from 2.5"]


def test_words_that_tell_images_apart_or_are_all_the_same_are_no_slices() -> None:
    many = pd.DataFrame({"patient": [f"p{number}" for number in range(13)], "camera": "a"})
    assert found_slices(many, 1) == {}
    assert len(found_slices(many[:12], 1)) == 12


def test_halves_share_no_image() -> None:
    halves = found_pairs(pd.DataFrame({"n": [0.0, 1, 1, 1, 2], "m": [2.0, 1, 0, 0, 0]}), 2).parts
    assert {name: inside.tolist() for name, inside in halves.items()} == {
        "n up to 1": [True, True, True, True, False],
        "n above 1": [False, False, False, False, True],
        "m up to 0": [False, False, True, True, True],
        "m above 0": [True, True, False, False, False],
    }


def test_pairs_are_the_largest_and_neither_is_inside_the_other() -> None:
    rng = np.random.default_rng(0)
    wide = pd.DataFrame({f"n{number}": rng.random(90) for number in range(20)})
    pairs = found_pairs(wide, 8)
    sizes = [part.sum() for part in pairs.inside().values()]
    assert len(sizes) == MOST_PAIRS
    assert sizes == sorted(sizes, reverse=True)
    assert min(sizes) > 22  # of all 760 pairs half have fewer
    nested = pd.DataFrame({"a": [True] * 3 + [False] * 9, "b": [True] * 6 + [False] * 6})
    assert found_pairs(nested, 2).of == {}
    crossed = nested.assign(a=[True, False] * 6)
    assert found_pairs(crossed, 2).of == {"a & b": ("a", "b")}
    assert found_pairs(crossed, 4).of == {}


def planted(seed: int) -> tuple[pd.DataFrame, Floats]:
    """Forty images; IoU 0.20 on the twelve that are dark and blurred, 0.80 elsewhere."""
    rng = np.random.default_rng(seed)
    dark, blurred = np.arange(40) < 17, (np.arange(40) < 12) | (np.arange(40) >= 35)
    traits = pd.DataFrame(
        {
            "brightness": np.where(dark, rng.uniform(0.1, 0.3, 40), rng.uniform(0.4, 0.9, 40)),
            "contrast": rng.random(40),
            "sharpness": np.where(blurred, rng.uniform(-4, -3, 40), rng.uniform(-2.5, -1, 40)),
            "foreground": rng.random(40),
        }
    )
    return traits, np.where(dark & blurred, 0.2, 0.8) + rng.normal(0, 0.05, 40)


def told(traits: pd.DataFrame, iou: Floats, seed: int) -> tuple[list[str], Pairs]:
    slices, pairs = found_slices(traits, 8), found_pairs(traits, 8)
    table = compare(iou, alone(iou), slices, 8, np.random.default_rng(seed), 499, pairs)
    return worse_slices(table, slices, pairs, 0.05), pairs


@pytest.mark.slow
def test_a_fault_of_dark_and_blurred_images_is_found_as_a_pair() -> None:
    found = 0
    for seed in range(10):
        traits, iou = planted(seed)
        worse, pairs = told(traits, iou, seed)
        both = [name for name in worse if name in pairs.of]
        found += any("brightness up to" in name and "sharpness up to" in name for name in both)
        assert all("brightness up to" in name or "sharpness up to" in name for name in both)
    assert found >= 9


@pytest.mark.slow
def test_a_fault_of_dark_images_alone_makes_no_pair_and_no_fault_no_slice() -> None:
    """`q` bounds both: the share of pairs that are no worse than what they are made of, and of slices of nothing."""
    rng = np.random.default_rng(4)
    pairs_told = alarms = 0
    for seed in range(60):
        traits, _ = planted(seed)
        traits["weather"] = rng.choice(["sun", "rain"], 40)
        noise = rng.normal(0.7, 0.1, 40)
        worse, pairs = told(traits, noise - 0.4 * (traits["brightness"].rank() <= 14).to_numpy(), seed)
        assert any(name.startswith("brightness up to") for name in worse)
        pairs_told += any(name in pairs.of for name in worse)
        alarms += bool(told(traits, noise, seed)[0])
    assert pairs_told <= stats.binom.ppf(0.99, 60, 0.05)
    assert alarms <= stats.binom.ppf(0.99, 60, 0.05)


def of_slice(table: pd.DataFrame, name: str) -> dict[str, float]:
    (row,) = table[table["slice"] == name].to_dict("records")
    return {str(key): value for key, value in row.items()}


def test_a_pair_has_the_largest_p_of_the_three_questions() -> None:
    """The second half is bad, all of it: what it shares with anything is worse than the rest, and not than itself."""
    rng = np.random.default_rng(1)
    parts = {"bad": np.arange(80) >= 40, "even": np.arange(80) % 2 == 0}
    iou = np.where(parts["bad"], 0.3, 0.8) + rng.normal(0, 0.05, 80)
    table = compare(iou, alone(iou), parts, 8, rng, 999, Pairs(parts, {"both": ("bad", "even")}))
    both = of_slice(table, "both")
    assert of_slice(table, "bad")["p"] < 0.002
    assert both["elsewhere"] > both["iou"] + 0.2
    assert both["p"] > 0.05


def test_no_chance_is_smaller_than_the_draws_can_tell() -> None:
    iou = np.linspace(0.5, 0.9, 40, dtype=np.float64)
    table = compare(iou, alone(iou), {"low": iou < 0.6}, 2, np.random.default_rng(0), 99)
    assert of_slice(table, "low")["p"] == 0.01  # the slice itself, of a hundred with the draws


def test_a_hundred_pairs_leave_single_slices_half_of_the_say() -> None:
    rng = np.random.default_rng(2)
    iou = rng.random(60)
    parts = {f"s{number}": rng.random(60) < 0.5 for number in range(15)}
    names = list(parts)
    pairs = Pairs(parts, {f"{a} & {b}": (a, b) for a in names for b in names if a < b})
    slices = {"worst": np.isin(np.arange(60), np.argsort(iou)[:12]), "any": parts["s0"]}
    worst = of_slice(compare(iou, alone(iou), slices, 5, rng, 199, pairs), "worst")
    # two slices and a hundred pairs: half of the say for two is a correction by four
    assert worst["q"] == pytest.approx(4 * worst["p"])
    # with as many draws as params say, the smallest p would be 1 in 200
    assert worst["p"] < 1 / 1000


def test_a_pair_that_a_worse_slice_says_shorter_is_not_told() -> None:
    part = np.arange(20) < 10
    slices, pairs = {"dark": np.arange(20) < 7}, Pairs({"a": part, "b": np.arange(20) < 8}, {"a & b": ("a", "b")})
    table = pd.DataFrame({"slice": ["dark", "a & b"], "iou": [0.3, 0.4], "q": [0.01, 0.01]})
    assert worse_slices(table, slices, pairs, 0.05) == ["dark"]
    assert worse_slices(table.assign(iou=[0.4, 0.3]), slices, pairs, 0.05) == ["dark", "a & b"]
    assert worse_slices(table, {"dark": np.arange(20) >= 7}, pairs, 0.05) == ["dark", "a & b"]
    assert worse_slices(table, slices, pairs, 0.01) == []
