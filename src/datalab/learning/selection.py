"""Which images people should look at next: the batch with its control, its budget and its caution.

Every batch carries a uniform random part: it is the control that shows whether choosing helps, an unbiased sample of
what was left in the pool in its round (and of that alone: what was chosen before is missing in it), and a protection
where the model is sure and wrong. It is drawn before anything else is, whatever its images cost.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from datalab.errors import InputError
from datalab.learning.control import LEAST_IMAGES
from datalab.learning.cover import Indices, Vectors, blocks
from datalab.learning.default_strategy import default
from datalab.learning.strategies import (
    Floats,
    Pool,
    Strategy,
    Taste,
    badge,
    cluster_margin,
    k_center_cover,
    random,
    typicality,
    uncertainty_top,
)
from datalab.learning.typical import typical_rows
from datalab.tables import NEXT_BATCH, empty

STRATEGIES: dict[str, Strategy] = {
    "default": default,
    "random": random,
    "uncertainty_top": uncertainty_top,
    "k_center": k_center_cover,
    "badge": badge,
    "cluster_margin": cluster_margin,
    "typicality": typicality,
}
"""What `select.strategy` may say."""
LEAST_RANDOM = 0.1
"""Fewer cannot show whether choosing pays."""
COLD_START_RANDOM = 0.2
MOST_ASKED = 2
"""Rounds in which an image is asked about without an answer that counts."""


@dataclass(frozen=True)
class Budget:
    """How much may be asked of people."""

    images: int
    """At most this many."""
    minutes: float
    """Of one person's time, by the pool's expected costs; a control of LEAST_IMAGES may take more. 0: no such limit."""


@dataclass(frozen=True)
class Recipe:
    """How a batch is put together."""

    strategy: str
    random: float
    """The control's share, LEAST_RANDOM to 1."""
    trust: float
    """How much of the chosen share is really chosen, 0 to 1, by `caution.trust`; the rest is drawn at random."""
    near_duplicate: float
    """Cosine of two image vectors from which on the images count as the same; 1 only joins equal vectors."""
    taste: Taste


def strategy_named(name: str) -> Strategy:
    """The strategy of that name; InputError that lists the known ones."""
    if name not in STRATEGIES:
        raise InputError(f"select.strategy is {name!r}; known: {', '.join(STRATEGIES)}")
    return STRATEGIES[name]


def next_batch(
    pool: pd.DataFrame, facts: Pool, budget: Budget, recipe: Recipe, rng: np.random.Generator
) -> pd.DataFrame:
    """Table NEXT_BATCH: at most one image per duplicate group, none that looks the same as a labelled or another one.

    Args:
        pool: image_id, duplicate_group, one row per row of `facts`.
        facts: What the strategies get to see.
        budget: How many are wanted; a smaller pool is taken whole. The minutes that the control leaves are the chosen
            part's, which is empty where it leaves none.
        recipe: Which strategy, and how large the random part is.
        rng: Draws the random part, the representative of a duplicate group, and for the strategy.

    Returns:
        The parts are spread evenly over the ranks, so that any first stretch of the batch holds both. `reason` is the
        strategy's name or "random"; `uncertainty` is NaN where there is no model.

    Raises:
        InputError: the strategy is unknown or needs what is not there; a share is out of range.
    """
    choose = strategy_named(recipe.strategy)
    _check(budget, recipe)
    kept = _one_per_group(list(pool["duplicate_group"]), rng)
    kept = kept[_unlike(facts.vectors[kept], facts.labelled, recipe.near_duplicate)]
    wanted = min(budget.images, len(kept))
    if wanted == 0:
        return empty(NEXT_BATCH)
    control = _drawn(facts.vectors, kept, _control_size(facts.costs[kept], wanted, budget, recipe), recipe, rng)
    rest = np.setdiff1d(kept, control)
    rest = rest[_unlike(facts.vectors[rest], facts.vectors[control], recipe.near_duplicate)]
    chosen = _chosen(facts, control, rest, wanted - len(control), recipe, choose, rng)
    if budget.minutes:
        chosen = _within(chosen, facts.costs, 60 * budget.minutes - float(facts.costs[control].sum()))
    parts = {"random": control} if recipe.strategy == "random" else {recipe.strategy: chosen, "random": control}
    order = _interleave(parts)
    scores = np.full(len(pool), np.nan) if facts.scores is None else facts.scores
    rows = [(pool["image_id"].iloc[place], rank, why, scores[place]) for rank, (place, why) in enumerate(order)]
    return pd.DataFrame(rows, columns=list(NEXT_BATCH))


