"""Which object of one annotator is which of another: one to one, as much overlap as possible, same class first."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from datalab.masks import iou_matrix


@dataclass(frozen=True)
class Match:
    """Objects `left` and `right` (places in their lists) and the IoU of their masks."""

    left: int
    right: int
    iou: float


@dataclass(frozen=True)
class Matching:
    """`matches` have the same class, `confusions` another one; the rest was seen by one side only."""

    matches: tuple[Match, ...]
    confusions: tuple[Match, ...]
    only_left: tuple[int, ...]
    only_right: tuple[int, ...]

    @property
    def objects(self) -> int:
        """Distinct objects: pairs and leftovers of both sides."""
        return len(self.matches) + len(self.confusions) + len(self.only_left) + len(self.only_right)

    @property
    def iou_sum(self) -> float:
        """Sum of the IoU over the matches; confusions and leftovers count as 0."""
        return sum(match.iou for match in self.matches)


def match_regions(
    left: Sequence[tuple[str, str]],
    right: Sequence[tuple[str, str]],
    height: int,
    width: int,
    iou_threshold: float,
) -> Matching:
    """Match two lists of (label, rle) on one image.

    Pairs below the threshold are out before the assignment, so that a poor pair cannot push a good one aside. The
    second pass matches leftovers of any class: they are class confusion. Swapping the sides swaps the result.
    """
    overlap = iou_matrix([rle for _, rle in left], [rle for _, rle in right], height, width)
    overlap[overlap < iou_threshold] = 0
    same = np.array([[a == b for b, _ in right] for a, _ in left], dtype=bool).reshape(overlap.shape)
    matches = _assign(np.where(same, overlap, 0))
    free = overlap.copy()
    free[[match.left for match in matches], :] = 0
    free[:, [match.right for match in matches]] = 0
    confusions = _assign(free)
    pairs = (*matches, *confusions)
    return Matching(
        matches,
        confusions,
        tuple(sorted(set(range(len(left))) - {pair.left for pair in pairs})),
        tuple(sorted(set(range(len(right))) - {pair.right for pair in pairs})),
    )


def _assign(overlap: npt.NDArray[np.float64]) -> tuple[Match, ...]:
    rows, columns = linear_sum_assignment(-overlap)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return tuple(Match(row, column, float(overlap[row, column])) for row, column in pairs if overlap[row, column] > 0)
