from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datalab.learning.selection import Shares, Vectors, cold_start, k_center, next_batch
from datalab.tables import NEXT_BATCH

SHARES = Shares(diversity=0.2, random=0.2, candidates=4)
NOTHING: Vectors = np.zeros((0, 3), dtype=np.float32)


def vectors_of(count: int, seed: int = 0, size: int = 3) -> Vectors:
    raw = np.random.default_rng(seed).normal(size=(count, size))
    return np.asarray(raw / np.linalg.norm(raw, axis=1, keepdims=True), dtype=np.float32)


def pool_of(count: int, groups: int | None = None) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image_id": [f"i{place}" for place in range(count)],
            "duplicate_group": [f"g{place % (groups or count)}" for place in range(count)],
            "uncertainty": np.linspace(0, 1, count),
        }
    )


def naive_k_center(vectors: Vectors, count: int, covered: Vectors) -> list[int]:
    """Greedy cover with a full distance matrix in float64."""
    points, centers = vectors.astype(np.float64), list(covered.astype(np.float64))
    picked: list[int] = []
    for _ in range(count):
        far = [min(float(np.linalg.norm(point - center)) for center in centers) for point in points]
        best = max((place for place in range(len(points)) if place not in picked), key=lambda place: far[place])
        picked.append(best)
        centers.append(points[best])
    return picked


@given(st.integers(0, 10_000), st.integers(2, 25), st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_k_center_equals_the_naive_cover(seed: int, count: int, known: int) -> None:
    vectors, covered = vectors_of(count, seed), vectors_of(known, seed + 1)
    wanted = count // 2
    assert k_center(vectors, wanted, covered).tolist() == naive_k_center(vectors, wanted, covered)


def test_k_center_with_nothing_covered_starts_in_the_middle() -> None:
    vectors = np.array([[0.0, 0], [1, 0], [2, 0], [9, 0]], dtype=np.float32)
    assert k_center(vectors, 2, vectors[:0]).tolist() == [2, 3]


def test_k_center_of_equal_rows_still_picks_different_ones() -> None:
    assert sorted(k_center(np.ones((4, 2), np.float32), 9, np.zeros((0, 2), np.float32)).tolist()) == [0, 1, 2, 3]


def test_a_batch_has_its_parts_spread_over_the_ranks() -> None:
    batch = next_batch(pool_of(100), vectors_of(100), NOTHING, 20, SHARES, np.random.default_rng(0))
    assert list(batch.columns) == list(NEXT_BATCH)
    assert batch["rank"].tolist() == list(range(20))
    assert Counter(batch["reason"]) == {"uncertainty": 12, "diversity": 4, "random": 4}
    assert set(batch["reason"][:5]) == {"uncertainty", "diversity", "random"}
    unsure = batch[batch["reason"] == "uncertainty"]["uncertainty"]
    assert unsure.min() >= np.linspace(0, 1, 100)[100 - 48 - 4]


def test_in_a_small_pool_the_certain_half_is_no_candidate() -> None:
    batch = next_batch(pool_of(40), vectors_of(40), NOTHING, 20, SHARES, np.random.default_rng(0))
    unsure = batch[batch["reason"] == "uncertainty"]["uncertainty"]
    assert len(unsure) == 12
    assert unsure.min() >= np.linspace(0, 1, 40)[40 - 18 - 4]


def test_the_same_seed_gives_the_same_batch() -> None:
    one, two = (
        next_batch(pool_of(50), vectors_of(50), vectors_of(5, 9), 10, SHARES, np.random.default_rng(3)) for _ in "ab"
    )
    pd.testing.assert_frame_equal(one, two)


def test_the_random_part_is_uniform_over_the_pool() -> None:
    counts: Counter[str] = Counter()
    for seed in range(300):
        batch = next_batch(pool_of(10), vectors_of(10), NOTHING, 5, SHARES, np.random.default_rng(seed))
        counts.update(batch[batch["reason"] == "random"]["image_id"])
    assert sum(counts.values()) == 300
    assert min(counts[f"i{place}"] for place in range(10)) > 12
    assert max(counts.values()) < 55


@pytest.mark.parametrize(
    ("pool", "groups", "size", "taken"), [(3, 3, 8, 3), (12, 4, 8, 4), (0, None, 8, 0), (1, 1, 1, 1)]
)
def test_small_pools_and_duplicates(pool: int, groups: int | None, size: int, taken: int) -> None:
    table, vectors = pool_of(pool, groups), vectors_of(pool)
    batch = next_batch(table, vectors, NOTHING, size, SHARES, np.random.default_rng(0))
    start = cold_start(vectors, list(table["image_id"]), list(table["duplicate_group"]), size, np.random.default_rng(0))
    for chosen in (batch, start):
        assert len(chosen) == taken
        groups_of = dict(zip(table["image_id"], table["duplicate_group"], strict=True))
        assert len({groups_of[image_id] for image_id in chosen["image_id"]}) == taken


def test_a_cold_start_covers_every_cluster_by_its_middle() -> None:
    rng = np.random.default_rng(0)
    centers = np.eye(8, dtype=np.float32) * 10
    vectors = np.concatenate([center + rng.normal(0, 0.1, (20, 8)).astype(np.float32) for center in centers])
    names = [f"i{place}" for place in range(len(vectors))]
    batch = cold_start(vectors, names, names, 10, np.random.default_rng(1))
    assert Counter(batch["reason"]) == {"cold_start": 8, "random": 2}
    typical = [int(name[1:]) for name in batch[batch["reason"] == "cold_start"]["image_id"]]
    assert {place // 20 for place in typical} == set(range(8))
    distance = np.linalg.norm(vectors - np.repeat(centers, 20, axis=0), axis=1).reshape(8, 20)
    assert all(distance[place // 20, place % 20] < np.median(distance[place // 20]) * 1.3 for place in typical)


def test_a_cold_start_of_equal_images_takes_different_ones() -> None:
    names = [f"i{place}" for place in range(6)]
    batch = cold_start(np.ones((6, 4), np.float32), names, names, 4, np.random.default_rng(0))
    assert batch["image_id"].nunique() == 4
    assert (batch["reason"] == "random").sum() == 1