def parts_of(batches: Sequence[pd.DataFrame]) -> list[tuple[list[str], list[str]]]:
    """The images that a strategy chose and the random ones beside them, of each table BATCH, oldest first.

    A batch in which no strategy chose anything has neither, such as the cold start: no model had a part in it. Gold and
    what a reviewer sent back are in none, and an image that was asked again is of its last batch.
    """
    tables = [batch[(batch["role"] == "batch") & batch["reason"].isin(STRATEGIES)] for batch in batches]
    last = {image_id: place for place, table in enumerate(tables) for image_id in table["image_id"]}
    parts = []
    for place, table in enumerate(tables):
        own = table[table["image_id"].map(last) == place]
        drawn = own["reason"] == "random"
        chosen = own.loc[~drawn, "image_id"].tolist()
        parts.append((chosen, own.loc[drawn, "image_id"].tolist() if chosen else []))
    return parts


def given_up(asked: Mapping[str, int], rated: Collection[str]) -> set[str]:
    """Images that MOST_ASKED rounds or more (`asked`: by image) brought no rating of: skipped, or set aside."""
    answered = set(rated)
    return {image_id for image_id, rounds in asked.items() if rounds >= MOST_ASKED and image_id not in answered}


def cold_start(
    vectors: Vectors, image_ids: list[str], groups: list[str], size: int, rng: np.random.Generator
) -> pd.DataFrame:
    """The first batch, without a model: the typical image of each of k clusters, and a fifth at random.

    `vectors` (N, D), `image_ids` and `groups` (duplicate groups) go together. Returns image_id, rank, reason
    ("cold_start" or "random"), at most `size` rows and one per group; a smaller pool is taken whole.
    """
    columns = ["image_id", "rank", "reason"]
    kept = _one_per_group(groups, rng)
    wanted = min(size, len(kept))
    if wanted == 0:
        return empty(tuple(columns))
    control = rng.permutation(kept)[: _ceil(COLD_START_RANDOM * wanted)]
    rest = np.setdiff1d(kept, control)
    typical = rest[typical_rows(vectors[rest], wanted - len(control), vectors[:0], rng)]
    chosen = _interleave({"cold_start": typical, "random": control})
    rows = [(image_ids[place], rank, why) for rank, (place, why) in enumerate(chosen)]
    return pd.DataFrame(rows, columns=columns)


def part_of(facts: Pool, rows: Indices, taken: Vectors) -> Pool:
    """The same facts about `rows` alone, with the vectors `taken` (T, D) counted as labelled."""

    def of(values: Floats | None) -> Floats | None:
        return None if values is None else values[rows]

    return replace(
        facts,
        vectors=facts.vectors[rows],
        labelled=np.concatenate([facts.labelled, taken]) if len(facts.labelled) else taken,
        scores=of(facts.scores),
        wrong_shares=of(facts.wrong_shares),
        margins=of(facts.margins),
        class_scores=of(facts.class_scores),
        residuals=of(facts.residuals),
        costs=facts.costs[rows],
    )


def _drawn(vectors: Vectors, rows: Indices, count: int, recipe: Recipe, rng: np.random.Generator) -> Indices:
    """`count` of the rows at random, none that looks the same as another; fewer where there are no more."""
    order = rng.permutation(rows)
    drawn = order[:0]
    while len(drawn) < count and len(order):
        fresh, order = np.split(order, [count - len(drawn)])
        both = np.concatenate([drawn, fresh])
        drawn = both[_different(vectors[both], recipe.near_duplicate)]
    return drawn


