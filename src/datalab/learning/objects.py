"""Objects of a label map: its connected pieces, class by class, and how sure a model is of each."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from datalab.masks import IGNORE_ID, BoolMask, connected_crops


@dataclass(frozen=True)
class MapObject:
    """One connected piece."""

    position: int
    """Of its class, 1 or more."""
    top: int
    left: int
    crop: BoolMask
    """(h, w) pixels of a box around it, which begins at row `top` and column `left`."""
    size: tuple[int, ...]
    """(H, W) of the label map."""
    score: float = 1.0
    """How sure the model is of it, in [0, 1]; 1 for truth."""

    @property
    def mask(self) -> BoolMask:
        """(H, W) of the label map, laid out anew each time: a hundred of a photograph take minutes."""
        mask = np.zeros(self.size, dtype=bool)
        mask[self.top :, self.left :][: self.crop.shape[0], : self.crop.shape[1]] = self.crop
        return mask


def objects_of(
    positions: npt.NDArray[np.uint8], least: int, probabilities: npt.NDArray[np.floating[Any]] | None = None
) -> Iterator[MapObject]:
    """Pieces of at least `least` pixels of the label map (H, W), background (0) and what is not judged (255) left out.

    `probabilities` (K, h, w), of any size in the same proportions: a piece's score is the mean of its class's.
    """
    for position in sorted({int(value) for value in np.unique(positions)} - {0, IGNORE_ID}):
        for _, top, left, crop in connected_crops(positions == position, least):
            found = MapObject(position, top, left, crop, positions.shape)
            yield found if probabilities is None else replace(found, score=_mean_inside(probabilities[position], found))


def hit_shares(hits: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Precision, recall and F1, (..., 3) of (..., 3) objects that are right, wrong and missed; each in [0, 1].

    NaN without an object in the truth, where there was nothing to find, and of the precision where nothing was found.
    """
    right, wrong, missed = np.moveaxis(hits.astype(np.float64), -1, 0)
    above = np.stack([right, right, 2 * right], axis=-1)
    below = np.stack([right + wrong, right + missed, 2 * right + wrong + missed], axis=-1)
    defined = (below > 0) & (right + missed > 0)[..., None]
    shares: npt.NDArray[np.float64] = np.where(defined, above / np.maximum(below, 1), np.nan)
    return shares


def _mean_inside(values: npt.NDArray[np.floating[Any]], found: MapObject) -> float:
    y, x = np.nonzero(found.crop)
    rows = (y + found.top) * values.shape[0] // found.size[0]
    columns = (x + found.left) * values.shape[1] // found.size[1]
    return float(values[rows, columns].mean())
