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


def k_center(vectors: Vectors, count: int, covered: Vectors) -> Indices:
    """Greedy k-center: `count` rows of `vectors` (N, D), each the farthest from `covered` (L, D) and those before it.

    With nothing covered the row nearest to the mean comes first. Equal distances: the lowest index. One pass over the
    vectors per pick, O(N * D) time and O(N) memory beside them. Stops at N rows. Gonzalez 1985: the radius is at most
    twice the best possible.
    """
    wanted = min(count, len(vectors))
    if wanted <= 0:
        return np.empty(0, dtype=np.intp)
    lengths = squared_lengths(vectors)
    nearest = np.full(len(vectors), np.inf, dtype=np.float32)
    for row in covered:
        _shrink(nearest, vectors, lengths, np.asarray(row, dtype=np.float32))
    picked = np.empty(wanted, dtype=np.intp)
    for turn in range(wanted):
        place = int(nearest.argmax()) if len(covered) or turn else middle(vectors)
        picked[turn] = place
        _shrink(nearest, vectors, lengths, np.asarray(vectors[place], dtype=np.float32))
        nearest[place] = -np.inf
    return picked


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
    _shrink(found, vectors, squared_lengths(vectors), row)
    return found


def blocks(vectors: Vectors, rows: int = BLOCK) -> Iterator[tuple[slice, Floats]]:
    """(where, float32 rows) over the whole cloud; float32 in memory is handed out as it is, without a copy."""
    for start in range(0, len(vectors), rows):
        part = slice(start, min(start + rows, len(vectors)))
        yield part, np.asarray(vectors[part], dtype=np.float32)


def _shrink(nearest: Floats, vectors: Vectors, lengths: Floats, row: Floats) -> None:
    """`nearest` = min(nearest, squared distance to `row`) in place: |a|^2 + |b|^2 - 2ab, one product per block."""
    own = np.float32(row @ row)
    for part, block in blocks(vectors):
        distance = block @ row
        distance *= -2
        distance += lengths[part]
        distance += own
        np.maximum(distance, 0, out=distance)
        np.minimum(nearest[part], distance, out=nearest[part])
