"""Images, embeddings and label maps in the size the segmenter works at."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from datalab.adapters.files import read_label_map, read_rgb
from datalab.adapters.image_vectors import read_embedding
from datalab.adapters.segmenter_network import OUTPUT_STRIDE, STRIDE
from datalab.errors import InputError
from datalab.learning.embeddings import crop_embedding
from datalab.masks import IGNORE_ID, resize_labels

LABELS = STRIDE // OUTPUT_STRIDE
"""Label pixels per cell of the embedding."""


@dataclass(frozen=True)
class Sample:
    """One image at working size (h, w), both multiples of 8."""

    image: npt.NDArray[np.uint8]
    """(h, w, 3) RGB."""
    embedding: npt.NDArray[np.float16]
    """(C, h/8, w/8)."""
    labels: npt.NDArray[np.uint8] | None
    """(h/2, w/2) positions in the model's classes, 255 where not judged; None where there is no truth."""
    size: tuple[int, int]
    """(height, width) of the image on disk."""
    thin: tuple[int, ...] = ()
    """Positions of the classes that `shrink_labels` found too thin."""
    name: str = ""
    """What people know the image by: where training stops, it says on which images."""


def read_sample(
    image: Path, embedding: Path, longest_side: int, labels: Path | None = None, ids: Sequence[int] = ()
) -> Sample:
    """Read one image with its cached embedding and, where given, its label map of class ids.

    `ids[k]` is the class id (pixel value) of position k; another value of the label map than these and 255 is an
    InputError, as is a label map of another size than the image.
    """
    pixels = read_rgb(image)
    height, width = pixels.shape[:2]
    scale = longest_side / max(height, width)
    rows, columns = (max(1, round(side * scale / STRIDE)) for side in (height, width))
    grid = _on_grid(read_embedding(embedding), (height, width), (rows, columns))
    truth: npt.NDArray[np.uint8] | None = None
    thin: tuple[int, ...] = ()
    if labels is not None:
        positions = positions_of(read_label_map(labels), ids, labels)
        if positions.shape != (height, width):
            raise InputError(f"{labels} is {positions.shape[::-1]}, its image {(width, height)}; run dvc repro dataset")
        size = (columns * LABELS, rows * LABELS)
        truth, thin = shrink_labels(positions, size)
    return Sample(_resized(pixels, (rows, columns)), grid, truth, (height, width), thin, image.stem)


def shrink_labels(
    positions: npt.NDArray[np.uint8], size: tuple[int, int]
) -> tuple[npt.NDArray[np.uint8], tuple[int, ...]]:
    """A (H, W) label map of positions at another `size` (width, height), and which classes are too thin for it.

    A cell has the class of the pixel in its middle. A class of which no pixel lies there (a crack of three pixels
    across a photograph of 4000 x 3000, of which 31 make a cell) would be taught as background: it has the cells that
    it fills more than half as much as the one it fills the most, but never the last one of another class. Where a class
    fills such cells alone, none is left of it.
    """
    cells = resize_labels(positions, size[1], size[0])
    thin = sorted(_values(positions) - _values(cells) - {0, IGNORE_ID})
    filled = {
        one: np.asarray(cv2.resize((positions == one).astype(np.float32), size, interpolation=cv2.INTER_AREA))
        for one in thin
    }
    # the smallest first: a larger one more likely fills other cells, too
    for one in sorted(thin, key=lambda one: float(filled[one].sum())):
        _settle(cells, one, filled[one])
    return cells, tuple(thin)


def _settle(cells: npt.NDArray[np.uint8], one: int, filled: npt.NDArray[np.float32]) -> None:
    """Give class `one` the cells that it has by `shrink_labels`; `filled`: the share of each that is of the class."""
    left = np.bincount(cells.ravel(), minlength=256)
    left[[0, IGNORE_ID]] = cells.size + 1  # what is no object may go
    fullest = np.argsort(-filled, axis=None, kind="stable")[: np.count_nonzero(filled)]
    for place in fullest:
        if left[one] and filled.flat[place] <= filled.max() / 2:
            break
        if left[cells.flat[place]] > 1:
            left[cells.flat[place]] -= 1
            left[one] += 1
            cells.flat[place] = one


def in_one_piece(samples: Sequence[Sample]) -> list[Sample]:
    """The same samples, all their images in one piece of memory, all embeddings and all labels in another.

    Read one by one, small arrays that stay lie between large ones that were let go, whose room the process keeps: four
    times as much as their own.
    """
    parts = (_joined([getattr(one, name) for one in samples]) for name in ("image", "embedding", "labels"))
    return [
        replace(one, image=image, embedding=embedding, labels=labels)
        for one, image, embedding, labels in zip(samples, *parts, strict=True)
    ]


def _joined(arrays: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
    pieces = np.split(np.concatenate([one.ravel() for one in arrays]), np.cumsum([one.size for one in arrays])[:-1])
    return [piece.reshape(one.shape) for piece, one in zip(pieces, arrays, strict=True)]


def with_pixels(sample: Sample, pixels: npt.NDArray[np.uint8], embedding: npt.NDArray[np.float16] | None) -> Sample:
    """The sample as if its image looked like `pixels` (H, W, 3), of any size in its proportions; labels stay.

    `embedding`: SAM's (C, h, w) of these pixels; None keeps the sample's own, for a model that looks at none.
    """
    cells = (sample.embedding.shape[1], sample.embedding.shape[2])
    grid = sample.embedding if embedding is None else _on_grid(embedding, pixels.shape[:2], cells)
    return replace(sample, image=_resized(pixels, cells), embedding=grid)


def without_embedding(sample: Sample) -> Sample:
    """The sample with an embedding of zeros that takes no memory, for a model that looks at none."""
    return replace(sample, embedding=np.broadcast_to(np.float16(0), sample.embedding.shape))


def positions_of(label_map: npt.NDArray[np.uint8], ids: Sequence[int], path: Path) -> npt.NDArray[np.uint8]:
    """A (H, W) label map of class ids as positions in `ids`; 255 stays, another value is an InputError with `path`."""
    table = np.full(256, IGNORE_ID, dtype=np.uint8)
    table[list(ids)] = np.arange(len(ids), dtype=np.uint8)
    unknown = sorted(_values(label_map) - {*ids, IGNORE_ID})
    if unknown:
        raise InputError(f"{path} has the pixel value(s) {unknown}, known are {list(ids)}; run dvc repro dataset")
    return np.asarray(table[label_map], dtype=np.uint8)


def _values(label_map: npt.NDArray[np.uint8]) -> set[int]:
    """Those that occur; np.unique sorts, which takes four times as long of a photograph."""
    return set(np.flatnonzero(np.bincount(label_map.ravel())).tolist())


def _resized(pixels: npt.NDArray[np.uint8], cells: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Working image of this many rows and columns of cells."""
    wanted = (cells[1] * STRIDE, cells[0] * STRIDE)
    # what INTER_AREA enlarges is made of blocks
    shrinks = pixels.shape[1] >= wanted[0] and pixels.shape[0] >= wanted[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, wanted, interpolation=how), dtype=np.uint8)


def _on_grid(
    embedding: npt.NDArray[np.float16], size: tuple[int, ...], cells: tuple[int, int]
) -> npt.NDArray[np.float16]:
    """What of the embedding lies on the image of `size` (height, width), in rows and columns of cells."""
    valid = torch.from_numpy(crop_embedding(embedding, size[0], size[1]).astype(np.float32))[None]
    grid: Tensor = functional.interpolate(valid, size=cells, mode="bilinear", align_corners=False)
    return grid[0].numpy().astype(np.float16)
