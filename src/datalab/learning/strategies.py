"""Every way of choosing a batch, each one a pure function with the same signature, chosen by name.

A strategy gets a `Pool`, how many rows are wanted, the `Taste` of params.yaml and a generator, and returns that many
different rows of the pool (all of them where the pool is smaller), best first. Equal scores are ordered by the
generator, never by the order of the table. `embedded`, `scored` and `graded` say what a strategy cannot do without.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.cluster import AgglomerativeClustering, MiniBatchKMeans

from datalab.errors import InputError
from datalab.learning.cover import Indices, Vectors, k_center, squared_lengths
from datalab.learning.typical import typical_rows

Floats = npt.NDArray[np.float64]
LARGEST_TREE = 2_000
"""Hierarchical clustering keeps a distance for every pair; larger pools are first drawn together by k-means."""


@dataclass(frozen=True)
class Pool:
    """What is known of the images that may be chosen; one row per image."""

    vectors: Vectors
    """(N, D) float32, what an image looks like; rows of unit length."""
    labelled: Vectors
    """(L, D) float32 of the images that have labels; (0, D) where none has."""
    scores: Floats | None
    """(N,) finite, larger = the model is less sure; None where there is no model."""
    wrong_shares: Floats | None
    """(N,) in [0, 1], the expected share of wrong pixels; None where there is no model."""
    margins: Floats | None
    """(N,) finite, smaller = the two best classes are closer; None where there is no model."""
    class_scores: Floats | None
    """(N, K) at least 0: how much there is to learn about each class, without background; None without a model."""
    residuals: Floats | None
    """(N, K) mean of (probability - predicted class) over the unsure pixels, background included; None without one."""
    class_counts: Floats
    """(K,) labelled images that show each class, without background; (0,) where that is not known."""
    costs: Floats
    """(N,) above 0, the seconds that people are expected to need."""


@dataclass(frozen=True)
class Taste:
    """What a person may turn."""

    candidates: int
    """An unsure part is chosen among this many times its size of the highest scores, at most half of the pool."""
    stratified: float
    """Share of the default's batch that is dealt to the classes, rare ones first; 0 to 1."""
    cost_power: float
    """Scores are divided by expected cost ** this: 0 ignores cost, 1 is gain per second."""


Strategy = Callable[[Pool, int, Taste, np.random.Generator], Indices]


def random(pool: Pool, count: int, taste: Taste, rng: np.random.Generator) -> Indices:
    """Uniform, without replacement: what every other strategy has to beat."""
    return np.asarray(rng.permutation(len(pool.vectors))[:count], dtype=np.intp)


def uncertainty_top(pool: Pool, count: int, taste: Taste, rng: np.random.Generator) -> Indices:
    """The highest scores. Shown beside the others because everybody asks for it: it takes near copies of one thing."""
    return best_first(known(pool.scores, "uncertainty_top"), rng)[:count]


def k_center_cover(pool: Pool, count: int, taste: Taste, rng: np.random.Generator) -> Indices:
    """Farthest from everything labelled and chosen, whatever the model says (core-set: Sener, Savarese 2018)."""
    return k_center(pool.vectors, count, pool.labelled)


def badge(pool: Pool, count: int, taste: Taste, rng: np.random.Generator) -> Indices:
    """k-means++ on the gradients of the last layer (Ash et al. 2020): unsure and different at once.

    The gradient of an image is the outer product of its residual (K,) and its vector (D,). It stays factored: an inner
    product of two outer products is the product of the two inner ones, so memory is O(N), not O(N * K * D).
    """
    residuals = known(pool.residuals, "badge")
    if residuals.shape[1] < 2:
        raise InputError("select.strategy badge needs a model of at least two classes; use k_center or random")
    sides = residuals.astype(np.float32), np.asarray(pool.vectors, dtype=np.float32)
    lengths = squared_lengths(sides[0]) * squared_lengths(sides[1])
    picked = [int(lengths.argmax())] if count and len(lengths) else []
    nearest = np.full(len(lengths), np.inf)
    while len(picked) < min(count, len(lengths)):
        newest = picked[-1]
        products = (sides[0] @ sides[0][newest]) * (sides[1] @ sides[1][newest])
        nearest = np.minimum(nearest, np.maximum(lengths + lengths[newest] - 2 * products, 0))
        nearest[picked] = 0
        picked.append(_draw(nearest, picked, rng))
    return np.asarray(picked, dtype=np.intp)


