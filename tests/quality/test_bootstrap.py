import json

import numpy as np
import pytest
from scipy import stats

from datalab.figure import Figure, undefined
from datalab.quality.bootstrap import (
    Sides,
    bootstrap_ratio,
    bootstrap_statistic,
    design_effect,
    student_difference,
    student_ratio,
    sum_by,
)
from datalab.quality.kappa import cohen_kappa


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_the_interval_of_a_mean_is_about_two_standard_errors_wide() -> None:
    values = np.random.default_rng(3).normal(0.5, 0.1, 400)
    figure = bootstrap_ratio(values, np.ones(400), rng())
    assert figure.value == pytest.approx(values.mean())
    assert figure.low is not None
    assert figure.high is not None
    assert figure.high - figure.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_nothing_and_one_image() -> None:
    assert bootstrap_ratio([0, 0], [0, 0], rng()) == undefined("nothing to count")
    one = bootstrap_ratio([1], [2], rng())
    assert (one.value, one.low, one.reason) == (0.5, None, "no interval from one image")


def test_coverage_of_nine_in_ten_over_simulated_rounds() -> None:
    inside = 0
    for seed in range(200):
        draws = np.random.default_rng(seed)
        figure = bootstrap_ratio(draws.binomial(10, 0.8, 60), np.full(60, 10), draws, replicates=300)
        assert figure.low is not None
        assert figure.high is not None
        inside += figure.low <= 0.8 <= figure.high
    assert inside >= 180


def test_a_statistic_of_summed_tables() -> None:
    tables = np.array([[[4, 0], [0, 1]], [[2, 1], [1, 3]], [[5, 0], [1, 2]]])
    figure = bootstrap_statistic(tables, cohen_kappa, rng())
    assert figure.value == pytest.approx(cohen_kappa(tables.sum(axis=0)))
    assert bootstrap_statistic(tables[:0], cohen_kappa, rng()).value is None
    assert bootstrap_statistic(tables[:1] * 0, cohen_kappa, rng()).reason == "only one category was seen"


def test_a_figure_is_json_without_nan() -> None:
    text = json.dumps(Figure(1 / 3, 4, 0.1, 0.9).as_json(), allow_nan=False)
    assert json.loads(text) == {"value": 0.333333, "n": 4, "low": 0.1, "high": 0.9, "reason": None}


def test_no_interval_where_too_few_images_carry_the_figure() -> None:
    rare = np.zeros(50)
    rare[:2] = 1
    figure = bootstrap_ratio(rare, rare, rng())
    assert (figure.value, figure.n, figure.low) == (1, 2, None)
    assert str(figure.reason).startswith("no interval: undefined in ")
    tables = np.zeros((50, 2, 2))
    tables[:, 0, 0] = 1
    tables[0] = [[0, 1], [1, 0]]
    assert str(bootstrap_statistic(tables, cohen_kappa, rng()).reason).startswith("no interval: undefined in ")


def test_pairs_of_an_image_are_summed() -> None:
    tables = np.arange(12).reshape(3, 2, 2)
    assert sum_by(tables, ["b", "a", "b"]).tolist() == [(tables[0] + tables[2]).tolist(), tables[1].tolist()]
    assert sum_by(tables[:0], []).shape == (0, 2, 2)


def test_images_of_a_group_are_drawn_and_left_out_as_one() -> None:
    tops, bottoms, groups = [3.0, 1.0, 4.0, 2.0, 5.0], [4, 2, 8, 2, 5], ["a", "b", "a", "c", "b"]
    summed = bootstrap_ratio([7, 6, 2], [12, 7, 2], rng())
    found = bootstrap_ratio(tops, bottoms, rng(), groups=groups)
    assert (found, found.n) == (summed, 3)
    assert found != bootstrap_ratio(tops, bottoms, rng())
    tables = np.array([[[4, 0], [0, 1]], [[2, 1], [1, 3]], [[5, 0], [1, 2]]])
    whole = np.array([tables[0] + tables[2], tables[1]])
    expected = bootstrap_statistic(whole, cohen_kappa, rng())
    assert bootstrap_statistic(tables, cohen_kappa, rng(), groups=["x", "y", "x"]) == expected
    assert student_ratio(Sides(tops, bottoms, groups)) == student_ratio(Sides([7, 6, 2], [12, 7, 2]))
    assert design_effect([Sides(tops, bottoms, groups)]) == design_effect([Sides([7, 6, 2], [12, 7, 2])])


def test_groups_of_one_are_images() -> None:
    tops, bottoms = np.random.default_rng(3).normal(0.5, 0.1, (2, 40))
    groups = [f"{place}" for place in range(40)]
    assert bootstrap_ratio(tops, bottoms, rng(), groups=groups) == bootstrap_ratio(tops, bottoms, rng())
    tables = np.random.default_rng(4).integers(0, 9, (30, 3, 3))
    assert bootstrap_statistic(tables, cohen_kappa, rng(), groups=groups[:30]) == bootstrap_statistic(
        tables, cohen_kappa, rng()
    )
    assert student_ratio(Sides(tops, bottoms, groups)) == student_ratio(Sides(tops, bottoms))


def test_the_value_is_pooled_over_images_whatever_their_groups() -> None:
    tops, bottoms = np.random.default_rng(3).normal(0.5, 0.1, (2, 4000))
    groups = [f"{place % 7}" for place in range(4000)]
    assert bootstrap_ratio(tops, bottoms, rng(), groups=groups).value == bootstrap_ratio(tops, bottoms, rng()).value
    assert student_ratio(Sides(tops, bottoms, groups)).value == student_ratio(Sides(tops, bottoms)).value