def _chosen(
    facts: Pool,
    control: Indices,
    rest: Indices,
    count: int,
    recipe: Recipe,
    choose: Callable[..., Indices],
    rng: np.random.Generator,
) -> Indices:
    """`count` of `rest` by the strategy, none that looks the same as another: those are asked for again."""
    picked: Indices = np.empty(0, dtype=np.intp)
    while len(picked) < count and len(rest):
        taken = facts.vectors[np.concatenate([control, picked])]
        part = part_of(facts, rest, taken)
        fresh = rest[choose(part, count - len(picked), recipe.taste, rng)]
        kept = fresh[_different(facts.vectors[fresh], recipe.near_duplicate)]
        picked = np.concatenate([picked, kept])
        rest = np.setdiff1d(rest, fresh)
        rest = rest[_unlike(facts.vectors[rest], facts.vectors[kept], recipe.near_duplicate)]
    return picked


def _control_size(costs: Floats, wanted: int, budget: Budget, recipe: Recipe) -> int:
    """The control's share of `wanted` images, and of the minutes: as many as it pays at the mean of the `costs` (N,).

    But LEAST_IMAGES, of which it can be compared, if it has so many. What the drawn images cost themselves must not
    count, or dear ones would be left out.
    """
    share = 1.0 if recipe.strategy == "random" else recipe.random + (1 - recipe.random) * (1 - recipe.trust)
    full = min(wanted, _ceil(share * wanted))
    if not budget.minutes:
        return full
    paid = math.floor(60 * budget.minutes / float(costs.mean()) + 1e-9)
    return min(full, max(LEAST_IMAGES, _ceil(share * paid)))


def _unlike(vectors: Vectors, others: Vectors, cosine: float) -> npt.NDArray[np.bool_]:
    """(N,): no row of `others` (L, D) has this cosine with the row, or a higher one; a block at a time."""
    if not len(others) or not len(vectors):
        return np.ones(len(vectors), dtype=bool)
    limit = cosine - 1e-6
    return np.concatenate([(block @ others.T).max(axis=1) < limit for _, block in blocks(vectors, 4096)])


def _different(vectors: Vectors, cosine: float) -> npt.NDArray[np.bool_]:
    """(N,): no earlier row that is kept looks the same."""
    near = vectors @ vectors.T >= cosine - 1e-6
    kept = np.zeros(len(vectors), dtype=bool)
    for row in range(len(vectors)):
        kept[row] = not (near[row] & kept).any()
    return kept


def _within(rows: Indices, costs: Floats, seconds: float) -> Indices:
    """The first stretch of the rows that fits into the seconds."""
    return rows[: int((np.cumsum(costs[rows]) <= seconds).sum())]


def _one_per_group(groups: list[str], rng: np.random.Generator) -> Indices:
    """One row per group, drawn at random, in the order of the rows."""
    order = rng.permutation(len(groups))
    chosen = {groups[place]: int(place) for place in order}
    return np.sort(np.fromiter(chosen.values(), dtype=np.intp, count=len(chosen)))


def _interleave(parts: dict[str, Indices]) -> list[tuple[int, str]]:
    """(row, reason) of all parts, each part in its own order and spread evenly over the whole."""
    placed = [
        ((turn + 0.5) / len(rows), order, int(row), reason)
        for order, (reason, rows) in enumerate(parts.items())
        for turn, row in enumerate(rows)
    ]
    return [(row, reason) for _, _, row, reason in sorted(placed)]


def _ceil(value: float) -> int:
    """Rounded up, so that a share is never undercut; a hair of slack for binary fractions."""
    return math.ceil(value - 1e-9)


def _check(budget: Budget, recipe: Recipe) -> None:
    if budget.images < 1 or budget.minutes < 0:
        raise InputError(
            f"select.images must be 1 or more and minutes 0 or more, got {budget.images}, {budget.minutes}"
        )
    if not LEAST_RANDOM <= recipe.random <= 1:
        raise InputError(f"select.random must be {LEAST_RANDOM} to 1: it is the control, got {recipe.random}")
    if not 0 <= recipe.trust <= 1 or not 0 < recipe.near_duplicate <= 1:
        raise InputError("select.near_duplicate must be above 0 and at most 1, and trust within 0 and 1")
    taste = recipe.taste
    if taste.candidates < 1 or not 0 <= taste.stratified <= 1 or not 0 <= taste.cost_power <= 1:
        raise InputError("select.candidates must be 1 or more, select.stratified and select.cost_power within 0 and 1")
