"""Against non-maximum suppression of all masks, each at its full size."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import nms

from datalab.adapters.mask_choice import SAME_BOX_IOU, Candidate, best_per_box
from datalab.adapters.mask_grid import Answer
from datalab.adapters.mask_windows import Enlarger, Outline

NOTHING = np.zeros((0, 0), dtype=np.float32)
BOX = st.tuples(*[st.integers(0, 30)] * 2, *[st.integers(0, 20)] * 2).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


def answer_of(box: tuple[int, int, int, int], score: float, loose: int) -> Answer:
    """What is known of it is the box, to within `loose`."""
    inner = np.array([box[0] + loose, box[1] + loose, box[2] - loose, box[3] - loose])
    known = inner if (inner[2:] >= inner[:2]).all() else np.zeros(4, dtype=np.int64)
    outer = np.array([box[0] - loose, box[1] - loose, box[2] + loose, box[3] + loose])
    return Answer(NOTHING, box[:2], score, known, outer)


def chosen(
    boxes: list[tuple[int, int, int, int]], scores: list[float], loose: int, stable: list[bool]
) -> tuple[list[int], int]:
    """Places of those that are kept, and how many were enlarged."""
    answers = [answer_of(box, score, loose) for box, score in zip(boxes, scores, strict=True)]
    outlines = [
        Outline(np.array([n]), box, float(good)) for n, (box, good) in enumerate(zip(boxes, stable, strict=True))
    ]
    asked: list[int] = []

    def enlarge(answer: Answer) -> Outline:
        asked.append(next(n for n, one in enumerate(answers) if one is answer))
        return outlines[asked[-1]]

    found: list[Candidate] = best_per_box(answers, enlarge, lambda outline: outline.stability > 0)
    return [int(one.outline.changes[0]) for one in found], len(asked)


@given(st.data(), st.lists(BOX, max_size=12), st.integers(0, 3))
def test_it_keeps_what_suppression_of_all_keeps(
    data: st.DataObject, boxes: list[tuple[int, int, int, int]], loose: int
) -> None:
    scores = [data.draw(st.sampled_from([0.5, 0.6, 0.7, 0.8])) for _ in boxes]
    stable = [data.draw(st.booleans()) for _ in boxes]
    good = [n for n, one in enumerate(stable) if one]
    places = torch.tensor([boxes[n] for n in good], dtype=torch.float).reshape(-1, 4)
    expected = [good[n] for n in nms(places, torch.tensor([scores[n] for n in good]), SAME_BOX_IOU).tolist()]
    assert chosen(boxes, scores, loose, stable)[0] == expected


def test_what_surely_is_a_better_one_again_is_not_enlarged() -> None:
    boxes = [(0, 0, 40, 40), (1, 0, 40, 40), (0, 20, 40, 60), (1, 1, 40, 40)]
    assert chosen(boxes, [0.9, 0.8, 0.7, 0.95], 1, [True] * 4) == ([3, 2], 2)
    # to within four pixels it is not sure
    assert chosen(boxes, [0.9, 0.8, 0.7, 0.95], 4, [True] * 4) == ([3, 2], 4)
    # what is not good suppresses nothing
    assert chosen(boxes, [0.9, 0.8, 0.7, 0.95], 1, [True, True, True, False]) == ([0, 2], 3)


@pytest.mark.parametrize("size", [(256, 171), (100, 150), (600, 377), (40, 31), (3, 1), (1, 300)])
@pytest.mark.parametrize("scale", [0.4, 3.0])
def test_bounds_hold_for_the_box_of_the_enlarged_mask(size: tuple[int, int], scale: float) -> None:
    rng = np.random.default_rng(size[0])
    longest = max(size)
    used = (int(size[0] * 256 / longest + 0.5), int(size[1] * 256 / longest + 0.5))
    enlarger = Enlarger((64, 64), 256, used, size)
    noise = [cv2.GaussianBlur(rng.normal(0, 1, (64, 64)), (0, 0), scale) * scale - rng.uniform(0, 2) for _ in range(40)]
    logits = np.stack([*noise, np.full((64, 64), -1.0), np.full((64, 64), 1.0)]).astype(np.float32)
    inner, outer = enlarger.boxes(logits > 0)
    boxes = np.array([enlarger.outline(one, 0.0, 1.0).box for one in logits])
    areas = np.array([enlarger.outline(one, 0.0, 1.0).area for one in logits])
    known = inner.any(axis=1)
    assert (boxes[known, :2] <= inner[known, :2]).all() and (inner[known, 2:] <= boxes[known, 2:]).all()
    filled = areas > 0
    assert (outer[filled, :2] <= boxes[filled, :2]).all() and (boxes[filled, 2:] <= outer[filled, 2:]).all()
    assert outer[-1].tolist() == boxes[-1].tolist() == [0, 0, size[1] - 1, size[0] - 1]
    assert np.abs(inner[-1] - outer[-1]).max() <= 1  # the last place may hang on three cells
    assert inner[-2].tolist() == outer[-2].tolist() == [0, 0, 0, 0]
