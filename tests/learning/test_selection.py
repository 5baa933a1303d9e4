from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from datalab.errors import InputError
from datalab.learning.selection import STRATEGIES, Budget, Recipe, cold_start, next_batch, parts_of
from datalab.tables import BATCH, NEXT_BATCH
from tests.learning.pools import TASTE, pool_of, unit_vectors, without_model

RECIPE = Recipe("default", random=0.2, trust=1.0, near_duplicate=0.9999, taste=TASTE)


def table_of(count: int, groups: int | None = None) -> pd.DataFrame:
    names = [f"i{place}" for place in range(count)]
    return pd.DataFrame(
        {"image_id": names, "duplicate_group": [f"g{place % (groups or count)}" for place in range(count)]}
    )


def batch_of(count: int, size: int, recipe: Recipe = RECIPE, seed: int = 0, minutes: float = 0.0) -> pd.DataFrame:
    facts = pool_of(count)
    return next_batch(table_of(count), facts, Budget(size, minutes), recipe, np.random.default_rng(seed))


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_batch_has_its_control_spread_over_the_ranks(name: str) -> None:
    batch = batch_of(100, 20, replace(RECIPE, strategy=name))
    assert list(batch.columns) == list(NEXT_BATCH)
    assert batch["rank"].tolist() == list(range(20))
    assert batch["image_id"].is_unique
    expected = {"random": 20} if name == "random" else {name: 16, "random": 4}
    assert Counter(batch["reason"]) == expected
    assert "random" in set(batch["reason"][:5])
    pd.testing.assert_frame_equal(batch, batch_of(100, 20, replace(RECIPE, strategy=name)))


@pytest.mark.slow
def test_the_random_part_is_uniform_over_the_pool() -> None:
    counts: Counter[str] = Counter()
    for seed in range(300):
        batch = batch_of(10, 5, seed=seed)
        counts.update(batch[batch["reason"] == "random"]["image_id"])
    assert sum(counts.values()) == 300
    assert min(counts[f"i{place}"] for place in range(10)) > 12
    assert max(counts.values()) < 55


def test_less_trust_draws_more_at_random() -> None:
    half = batch_of(100, 20, replace(RECIPE, trust=0.5))
    assert Counter(half["reason"]) == {"default": 8, "random": 12}
    assert Counter(batch_of(100, 20, replace(RECIPE, trust=0.0))["reason"]) == {"random": 20}


@pytest.mark.parametrize(
    ("pool", "groups", "size", "taken"), [(3, 3, 8, 3), (12, 4, 8, 4), (0, None, 8, 0), (1, 1, 1, 1)]
)
def test_small_pools_and_duplicates(pool: int, groups: int | None, size: int, taken: int) -> None:
    table, facts = table_of(pool, groups), pool_of(pool)
    batch = next_batch(table, facts, Budget(size, 0.0), RECIPE, np.random.default_rng(0))
    names = list(table["image_id"]), list(table["duplicate_group"])
    start = cold_start(facts.vectors, *names, size, np.random.default_rng(0))
    for chosen in (batch, start):
        assert len(chosen) == taken
        groups_of = dict(zip(table["image_id"], table["duplicate_group"], strict=True))
        assert len({groups_of[image_id] for image_id in chosen["image_id"]}) == taken


