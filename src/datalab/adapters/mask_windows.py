"""From SAM's small logits to masks of an image's size, each only where it lies.

SAM enlarges its logits twice, to the size of its input and to that of the image. Both steps are linear and separate in
rows and columns, so that one matrix per axis does both, and any window of the result can be had without the rest.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from datalab.masks import crop_edges, edges_to_rle

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
BLOCK = 128
"""Rows of the enlarged mask made at a time: each needs a few rows of the small one."""


@dataclass(frozen=True)
class Axis:
    """How one axis is enlarged: output place i is `matrix[i] @ logits`, of which only low[i] to high[i] count."""

    matrix: Tensor
    low: Ints
    high: Ints

    @classmethod
    def of(cls, cells: int, input_side: int, used: int, out: int) -> "Axis":
        """`cells` of the logits over `input_side` pixels of SAM's input, whose first `used` are the image of `out`."""
        identity = torch.eye(cells)[None]
        large = functional.interpolate(identity, size=input_side, mode="linear", align_corners=False)[..., :used]
        matrix = functional.interpolate(large, size=out, mode="linear", align_corners=False)[0].T.contiguous()
        counts = matrix.numpy() > 0
        return cls(matrix, counts.argmax(axis=1), cells - 1 - counts[:, ::-1].argmax(axis=1))

    def window(self, cells: npt.NDArray[np.bool_]) -> tuple[int, int]:
        """First and last + 1 output place that any of the marked `cells` reaches; (0, 0) for none."""
        marked = np.flatnonzero(cells)
        if len(marked) == 0:
            return 0, 0
        return int(np.searchsorted(self.high, marked[0])), int(np.searchsorted(self.low, marked[-1], side="right"))

    @cached_property
    def between(self) -> tuple[Ints, Ints]:
        """First and last output place that hangs on cells c and c + 1 alone; where none does, the last is before."""
        cells = np.arange(self.matrix.shape[1] - 1)
        return np.searchsorted(self.low, cells), np.searchsorted(self.high, cells + 1, side="right") - 1

    def reach(self, marked: Bools) -> tuple[Ints, Ints]:
        """(n,) each: first and last output place that any of the marked of (n, cells) reaches."""
        first, last = ends(marked)
        return np.searchsorted(self.high, first), np.searchsorted(self.low, last, side="right") - 1

    def enlarge(self, logits: Tensor, start: int, stop: int) -> Tensor:
        """Places `start` to `stop` of the (cells, k) logits enlarged along the first axis: (stop - start, k)."""
        large = torch.empty(stop - start, logits.shape[1])
        for first in range(start, stop, BLOCK):
            last = min(first + BLOCK, stop)
            low, high = self.low[first], self.high[last - 1] + 1
            # by torch, which keeps to the threads it was given: numpy's products take all cores, whoever else is there
            torch.mm(self.matrix[first:last, low:high], logits[low:high], out=large[first - start : last - start])
        return large


@dataclass(frozen=True)
class Outline:
    """A mask as the places where it begins and ends, in the column by column order of COCO's run-length code."""

    changes: Ints
    """Flat places (x * height + y), sorted, of even number: from the first of each pair up to before the second."""
    box: tuple[int, int, int, int]
    """x0, y0, x1, y1 of the outermost pixels, the ends included; zeros where the mask is empty."""
    stability: float
    """IoU of the masks cut at the two offsets; NaN where neither has a pixel."""

    @property
    def area(self) -> int:
        """Pixels inside."""
        return int((self.changes[1::2] - self.changes[::2]).sum())