def test_many_images_of_one_group_say_no_more_than_one() -> None:
    told = "no interval: all 3 images are of one group"
    same = ["clip"] * 4
    found = bootstrap_ratio([1, 2, 3, 0], [2, 3, 4, 0], rng(), groups=same)
    assert (found.value, found.n, found.low, found.reason) == (6 / 9, 1, None, told)
    tables = np.array([[[4, 0], [0, 1]], [[2, 1], [1, 3]], [[5, 0], [1, 2]]])
    assert bootstrap_statistic(tables, cohen_kappa, rng(), groups=same[:3]).reason == told
    assert student_ratio(Sides([1, 2, 3, 0], [2, 3, 4, 0], same)) == Figure(6 / 9, 1, reason=told)
    assert student_difference(Sides([1, 2, 3], [2, 3, 4], same[:3]), Sides([1, 2], [3, 4])).reason == told
    alike = student_ratio(Sides([1, 2, 2, 4], [2, 2, 4, 4], ["x", "x", "y", "y"]))
    assert alike.reason == "no interval: all groups of images are alike"


def test_students_t_of_a_mean_is_scipys_and_images_without_a_denominator_say_nothing() -> None:
    values = np.array([2.0, 3.0, 7.0])
    figure = student_ratio(Sides(np.append(5 * values, 0.0), [5, 5, 5, 0]))
    expected = stats.t.interval(0.95, 2, values.mean(), values.std(ddof=1) / 3**0.5)
    assert figure.n == 3
    assert [figure.value, figure.low, figure.high] == pytest.approx([4, *expected])


def test_students_t_of_nothing_of_one_image_and_of_images_that_are_alike() -> None:
    assert student_ratio(Sides([], [])) == undefined("nothing to count")
    assert student_ratio(Sides([3.0], [2])) == Figure(1.5, 1, reason="no interval from one image")
    assert student_ratio(Sides([1.1, 3.3], [1, 3])).reason == "no interval: all images are alike"
    assert student_difference(Sides([1.0], [1]), Sides([1.0, 2.0], [1, 1])).reason == "no interval from one image"
    alike = student_difference(Sides([1.0, 2.0], [1, 2]), Sides([0.5, 1.0], [1, 2]))
    assert (alike.value, alike.low, alike.reason) == (0.5, None, "no interval: all images are alike")
    assert student_difference(Sides([], []), Sides([1.0], [1])).value is None


def test_a_few_images_of_many_and_few_objects_are_covered() -> None:
    """Each image has its own mean; resamples of two images covered half of the time."""
    draws = np.random.default_rng(6)
    inside = []
    for _ in range(1000):
        counts = draws.integers(1, 9, 2)
        figure = student_ratio(Sides(draws.normal(0, 2.5, 2) * counts, counts))
        assert figure.low is not None
        assert figure.high is not None
        inside.append(figure.low <= 0 <= figure.high)
    assert np.mean(inside) >= 0.92


def test_a_difference_of_arms_that_spread_alike_is_welchs() -> None:
    first, second = np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 3.0, 4.0, 5.0])
    figure = student_difference(Sides(first, np.ones(4)), Sides(second, np.ones(4)))
    expected = stats.ttest_ind(first, second, equal_var=False).confidence_interval()
    assert [figure.low, figure.high] == pytest.approx([expected.low, expected.high])
    assert (figure.value, figure.n) == (-1, 8)


@pytest.mark.parametrize("few", [2, 8])
def test_a_few_perfect_images_do_not_make_many_good_ones_worse(few: int) -> None:
    """Everybody has 19 of 20 objects right. The few images are often all right: by Welch's t alone the others were
    worse in a third of the draws."""
    draws = np.random.default_rng(8)
    worse, inside = [], []
    for _ in range(400):
        (hits, objects), (other_hits, others) = ((draws.binomial(3, 0.95, n), np.full(n, 3)) for n in (40, few))
        figure = student_difference(Sides(hits, objects), Sides(other_hits, others))
        worse.append(figure.high is not None and figure.high < 0)
        inside.append(figure.low is None or figure.high is None or figure.low <= 0 <= figure.high)
    assert np.mean(worse) <= 0.025
    assert np.mean(inside) >= 0.95


def test_objects_of_an_image_that_go_together_count_as_one() -> None:
    few = stats.t.ppf(0.975, 198) ** 2 / stats.norm.ppf(0.975) ** 2
    draws = np.random.default_rng(9)
    whole = [Sides(5 * draws.integers(0, 2, 100), np.full(100, 5)) for _ in range(2)]
    assert design_effect(whole) == pytest.approx(5 * few, rel=0.03)
    alone = [Sides(draws.binomial(5, 0.5, 100), np.full(100, 5)) for _ in range(2)]
    assert design_effect(alone) == pytest.approx(few, rel=0.2)


def test_images_that_are_more_alike_than_chance_do_not_add_objects() -> None:
    few = pytest.approx((4.302653 / 1.959964) ** 2, rel=1e-5)
    assert design_effect([Sides([1, 1, 1], [2, 2, 2])]) == few
    assert design_effect([Sides([2, 2, 2], [2, 2, 2]), Sides([1], [2])]) == few
    assert design_effect([Sides([1], [2]), Sides([], [])]) is None
