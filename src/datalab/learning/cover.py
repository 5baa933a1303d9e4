"""Farthest-first cover of a cloud of vectors, in blocks, so that a pool larger than memory may lie on disk.

Vectors are (N, D), float32, or float16 and float32 in a memory-mapped file; a block at a time is brought into memory.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.floating]
Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]
BLOCK = 65_536
"""Rows brought into memory at once: 100 MB of 384 float32 values."""
FAR_SHARE, FAR_LEAST = 50, 2_048
"""One row in so many, and no fewer than that, is kept at hand: few enough for a quick pick, enough for many picks."""
CENTERS_AT_ONCE = 128


def k_center(vectors: Vectors, count: int, covered: Vectors) -> Indices:
    """Greedy k-center: `count` rows of `vectors` (N, D), each the farthest from `covered` (L, D) and those before it.

    With nothing covered the row nearest to the mean comes first. Equal distances: the lowest index. Stops at N rows.
    Gonzalez 1985: the radius is at most twice the best possible.

    Distances only fall, so the farthest row is among those that were farthest a while ago, as long as the best of these
    is still farther than all others were then. Between two passes over all vectors the picks are made among these: a
    handful of passes for 1,000 picks, O(N) memory beside the vectors.
    """
    wanted = min(count, len(vectors))
    if wanted <= 0:
        return np.empty(0, dtype=np.intp)
    picked: list[int] = []
    if not len(covered):
        picked.append(middle(vectors))
        covered = vectors[picked]
    lengths = squared_lengths(vectors)
    nearest = np.full(len(vectors), np.inf, dtype=np.float32)
    while len(picked) < wanted:
        _shrink(nearest, vectors, lengths, covered)
        nearest[picked] = -np.inf
        covered = _pick_farthest(vectors, lengths, nearest, picked, wanted)
    return np.array(picked, dtype=np.intp)


def _pick_farthest(vectors: Vectors, lengths: Floats, nearest: Floats, picked: list[int], wanted: int) -> Floats:
    """Add to `picked` for as long as the farthest row is certain, at least once; the rows (n, D) that were added."""
    near = len(nearest) - max(FAR_LEAST, len(nearest) // FAR_SHARE)
    far = np.arange(len(nearest)) if near <= 0 else np.argpartition(nearest, near)[near:]
    # of equal distances the one with the lowest index may not be among them
    far = np.union1d(far, nearest.argmax())
    elsewhere = nearest.copy()
    elsewhere[far] = -np.inf
    certain = elsewhere.max()
    rows, own, distance = np.asarray(vectors[far], dtype=np.float32), lengths[far], nearest[far]
    added: list[int] = []
    while len(picked) < wanted:
        place = int(distance.argmax())
        if added and distance[place] <= certain and near > 0:
            break
        picked.append(int(far[place]))
        added.append(place)
        np.minimum(distance, _distances(rows, own, rows[place : place + 1]), out=distance)
        distance[added] = -np.inf
    return np.asarray(rows[added])


def middle(vectors: Vectors) -> int:
    """The row nearest to the mean of all, the lowest index among equals."""
    mean = np.zeros(vectors.shape[1], dtype=np.float64)
    for _, block in blocks(vectors):
        mean += block.sum(axis=0, dtype=np.float64)
    center = (mean / len(vectors)).astype(np.float32)
    return int(np.concatenate([((block - center) ** 2).sum(axis=1) for _, block in blocks(vectors)]).argmin())


def squared_lengths(vectors: Vectors) -> Floats:
    """|v|^2 of every row, (N,)."""
    found = np.empty(len(vectors), dtype=np.float32)
    for part, block in blocks(vectors):
        np.einsum("nd,nd->n", block, block, out=found[part])
    return found


def squared_distances(vectors: Vectors, row: Floats) -> Floats:
    """Squared distance (N,) of every row to one (D,)."""
    found = np.full(len(vectors), np.inf, dtype=np.float32)
    _shrink(found, vectors, squared_lengths(vectors), row[None])
    return found


def blocks(vectors: Vectors, rows: int = BLOCK) -> Iterator[tuple[slice, Floats]]:
    """(where, float32 rows) over the whole cloud; float32 in memory is handed out as it is, without a copy."""
    for start in range(0, len(vectors), rows):
        part = slice(start, min(start + rows, len(vectors)))
        yield part, np.asarray(vectors[part], dtype=np.float32)


def _shrink(nearest: Floats, vectors: Vectors, lengths: Floats, centers: Vectors) -> None:
    """`nearest` = min(nearest, squared distance to the nearest of `centers` (L, D)) in place; one pass."""
    for part, block in blocks(vectors):
        for start in range(0, len(centers), CENTERS_AT_ONCE):
            some = np.asarray(centers[start : start + CENTERS_AT_ONCE], dtype=np.float32)
            np.minimum(nearest[part], _distances(block, lengths[part], some), out=nearest[part])


def _distances(rows: Floats, lengths: Floats, centers: Floats) -> Floats:
    """Squared distance (n,) of each row to the nearest of a few centers: |a|^2 + |b|^2 - 2ab, one product for all."""
    product = rows @ centers.T
    product *= -2
    product += np.einsum("kd,kd->k", centers, centers)
    found = product.min(axis=1)
    found += lengths
    return np.asarray(np.maximum(found, 0, out=found))