@pytest.mark.parametrize("strategy", ["default", "uncertainty_top", "random"])
@pytest.mark.parametrize("seed", range(5))
def test_the_same_picture_is_asked_about_once_and_not_when_it_is_labelled(strategy: str, seed: int) -> None:
    facts = pool_of(30)
    copies = np.repeat(facts.vectors[:10], 3, axis=0)
    facts = replace(facts, vectors=copies, labelled=copies[:1])
    recipe = replace(RECIPE, strategy=strategy, random=0.4)
    batch = next_batch(table_of(30), facts, Budget(30, 0.0), recipe, np.random.default_rng(seed))
    assert sorted(int(name[1:]) // 3 for name in batch["image_id"]) == list(range(1, 10))


@pytest.mark.parametrize(
    ("minutes", "random", "expected"),
    [
        (0.0, 0.2, {"default": 24, "random": 6}),
        (30.0, 0.2, {"default": 16, "random": 4}),
        (15.0, 0.2, {"default": 7, "random": 3}),
        (15.0, 0.5, {"default": 5, "random": 5}),
        (5.0, 0.2, {"random": 3}),
        (0.1, 0.2, {"random": 3}),
    ],
)
def test_minutes_cut_the_batch_by_expected_seconds(minutes: float, random: float, expected: dict[str, int]) -> None:
    facts, recipe = replace(pool_of(50), costs=np.full(50, 90.0)), replace(RECIPE, random=random)
    cut = next_batch(table_of(50), facts, Budget(30, minutes), recipe, np.random.default_rng(0))
    assert Counter(cut["reason"]) == expected
    assert cut["rank"].tolist() == list(range(len(cut)))


@pytest.mark.parametrize(
    ("pool", "images", "expected"), [(2, 30, {"random": 1, "default": 1}), (50, 5, {"random": 1, "default": 4})]
)
def test_minutes_make_no_control_larger(pool: int, images: int, expected: dict[str, int]) -> None:
    batch = next_batch(table_of(pool), pool_of(pool), Budget(images, 60.0), RECIPE, np.random.default_rng(0))
    assert Counter(batch["reason"]) == expected


@pytest.mark.slow
def test_minutes_leave_the_control_uniform_over_dear_and_cheap_images() -> None:
    """Half of the pool is ten times as dear: a batch that is cut to its cheap images would show what is cheap."""
    costs = np.where(np.arange(40) % 2, 200.0, 20.0)
    facts, dear, sizes = replace(pool_of(40), costs=costs), 0, []
    for seed in range(300):
        batch = next_batch(table_of(40), facts, Budget(36, 10.0), RECIPE, np.random.default_rng(seed))
        control = batch.loc[batch["reason"] == "random", "image_id"]
        dear += sum(costs[int(name[1:])] == 200.0 for name in control)
        sizes.append(len(control))
        assert costs[[int(name[1:]) for name in batch["image_id"]]].sum() <= max(600, 200 * len(control))
    assert set(sizes) == {3}
    assert dear / sum(sizes) == pytest.approx(0.5, abs=0.05)


def batch_table(reasons: str, first: int = 0) -> pd.DataFrame:
    rows = [(f"i{first + place}", "batch", 1, place, why) for place, why in enumerate(reasons.split())]
    return pd.DataFrame([*rows, ("gold", "gold", 3, 9, "gold")], columns=list(BATCH))


def test_the_cold_start_is_no_choice() -> None:
    """Typical images are easy; as chosen ones they would weigh more than any later batch, for their large control."""
    batches = [batch_table("cold_start random cold_start random"), batch_table("badge random review badge", 4)]
    assert parts_of(batches) == [([], []), (["i4", "i7"], ["i5"])]
    assert parts_of([batch_table("random random")]) == [([], [])]


def test_an_image_that_was_asked_again_is_of_its_last_batch() -> None:
    batches = [batch_table("default random default"), batch_table("random default", 2), batch_table("review", 1)]
    assert parts_of(batches) == [(["i0"], ["i1"]), (["i3"], ["i2"]), ([], [])]


def test_without_a_model_the_batch_says_so_by_empty_scores() -> None:
    batch = next_batch(table_of(30), without_model(pool_of(30)), Budget(5, 0.0), RECIPE, np.random.default_rng(0))
    assert len(batch) == 5
    assert batch["uncertainty"].isna().all()


def test_an_unknown_strategy_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="'luck'; known: default, random, uncertainty_top, k_center, badge"):
        batch_of(5, 2, replace(RECIPE, strategy="luck"))


@pytest.mark.parametrize(
    ("budget", "recipe"),
    [
        (Budget(0, 0.0), RECIPE),
        (Budget(3, -1.0), RECIPE),
        (Budget(3, 0.0), replace(RECIPE, random=0.05)),
        (Budget(3, 0.0), replace(RECIPE, random=1.2)),
        (Budget(3, 0.0), replace(RECIPE, near_duplicate=0.0)),
        (Budget(3, 0.0), replace(RECIPE, taste=replace(TASTE, candidates=0))),
        (Budget(3, 0.0), replace(RECIPE, taste=replace(TASTE, stratified=1.5))),
    ],
    ids=str,
)
def test_wrong_numbers_are_one_line(budget: Budget, recipe: Recipe) -> None:
    with pytest.raises(InputError, match="select"):
        next_batch(table_of(9), pool_of(9), budget, recipe, np.random.default_rng(0))


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
    assert cold_start(unit_vectors(0), [], [], 4, np.random.default_rng(0)).empty