def cluster_margin(pool: Pool, count: int, taste: Taste, rng: np.random.Generator) -> Indices:
    """The smallest margins, taken in turn from clusters of look-alikes, small clusters first (Citovsky et al. 2021)."""
    margins = known(pool.margins, "cluster_margin")
    clusters = _clusters(pool.vectors, count, rng)
    candidates = best_first(-margins, rng)[: _many(taste, count, len(margins))]
    members: dict[int, list[int]] = {}
    for place in candidates:
        members.setdefault(int(clusters[place]), []).append(int(place))
    queues = sorted(members.values(), key=len)
    depth = max(map(len, queues), default=0)
    dealt = [queue[turn] for turn in range(depth) for queue in queues if turn < len(queue)]
    return np.asarray(dealt[:count], dtype=np.intp)


def typicality(pool: Pool, count: int, taste: Taste, rng: np.random.Generator) -> Indices:
    """The densest place of every cluster that holds no label yet (TypiClust: Hacohen et al. 2022); needs no model."""
    return typical_rows(pool.vectors, count, pool.labelled, rng)


def known(values: Floats | None, name: str) -> Floats:
    """The same values; InputError where there is no model or a value is not finite."""
    if values is None:
        raise InputError(f"select.strategy {name} needs a model's scores; without one use typicality, k_center, random")
    if not np.isfinite(values).all():
        bad = int((~np.isfinite(values).reshape(len(values), -1).all(axis=1)).sum())
        raise InputError(f"{bad} of {len(values)} scores are not finite; run dvc repro score, or train again")
    return values


def best_first(scores: Floats, rng: np.random.Generator) -> Indices:
    """Rows by falling score, equals in random order."""
    return np.asarray(np.lexsort((rng.random(len(scores)), -scores)), dtype=np.intp)


def _many(taste: Taste, count: int, pool: int) -> int:
    """How many candidates: a multiple of what is wanted, at most half of the pool, at least what is wanted."""
    return min(taste.candidates * count, max(count, pool // 2))


def _clusters(vectors: Vectors, count: int, rng: np.random.Generator) -> Indices:
    """Average-linkage clusters (N,), about two and a half for every wanted image."""
    wanted = min(len(vectors), max(2, round(2.5 * count)))
    if len(vectors) <= wanted:
        return np.arange(len(vectors), dtype=np.intp)
    if len(vectors) <= LARGEST_TREE:
        tree = AgglomerativeClustering(n_clusters=wanted, linkage="average")
        return np.asarray(tree.fit_predict(vectors), dtype=np.intp)
    coarse = MiniBatchKMeans(LARGEST_TREE // 2, n_init=1, random_state=int(rng.integers(2**31)))
    small = coarse.fit_predict(vectors)
    tree = AgglomerativeClustering(n_clusters=min(wanted, LARGEST_TREE // 2), linkage="average")
    return np.asarray(tree.fit_predict(coarse.cluster_centers_)[small], dtype=np.intp)


def _draw(weights: Floats, picked: list[int], rng: np.random.Generator) -> int:
    """A row with a chance in proportion to its weight; uniform among the rest where all weights are 0."""
    total = float(weights.sum())
    if total > 0:
        return int(rng.choice(len(weights), p=weights / total))
    return int(rng.choice(np.setdiff1d(np.arange(len(weights)), picked)))
