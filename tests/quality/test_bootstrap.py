import json

import numpy as np
import pytest

from datalab.figure import Figure, undefined
from datalab.quality.bootstrap import bootstrap_ratio, bootstrap_statistic, sum_by_image
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
    assert sum_by_image(tables, ["b", "a", "b"]).tolist() == [(tables[0] + tables[2]).tolist(), tables[1].tolist()]
    assert sum_by_image(tables[:0], []).shape == (0, 2, 2)
