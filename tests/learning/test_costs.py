import numpy as np
import pytest

from datalab.learning.costs import UNKNOWN_SECONDS, Costs, fit_costs


def test_costs_come_from_the_line_and_a_lunch_break_does_not_move_it() -> None:
    objects = np.tile(np.arange(5.0), 8)
    seconds = 20 + 15 * objects
    seconds[::9] = 3600
    found = fit_costs(objects, seconds)
    assert (found.base, found.per_object) == pytest.approx((20, 15))
    assert found.of(np.array([0.0, 2])).tolist() == pytest.approx([20, 50])


@pytest.mark.parametrize(
    ("objects", "seconds", "costs"),
    [
        ([], [], Costs(UNKNOWN_SECONDS, 0.0)),
        ([1.0, 2], [float("nan"), 0], Costs(UNKNOWN_SECONDS, 0.0)),
        ([1.0, 2, 3], [10.0, 30, 20], Costs(20.0, 0.0)),
        ([2.0] * 30, [40.0] * 30, Costs(40.0, 0.0)),
        (list(range(30)), list(range(60, 30, -1)), Costs(45.5, 0.0)),
    ],
)
def test_where_little_is_known_all_images_cost_the_same(
    objects: list[float], seconds: list[float], costs: Costs
) -> None:
    assert fit_costs(np.array(objects, dtype=float), np.array(seconds, dtype=float)) == costs


def test_of_many_ratings_the_line_is_that_of_some() -> None:
    objects = np.tile(np.arange(5.0), 40_000)  # all pairs of them would take 600 GB
    found = fit_costs(objects, 20 + 15 * objects)
    assert (found.base, found.per_object) == pytest.approx((20, 15))


def test_the_line_follows_all_ratings_and_not_the_first_ones() -> None:
    objects = np.tile(np.arange(5.0), 1000)
    slope = np.repeat([5.0, 25.0], 2500)
    assert fit_costs(objects, 20 + slope * objects).per_object > 5.5
