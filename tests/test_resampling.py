import numpy as np
import pytest
from scipy import stats

from datalab.resampling import joint_freedom, places_of, raised_spreads, sum_units, tail, widening


def test_the_widening_is_that_of_t_and_is_gone_with_many() -> None:
    assert widening(2) == pytest.approx(12.706 * 2**0.5 / 1.96, abs=1e-3)
    assert widening(np.array([5, 10_000])) == pytest.approx([2.776 * 1.25**0.5 / 1.96, 1], abs=1e-3)


def test_of_a_mean_the_widened_percentiles_are_the_textbooks_interval() -> None:
    """Resamples of a mean are normal, with the spread of n instead of n - 1 in it."""
    values = np.array([0.4, 0.9, 0.5, 0.7, 0.8, 0.3, 0.6, 0.75, 0.55, 0.45])
    draws = values[np.random.default_rng(0).integers(0, 10, (200_000, 10))].mean(axis=1)
    share = float(tail(10))
    found = np.quantile(draws, [share, 1 - share])
    expected = stats.t.interval(0.95, 9, loc=values.mean(), scale=stats.sem(values))
    assert found.tolist() == pytest.approx(list(expected), abs=0.01)


def test_parts_that_look_alike_by_chance_are_given_the_pooled_spread() -> None:
    assert raised_spreads(np.array([0.0, 4.0]), np.array([3.0, 1.0])).tolist() == [1.0, 4.0]


def test_the_freedom_of_two_parts_is_welchs() -> None:
    first, second = [1.0, 2.0, 4.0, 4.5, 9.0], [2.0, 8.0, 3.0]
    variances = np.array([np.var(one, ddof=1) / len(one) for one in (first, second)])
    assert joint_freedom(variances, np.array([4.0, 2.0])) == pytest.approx(
        stats.ttest_ind(first, second, equal_var=False).df
    )


def test_images_of_a_group_are_one_unit() -> None:
    places = places_of(["b", "a", "b"])
    assert places.tolist() == [1, 0, 1]
    assert sum_units(np.array([[1, 2], [3, 4], [5, 6]]), places).tolist() == [[3, 4], [6, 8]]
    assert sum_units(np.zeros((0, 2)), places_of([])).shape == (0, 2)
