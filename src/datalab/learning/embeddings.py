"""Vectors out of SAM's image embeddings: of a whole image, of one region.

An embedding (C, h, w) covers SAM's square: the image scaled to fit, with padding below or to the right of it.
"""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from datalab.masks import BoolMask

Embedding = npt.NDArray[np.floating]
Vector = npt.NDArray[np.float32]


def crop_embedding(embedding: Embedding, height: int, width: int) -> Embedding:
    """The part (C, h', w') that lies on the image of `height` x `width` pixels, at least one cell each way."""
    rows, columns = embedding.shape[1:]
    longest = max(height, width)
    used_rows = max(1, min(rows, round(rows * height / longest)))
    used_columns = max(1, min(columns, round(columns * width / longest)))
    return embedding[:, :used_rows, :used_columns]


def image_vector(embedding: Embedding, height: int, width: int) -> Vector:
    """One vector (2 C,) of unit length: mean and deviation of every channel over the image."""
    cells = crop_embedding(embedding, height, width).reshape(len(embedding), -1).astype(np.float32)
    return _unit(np.concatenate([cells.mean(axis=1), cells.std(axis=1)]))


def region_vector(embedding: Embedding, mask: BoolMask) -> Vector:
    """One vector (C,) of unit length: the mean over the cells, each weighed by how much of it lies inside `mask`."""
    cells = crop_embedding(embedding, *mask.shape).astype(np.float32)
    weights = _cell_shares(mask, cells.shape[1], cells.shape[2])
    if weights.sum() == 0:
        weights = np.ones_like(weights)
    return _unit((cells * weights).sum(axis=(1, 2)) / weights.sum())


def _cell_shares(mask: BoolMask, rows: int, columns: int) -> npt.NDArray[np.float32]:
    """How much of `mask` falls into each cell of a rows x columns grid, in pixels."""
    # the places of all pixels inside would take sixteen times the memory of the mask
    counts = [
        [np.count_nonzero(mask[top:bottom, left:right]) for left, right in _cells(mask.shape[1], columns)]
        for top, bottom in _cells(mask.shape[0], rows)
    ]
    return np.array(counts, dtype=np.float32)


def _cells(side: int, count: int) -> list[tuple[int, int]]:
    """First and last + 1 pixel of each of `count` cells; pixel i lies in cell i * count // side."""
    return list(pairwise((-(-np.arange(count + 1) * side // count)).tolist()))


def _unit(vector: npt.NDArray[np.float32]) -> Vector:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 0 else vector
