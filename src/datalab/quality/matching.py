"""Which object of one annotator is which of another: one to one, as much overlap as possible, same class first."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from datalab.masks import iou_matrix

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]
MORE_PAIRS = 1e-6
"""Worth of a pair beyond its IoU: less than any difference in IoU that matters, enough to break a tie."""
CONFUSION = 1e-6
"""Worth of a pair of different classes, as a share of the same pair of one class."""


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

    Pairs below the threshold are out before the assignment, so that a poor pair cannot push a good one aside. Matches
    of one class go before everything; what they leave over may pair with any class, as class confusion. Among equally
    good assignments the one with more pairs is taken, so that swapping the sides swaps the result.
    """
    overlap = iou_matrix([rle for _, rle in left], [rle for _, rle in right], height, width)
    return match_overlap(overlap, [label for label, _ in left], [label for label, _ in right], iou_threshold)


def match_overlap(overlap: Floats, left: Sequence[str], right: Sequence[str], iou_threshold: float) -> Matching:
    """The same from (left, right) IoUs that are known already, and the labels of the two sides."""
    allowed = (overlap >= iou_threshold) & (overlap > 0)
    same = np.array(left, dtype=str)[:, None] == np.array(right, dtype=str)[None]
    rows, columns = _assign(overlap, allowed, same)
    matches: list[Match] = []
    confusions: list[Match] = []
    for i, j, iou, alike in zip(
        rows.tolist(), columns.tolist(), overlap[rows, columns].tolist(), same[rows, columns].tolist(), strict=True
    ):
        (matches if alike else confusions).append(Match(i, j, iou))
    return Matching(
        tuple(matches),
        tuple(confusions),
        tuple(sorted(set(range(len(left))).difference(rows.tolist()))),
        tuple(sorted(set(range(len(right))).difference(columns.tolist()))),
    )


def _assign(overlap: Floats, allowed: Flags, same: Flags) -> tuple[Places, Places]:
    """Rows and columns of the pairs, ascending by row."""
    if max(allowed.sum(axis=0).max(initial=0), allowed.sum(axis=1).max(initial=0)) <= 1:
        # nobody has a choice, as on most images
        rows, columns = np.nonzero(allowed)
        return rows, columns
    worth = np.where(allowed, np.where(same, 1, CONFUSION) * (overlap + MORE_PAIRS), 0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    paired = allowed[rows, columns]
    return rows[paired], columns[paired]
