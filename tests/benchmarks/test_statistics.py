from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel, wilcoxon

from simulated.statistics import Cell, Line, cells_of, factor, holm, ratio_to, summary

LABELS = [10, 20, 30, 40]


def line(strategy: str, seed: int, scores: list[float], name: str = "tiles", start: int = 10) -> Line:
    labelled = LABELS[: len(scores)]
    return {"set": name, "start": start, "strategy": strategy, "seed": seed, "labelled": labelled, "score": scores}


def cell(arm: list[list[float]], random: list[list[float]]) -> Cell:
    """One cell of an arm "ours" and of random, a list of scores per seed."""
    lines = [line("random", seed, scores) for seed, scores in enumerate(random)]
    return cells_of([*lines, *(line("ours", seed, scores) for seed, scores in enumerate(arm))])[0]


def test_runs_are_sorted_into_cells_in_their_order() -> None:
    lines = [
        line("random", 0, [0.1]),
        line("random", 0, [0.2], "roads"),
        line("ours", 3, [0.3]),
        line("ours", 0, [0.4]),
    ]
    lines.append(line("random", 0, [0.5], start=30))
    cells = cells_of(lines)
    assert [(one.name, one.start) for one in cells] == [("tiles", 10), ("roads", 10), ("tiles", 30)]
    assert sorted(cells[0].runs["ours"]) == [0, 3]
    assert cells[0].runs["ours"][3][0].tolist() == [0.3]


def test_only_pairs_count() -> None:
    found = cells_of(
        [line("random", 0, [0.1]), line("random", 2, [0.1]), line("ours", 1, [0.1]), line("ours", 2, [0.1])]
    )
    assert found[0].seeds("ours") == [2]
    assert found[0].seeds("nobody") == []


@pytest.mark.parametrize(
    ("arm", "random", "expected"),
    [
        # random reaches 0.3 with 30 labels, the arm with 20
        ([0.1, 0.3], [0.1, 0.2, 0.3, 0.4], (1.5, False)),
        # between 20 and 30, read off linearly
        ([0.1, 0.25], [0.1, 0.2, 0.3, 0.4], (1.25, False)),
        # not a dip but the pooled 0.25 is where random first gets
        ([0.1, 0.25], [0.1, 0.3, 0.2, 0.4], (1.0, False)),
        # random never gets there: at least its largest run
        ([0.1, 0.9], [0.1, 0.2, 0.3, 0.4], (2.0, True)),
        # worse than random's first round
        ([0.1, 0.05], [0.1, 0.2, 0.3, 0.4], (0.5, False)),
        # a flat stretch: the first labels that reach it count
        ([0.1, 0.2], [0.1, 0.2, 0.2, 0.4], (1.0, False)),
    ],
)
def test_labels_random_needs_for_the_same_score(
    arm: list[float], random: list[float], expected: tuple[float, bool]
) -> None:
    value, beyond = factor(cell([arm], [random]), "ours", [0])
    assert (value, beyond) == pytest.approx(expected)


def test_a_factor_is_that_of_the_mean_curves() -> None:
    two = cell([[0.0, 0.2], [0.2, 0.4]], [[0.0, 0.1, 0.2, 0.3], [0.2, 0.3, 0.4, 0.5]])
    assert factor(two, "ours", [0, 1]) == pytest.approx((30 / 20, False))


@given(st.lists(st.floats(0.01, 0.2), min_size=4, max_size=4), st.integers(2, 4))
def test_random_beside_itself_is_one(steps: list[float], rounds: int) -> None:
    curve = np.cumsum(steps).tolist()
    assert factor(cell([curve[:rounds]], [curve]), "ours", [0])[0] == pytest.approx(1)


def noisy(seeds: int, gain: float) -> Cell:
    rng = np.random.default_rng(3)
    random = 0.1 * np.arange(1, 5) + rng.normal(0, 0.01, (seeds, 4))
    arm = 0.1 * np.arange(1, 3) + gain + rng.normal(0, 0.01, (seeds, 2))
    return cell(arm.tolist(), random.tolist())


def test_a_summary_has_its_interval_and_the_paired_tests() -> None:
    found = noisy(8, 0.05)
    row = summary(found, "ours", np.random.default_rng(0))
    arm = [found.runs["ours"][seed][0][1] for seed in range(8)]
    random = [found.runs["random"][seed][0][1] for seed in range(8)]
    assert (row["labels"], row["seeds"], row["censored"], row["factor_is_at_least"]) == (20, 8, 0.0, False)
    assert row["low"] < row["factor"] < row["high"]
    assert row["factor"] == pytest.approx(1.25, abs=0.1)
    assert row["p_better"] == pytest.approx(ttest_rel(arm, random, alternative="greater").pvalue, abs=1e-5)
    assert row["p_worse"] == pytest.approx(1 - row["p_better"], abs=2e-5)
    assert row["p_wilcoxon"] == pytest.approx(
        wilcoxon(np.subtract(arm, random), alternative="greater").pvalue, abs=1e-5
    )


def test_an_arm_that_random_never_reaches_is_censored() -> None:
    row = summary(noisy(4, 0.9), "ours", np.random.default_rng(0))
    assert (row["factor"], row["low"], row["high"]) == (2.0, 2.0, 2.0)
    assert (row["factor_is_at_least"], row["censored"]) == (True, 1.0)


@pytest.mark.parametrize(
    "same", [cell([[0.1, 0.2]], [[0.1, 0.2, 0.3, 0.4]]), cell([[0.1, 0.2]] * 3, [[0.1, 0.2, 0.3]] * 3)]
)
def test_one_pair_and_equal_pairs_have_no_test(same: Cell) -> None:
    row = summary(same, "ours", np.random.default_rng(0))
    assert (row["p_better"], row["p_worse"], row["p_wilcoxon"]) == (None, None, None)
    assert (row["factor"], row["low"], row["high"]) == (1.0, 1.0, 1.0)


def test_an_arm_is_as_good_as_itself_and_better_than_random() -> None:
    found = noisy(6, 0.05)
    assert ratio_to(found, "ours", "ours", np.random.default_rng(0)) == pytest.approx((1, 1, 1))
    value, low, high = ratio_to(found, "ours", "random", np.random.default_rng(0))
    assert low <= value <= high
    # random's own factor is 1, at its last round
    assert value == pytest.approx(factor(found, "ours", found.seeds("ours"))[0])


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_bonferroni_within_every_subset(p_values: list[float]) -> None:
    """Holm is the closed test of Bonferroni's: what is rejected is rejected in every subset it is in."""
    places = range(len(p_values))
    subsets = [one for count in places for one in combinations(places, count + 1)]
    closed = [
        max(min(1.0, len(one) * min(p_values[place] for place in one)) for one in subsets if wanted in one)
        for wanted in places
    ]
    assert holm(p_values) == pytest.approx(closed)
