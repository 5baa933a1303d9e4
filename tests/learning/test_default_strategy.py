from dataclasses import replace

import numpy as np
import pytest

from datalab.errors import InputError
from datalab.learning.default_strategy import class_quotas, default, doubt, relative_costs
from datalab.learning.strategies import Taste, typicality
from tests.learning.pools import TASTE, pool_of, unit_vectors, without_model


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_default_deals_rare_classes_first_and_keeps_a_part_for_what_is_most_unsure() -> None:
    pool = replace(pool_of(300), class_counts=np.array([50.0, 50.0, 0.0]))
    chosen = default(pool, 30, Taste(1, 0.66, 0.0), rng())
    assert (chosen[:18] % 3 == 2).all()
    rest = np.setdiff1d(np.arange(300), chosen[:20])
    assert sorted(chosen[20:].tolist()) == rest[-10:].tolist()


def test_the_default_takes_the_cheaper_of_two_equal_images_and_no_price_counts_beyond_its_cap() -> None:
    pool = replace(pool_of(40, classes=1), scores=np.full(40, 0.5), costs=np.tile([30.0, 90.0], 20))
    assert (default(pool, 10, Taste(2, 0.0, 1.0), rng()) % 2 == 0).all()
    assert relative_costs(np.array([0.001, 60, 1e9])).tolist() == [pytest.approx(1 / 3), 1, 3]
    assert relative_costs(np.zeros(0)).size == 0


def test_the_default_keeps_away_from_what_is_labelled() -> None:
    pool = replace(pool_of(4, classes=1), vectors=np.eye(4, dtype=np.float32), scores=np.full(4, 0.5))
    labelled = replace(pool, labelled=np.eye(4, dtype=np.float32)[:3] + 0.01)
    assert default(labelled, 1, Taste(4, 0.0, 0.0), rng(3)).size == 1
    assert default(replace(labelled, scores=np.array([0.5, 0.5, 0.1, 0.5])), 1, Taste(2, 0.0, 0.0), rng(1)).size == 1


def test_the_default_takes_what_lies_farthest_from_the_labelled() -> None:
    pool = replace(pool_of(8, classes=1), vectors=np.eye(8, dtype=np.float32), wrong_shares=None)
    near = np.eye(8, dtype=np.float32)[:7] + 0.01
    scores = np.array([0.1, 0.1, 0.1, 0.1, 0.8, 0.7, 0.6, 0.5])
    assert default(replace(pool, scores=scores, labelled=near), 1, Taste(4, 0.0, 0.0), rng()).tolist() == [7]


def test_the_default_never_looks_among_the_surer_half() -> None:
    """Four times as many candidates as wanted would be all of so small a pool."""
    chosen = default(pool_of(10, classes=1), 5, Taste(4, 0.0, 0.0), rng())
    assert sorted(chosen.tolist()) == [5, 6, 7, 8, 9]


def test_the_default_starts_with_typical_images_where_there_is_no_model() -> None:
    pool = without_model(replace(pool_of(50), vectors=unit_vectors(50, 2)))
    assert default(pool, 5, TASTE, rng(1)).tolist() == typicality(pool, 5, TASTE, rng(1)).tolist()


@pytest.mark.parametrize(
    ("counts", "places", "quotas"), [([0, 1, 3], 7, [4, 2, 1]), ([5, 5], 3, [2, 1]), ([], 4, []), ([0, 0], 0, [0, 0])]
)
def test_quotas_sum_up_and_favour_the_rare(counts: list[float], places: int, quotas: list[int]) -> None:
    assert class_quotas(np.array(counts, dtype=np.float64), places) == quotas


def test_doubt_is_the_mean_rank_of_the_worst_places_and_of_the_whole_image() -> None:
    pool = replace(pool_of(4), scores=np.array([0.1, 0.4, 0.4, 9.0]), wrong_shares=np.array([0.0, 0.3, 0.1, 0.2]))
    assert doubt(pool).tolist() == [0.25, (2.5 + 4) / 8, (2.5 + 2) / 8, (4 + 3) / 8]
    assert doubt(replace(pool, wrong_shares=None)).tolist() == [0.25, 0.625, 0.625, 1.0]
    with pytest.raises(InputError):
        doubt(replace(pool, wrong_shares=np.array([0.0, np.nan, 0.1, 0.2])))
