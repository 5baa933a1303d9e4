"""Vectors out of SAM's image embeddings: of a whole image, of one region.

An embedding (C, h, w) covers SAM's square: the image scaled to fit, with padding below or to the right of it.
"""

from collections.abc import Sequence
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


def region_vector(embedding: Embedding, crop: BoolMask, top: int, left: int, height: int, width: int) -> Vector:
    """One vector (C,) of unit length: the mean over the cells, each weighed by how much of it lies inside a mask.

    The (height, width) mask is `crop` (h, w) at (top, left), and empty elsewhere; all empty, it is the whole image.
    """
    if not crop.any():
        crop, top, left = np.ones((height, width), dtype=bool), 0, 0
    # the grid covers the square: the image may end within a cell
    square = [max(height, width)] * 2
    weights = _cell_shares(crop, (top, left), square, embedding.shape[1:])
    return _unit((embedding.astype(np.float32) * weights).sum(axis=(1, 2)) / weights.sum())


def _cell_shares(
    crop: BoolMask, corner: Sequence[int], size: Sequence[int], grid: Sequence[int]
) -> npt.NDArray[np.float32]:
    """How many pixels of `crop` at `corner` of an image of `size` fall into each cell of its `grid`, all (y, x)."""
    shares = np.zeros(grid, dtype=np.float32)
    rows, columns = (_cells(*axis) for axis in zip(size, grid, corner, crop.shape, strict=True))
    # the places of all pixels inside would take sixteen times the memory of the mask
    for row, top, bottom in rows:
        for column, left, right in columns:
            shares[row, column] = np.count_nonzero(crop[top:bottom, left:right])
    return shares


def _cells(side: int, count: int, first: int, length: int) -> list[tuple[int, int, int]]:
    """(cell, its first and last + 1 pixel, counted from `first`) of those of `count` cells that `length` pixels touch.

    Pixel i of `side` lies in cell i * count // side.
    """
    edges = (-(-np.arange(count + 1) * side // count) - first).clip(0, length).tolist()
    return [(cell, begin, end) for cell, (begin, end) in enumerate(pairwise(edges)) if begin < end]


def _unit(vector: npt.NDArray[np.float32]) -> Vector:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 0 else vector
