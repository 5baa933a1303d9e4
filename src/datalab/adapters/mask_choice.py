"""Of masks with nearly the same box the best one, by predicted IoU, with few of them enlarged.

Most of what a grid of points finds is the same few objects again. How a mask lies is known before it is enlarged, to a
cell or two: where that is enough to say that its box is that of a better mask, it need not be.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from datalab.adapters.mask_grid import Answer
from datalab.adapters.mask_windows import Bools, Ints, Outline

SAME_BOX_IOU = 0.7
"""Of two boxes that overlap more the one with the lower predicted IoU goes; the value of SAM's authors."""


@dataclass(frozen=True)
class Candidate:
    """A mask that is good enough, in the pixels that were encoded."""

    outline: Outline
    predicted_iou: float


def best_per_box(
    answers: Sequence[Answer], enlarge: Callable[[Answer], Outline], is_good: Callable[[Outline], bool]
) -> list[Candidate]:
    """The best first; what is not good does not count. The same as non-maximum suppression of all that are good."""
    if not answers:
        return []
    inner, outer = np.stack([one.inner for one in answers]), np.stack([one.outer for one in answers])
    wanted = np.ones(len(answers), dtype=bool)
    kept: list[Candidate] = []
    better = np.zeros((0, 4), dtype=np.int64)
    for place in np.argsort([-one.predicted_iou for one in answers], kind="stable"):
        if not wanted[place]:
            continue
        outline = enlarge(answers[place])
        box = np.array([outline.box])
        if is_good(outline) and not _same_box(box, box, better).any():
            kept.append(Candidate(outline, answers[place].predicted_iou))
            better = np.concatenate([better, box])
            wanted &= ~_same_box(inner, outer, box)
    return kept


def _same_box(inner: Ints, outer: Ints, other: Ints) -> Bools:
    """Which boxes that hold `inner` and lie in `outer` surely overlap with `other` as its like; (n, 4) or (1, 4)."""
    most = _area(outer) + _area(other) - _overlap(outer, other)
    return np.asarray(_overlap(inner, other) > SAME_BOX_IOU * most)


def _area(boxes: Ints) -> Ints:
    area: Ints = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return area


def _overlap(boxes: Ints, others: Ints) -> Ints:
    sides = np.minimum(boxes[:, 2:], others[:, 2:]) - np.maximum(boxes[:, :2], others[:, :2])
    overlap: Ints = np.maximum(sides, 0).prod(axis=1)
    return overlap
