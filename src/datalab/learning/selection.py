"""Which images people should look at next. Vectors are float32 (N, D), L2-normed, one row per image.

Every batch carries a uniform random part: it is the control that shows whether choosing helps, the only unbiased sample
among the labelled images, and a protection where the model is sure and wrong. It is drawn before anything else is.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.neighbors import NearestNeighbors

from datalab.tables import NEXT_BATCH, empty

Vectors = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]
COLD_START_RANDOM = 0.2
TYPICAL_NEIGHBOURS = 8


@dataclass(frozen=True)
class Shares:
    """What a batch is made of; what is left of 1 goes to uncertainty."""

    diversity: float
    random: float
    candidates: int
    """The uncertain part is chosen among this many times its size of the highest scores, at most half of the pool: in a
    small pool nearly every image would be a candidate, and only diversity would choose."""


def k_center(vectors: Vectors, count: int, covered: Vectors) -> Indices:
    """Greedy k-center: `count` rows of `vectors` (N, D), each the farthest from `covered` (L, D) and those before it.

    With nothing covered the row nearest to the mean comes first. Equal distances: the lowest index. O(N * count * D)
    time and O(N) memory. Stops at N rows. Gonzalez 1985: the radius is at most twice the best possible.
    """
    picked: list[int] = []
    nearest: npt.NDArray[np.float32] = np.full(len(vectors), np.inf, dtype=np.float32)
    for row in covered:
        nearest = np.minimum(nearest, _squared_distances(vectors, row))
    for _ in range(min(count, len(vectors))):
        if np.isinf(nearest).all():
            place = int(_squared_distances(vectors, vectors.mean(axis=0)).argmin())
        else:
            place = int(nearest.argmax())
        picked.append(place)
        nearest = np.minimum(nearest, _squared_distances(vectors, vectors[place]))
        nearest[picked] = -1.0
    return np.asarray(picked, dtype=np.intp)


def next_batch(
    pool: pd.DataFrame, vectors: Vectors, labelled: Vectors, size: int, shares: Shares, rng: np.random.Generator
) -> pd.DataFrame:
    """Table NEXT_BATCH of at most `size` images of the pool, at most one per duplicate group.

    Args:
        pool: image_id, duplicate_group, uncertainty (finite; larger = less sure), one row per row of `vectors`.
        vectors: (N, D) of the pool.
        labelled: (L, D) of the images that have labels; (0, D) where none has.
        size: How many are wanted; a smaller pool is taken whole.
        shares: What the batch is made of.
        rng: Draws the random part and the representative of a duplicate group.

    Returns:
        The parts are spread evenly over the ranks, so that any first stretch of the batch holds all of them.
    """
    kept = _one_per_group(list(pool["duplicate_group"]), rng)
    wanted = min(size, len(kept))
    if wanted == 0:
        return empty(NEXT_BATCH)
    scores = pool["uncertainty"].to_numpy(dtype=np.float64)
    control = rng.permutation(kept)[: _ceil(shares.random * wanted)]
    diverse_count = min(round(shares.diversity * wanted), wanted - len(control))
    unsure_count = wanted - len(control) - diverse_count

    rest = np.setdiff1d(kept, control)
    many = min(shares.candidates * unsure_count, max(unsure_count, len(rest) // 2))
    candidates = rest[np.argsort(-scores[rest], kind="stable")][:many]
    unsure = candidates[k_center(vectors[candidates], unsure_count, np.vstack([labelled, vectors[control]]))]
    rest = np.setdiff1d(rest, unsure)
    taken = np.vstack([labelled, vectors[control], vectors[unsure]])
    diverse = rest[k_center(vectors[rest], diverse_count, taken)]
    chosen = _interleave({"uncertainty": unsure, "diversity": diverse, "random": control})
    rows = [(pool["image_id"].iloc[place], rank, why, scores[place]) for rank, (place, why) in enumerate(chosen)]
    return pd.DataFrame(rows, columns=list(NEXT_BATCH))


def cold_start(
    vectors: Vectors, image_ids: list[str], groups: list[str], size: int, rng: np.random.Generator
) -> pd.DataFrame:
    """The first batch, without a model: the typical image of each of k clusters, and a fifth at random.

    Typical = in the densest place of its cluster, which avoids the outliers that k-center starts with (TypiClust:
    Hacohen, Dekel, Weinshall 2022). `vectors` (N, D), `image_ids` and `groups` (duplicate groups) go together. Returns
    image_id, rank, reason ("cold_start" or "random"), at most `size` rows and one per group; a smaller pool is taken
    whole.
    """
    columns = ["image_id", "rank", "reason"]
    kept = _one_per_group(groups, rng)
    wanted = min(size, len(kept))
    if wanted == 0:
        return empty(tuple(columns))
    control = rng.permutation(kept)[: _ceil(COLD_START_RANDOM * wanted)]
    rest = np.setdiff1d(kept, control)
    typical = rest[_typical(vectors[rest], wanted - len(control), rng)]
    chosen = _interleave({"cold_start": typical, "random": control})
    rows = [(image_ids[place], rank, why) for rank, (place, why) in enumerate(chosen)]
    return pd.DataFrame(rows, columns=columns)


def _typical(vectors: Vectors, count: int, rng: np.random.Generator) -> Indices:
    """The row of each of `count` k-means clusters that is nearest to its neighbours, large clusters first."""
    if count <= 0:
        return np.empty(0, dtype=np.intp)
    if len(np.unique(vectors, axis=0)) <= count:
        return k_center(vectors, count, vectors[:0])
    seed = int(rng.integers(2**31))
    clusters = KMeans(count, n_init=3, random_state=seed).fit_predict(vectors)
    sizes = np.bincount(clusters, minlength=count)
    return np.asarray(
        [_densest(vectors, np.flatnonzero(clusters == cluster)) for cluster in np.argsort(-sizes, kind="stable")],
        dtype=np.intp,
    )


def _densest(vectors: Vectors, members: Indices) -> int:
    near = NearestNeighbors(n_neighbors=min(TYPICAL_NEIGHBOURS + 1, len(members))).fit(vectors[members])
    distances, _ = near.kneighbors(vectors[members])
    return int(members[distances.mean(axis=1).argmin()])


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


def _squared_distances(vectors: Vectors, row: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Squared distance (N,) of every row to one, as |a|^2 + |b|^2 - 2ab: one pass, no (N, D) copy."""
    lengths = np.einsum("nd,nd->n", vectors, vectors)
    return np.asarray(np.maximum(lengths + row @ row - 2 * (vectors @ row), 0), dtype=np.float32)


def _ceil(value: float) -> int:
    """Rounded up, so that a share is never undercut; a hair of slack for binary fractions."""
    return math.ceil(value - 1e-9)
