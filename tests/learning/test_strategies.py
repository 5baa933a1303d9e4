from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from datalab.errors import InputError
from datalab.learning.selection import STRATEGIES
from datalab.learning.strategies import Taste, badge, cluster_margin, random, typicality, uncertainty_top
from tests.learning.pools import TASTE, pool_of, without_model

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
