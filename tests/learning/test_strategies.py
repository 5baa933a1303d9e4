from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from datalab.errors import InputError
from datalab.learning.default_strategy import class_quotas, default, doubt, relative_costs
from datalab.learning.selection import STRATEGIES
from datalab.learning.strategies import Taste, badge, cluster_margin, random, typicality, uncertainty_top
from tests.learning.pools import TASTE, pool_of, unit_vectors, without_model

NEED_A_MODEL = ("uncertainty_top", "badge", "cluster_margin")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize(("count", "wanted"), [(40, 7), (5, 9), (1, 1), (12, 0), (12, 12)])
def test_every_strategy_gives_so_many_different_rows_and_the_same_again(name: str, count: int, wanted: int) -> None:
    choose = STRATEGIES[name]
    one, two = (choose(pool_of(count), wanted, TASTE, rng(4)).tolist() for _ in "ab")
    assert one == two
    assert len(one) == len(set(one)) == min(count, wanted)
    assert set(one) <= set(range(count))


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_answers_for_a_pool_of_copies_with_equal_scores(name: str) -> None:
    same = pool_of(9)
    copies = replace(
        same,
        vectors=np.repeat(same.vectors[:1], 9, axis=0),
        scores=np.full(9, 0.5),
        margins=np.full(9, 0.5),
        residuals=np.zeros((9, 4)),
    )
    chosen = STRATEGIES[name](copies, 4, TASTE, rng()).tolist()
    assert len(set(chosen)) == 4


@pytest.mark.parametrize("name", STRATEGIES)
def test_without_a_model_a_strategy_answers_or_says_what_to_take(name: str) -> None:
    pool = without_model(pool_of(20))
    if name in NEED_A_MODEL:
        with pytest.raises(InputError, match="needs a model's scores; without one use typicality"):
            STRATEGIES[name](pool, 5, TASTE, rng())
    else:
        assert len(set(STRATEGIES[name](pool, 5, TASTE, rng()).tolist())) == 5


@pytest.mark.parametrize("name", [*NEED_A_MODEL, "default"])
def test_scores_that_are_not_finite_are_refused_with_their_number(name: str) -> None:
    pool = pool_of(10)
    bad = np.full(10, 0.5)
    bad[[2, 5]] = np.nan
    broken = replace(pool, scores=bad, margins=bad, residuals=np.repeat(bad[:, None], 4, axis=1))
    with pytest.raises(InputError, match="2 of 10 scores are not finite"):
        STRATEGIES[name](broken, 3, TASTE, rng())


def test_random_is_uniform() -> None:
    counts = Counter(int(random(pool_of(6), 1, TASTE, rng(seed))[0]) for seed in range(600))
    assert set(counts) == set(range(6))
    assert max(counts.values()) < 150


def test_equal_scores_are_not_ordered_by_the_table() -> None:
    pool = replace(pool_of(30), scores=np.zeros(30))
    firsts = {int(uncertainty_top(pool, 1, TASTE, rng(seed))[0]) for seed in range(20)}
    assert len(firsts) > 8


def test_uncertainty_top_takes_the_highest_scores() -> None:
    assert uncertainty_top(pool_of(30), 3, TASTE, rng()).tolist() == [29, 28, 27]


def test_badge_draws_by_the_distance_of_the_full_gradients() -> None:
    pool = pool_of(8, classes=2)
    assert pool.residuals is not None
    gradients = np.einsum("nk,nd->nkd", pool.residuals, pool.vectors).reshape(8, -1)
    first = int((gradients**2).sum(axis=1).argmax())
    distances = ((gradients - gradients[first]) ** 2).sum(axis=1)
    counts = Counter(int(badge(pool, 2, TASTE, rng(seed))[1]) for seed in range(2000))
    np.testing.assert_allclose([counts[row] / 2000 for row in range(8)], distances / distances.sum(), atol=0.04)


def test_badge_refuses_a_model_of_one_class() -> None:
    with pytest.raises(InputError, match="at least two classes"):
        badge(replace(pool_of(5), residuals=np.zeros((5, 1))), 2, TASTE, rng())


def test_cluster_margin_goes_round_the_clusters_and_begins_with_the_small_ones() -> None:
    clusters = np.repeat(np.arange(5), [22, 10, 4, 2, 2])
    noise = np.random.default_rng(1).normal(0, 0.01, (40, 5))
    vectors = (np.eye(5)[clusters] + noise).astype(np.float32)
    margins = np.where(clusters == 0, 0.9, 0.1)
    chosen = cluster_margin(replace(pool_of(40), vectors=vectors, margins=margins), 2, Taste(10, 0.5, 0.0), rng())
    assert set(clusters[chosen].tolist()) == {3, 4}


def test_typicality_leaves_out_clusters_that_hold_a_label() -> None:
    centers = np.eye(6, dtype=np.float32) * 10
    cloud = np.concatenate([one + np.random.default_rng(0).normal(0, 0.1, (15, 6)) for one in centers])
    pool = replace(pool_of(90, size=6), vectors=cloud.astype(np.float32), labelled=centers[:3])
    chosen = typicality(pool, 3, TASTE, rng())
    assert sorted(int(row) // 15 for row in chosen) == [3, 4, 5]


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