class Enlarger:
    """Makes outlines from the logits of one tile of an image."""

    def __init__(self, grid: tuple[int, int], input_side: int, used: tuple[int, int], out: tuple[int, int]) -> None:
        """(h, w) of the logits; the side of SAM's square input; its part that is the tile; the tile's own (h, w)."""
        self.y = Axis.of(grid[0], input_side, used[0], out[0])
        self.x = Axis.of(grid[1], input_side, used[1], out[1])

    def outline(self, logits: Floats, threshold: float, offset: float) -> Outline:
        """The mask of (h, w) logits above `threshold`, in the tile; stability as SAM's authors define it."""
        near = logits > threshold - offset
        top, bottom = self.y.window(np.asarray(near.any(axis=1)))
        left, right = self.x.window(np.asarray(near.any(axis=0)))
        # enlarged values are mixtures of the cells round them: outside of the window none exceeds the lower cutoff
        rows = self.y.enlarge(torch.from_numpy(logits), top, bottom)
        values = self.x.enlarge(rows.T, left, right).numpy()
        union = int(np.count_nonzero(values > threshold - offset))
        stable = int(np.count_nonzero(values > threshold + offset))
        changes, box = _changes(values > threshold, left, top, len(self.y.matrix))
        return Outline(changes, box, stable / union if union else float("nan"))

    def boxes(self, above: Bools) -> tuple[Ints, Ints]:
        """An inner and an outer bound, (n, 4) each, of the boxes of n masks, by which logits (n, h, w) lie above.

        x0, y0, x1, y1 as of `Outline`; zeros where a mask has no such box. A place between four cells is a mixture of
        them: it lies above the threshold where they all do, and no place does round which no cell does.
        """
        (y0, y1), (x0, x1) = self.y.between, self.x.between
        pairs: Bools = above[:, 1:] & above[:, :-1]
        all_four: Bools = pairs[..., 1:] & pairs[..., :-1] & (y0 <= y1)[:, None] & (x0 <= x1)
        (top, bottom), (left, right) = ends(_rows(all_four)), ends(_columns(all_four))
        inner = np.stack([x0[left], y0[top], x1[right], y1[bottom]], axis=1)
        (top, bottom), (left, right) = self.y.reach(_rows(above)), self.x.reach(_columns(above))
        outer = np.stack([left, top, right, bottom], axis=1)
        inside, anywhere = (_rows(some).any(axis=1, keepdims=True) for some in (all_four, above))
        return np.where(inside, inner, 0), np.where(anywhere, outer, 0)


def _rows(masks: Bools) -> Bools:
    """(n, h): which rows of (n, h, w) have any."""
    return np.asarray(masks.any(axis=2))


def _columns(masks: Bools) -> Bools:
    return np.asarray(masks.any(axis=1))


def ends(marked: Bools) -> tuple[Ints, Ints]:
    """(n,) each: the first and the last marked of (n, cells); of none the whole."""
    return marked.argmax(axis=1), marked.shape[1] - 1 - marked[:, ::-1].argmax(axis=1)


def outline_to_rle(outline: Outline, tile: tuple[int, int, int, int], height: int, width: int) -> str:
    """COCO compressed RLE, for an image of (height, width), of an outline in its `tile` (x0, y0, x1, y1)."""
    tile_height = tile[3] - tile[1]
    if (tile_height, tile[2] - tile[0]) == (height, width):
        changes = outline.changes
    else:
        changes = _moved(outline.changes, tile, tile_height, height)
    return edges_to_rle(changes, height, width)


def _changes(mask: npt.NDArray[np.bool_], left: int, top: int, height: int) -> tuple[Ints, tuple[int, int, int, int]]:
    """`mask`: (columns, rows) of a window whose corner is (left, top) in a tile of this height."""
    changes = crop_edges(mask.T, top, left, height)
    if len(changes) == 0:
        return changes, (0, 0, 0, 0)
    starts, lasts = changes[::2], changes[1::2] - 1
    x0, x1 = int(starts[0]) // height, int(lasts[-1]) // height
    return changes, (x0, int((starts % height).min()), x1, int((lasts % height).max()))


def _moved(changes: Ints, tile: tuple[int, int, int, int], tile_height: int, height: int) -> Ints:
    """The same pixels in the whole image; runs over several columns of the tile fall apart."""
    starts, ends = changes[::2], changes[1::2]
    first, last = starts // tile_height, (ends - 1) // tile_height
    parts = last - first + 1
    run = np.repeat(np.arange(len(starts)), parts)
    column = first[run] + np.arange(len(run)) - np.repeat(np.cumsum(parts) - parts, parts)
    begin = np.maximum(starts[run], column * tile_height) - column * tile_height
    end = np.minimum(ends[run], (column + 1) * tile_height) - column * tile_height
    offset = (column + tile[0]) * height + tile[1]
    return np.stack([begin + offset, end + offset], axis=1).ravel()
