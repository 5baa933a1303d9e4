"""Predictions whose figures are known beforehand: perfect, off by one pixel, a class missing, nothing at all."""

import numpy as np
import pytest

from datalab.learning.evaluation import figures
from datalab.learning.metrics import confusion_matrix

NAMES = ("background", "leaf", "rust")
TRUTH = """
0000
1100
1102
0002
"""
SHIFTED = """
0000
0110
0110
0000
"""
"""By one pixel to the right: the leaf keeps 2 of 6 pixels, the rust leaves the image, the background keeps 8 of 14."""
NO_RUST = TRUTH.replace("2", "0")
NOTHING = NO_RUST.replace("1", "0")


def figures_of(truth: str, predicted: str) -> dict[str, object]:
    """The values of one 4 x 4 image."""
    true, made = (np.array([[int(cell) for cell in row] for row in text.split()]) for text in (truth, predicted))
    found = figures(confusion_matrix(true, made, 3)[None], NAMES, np.random.default_rng(0), 10)
    return {
        "iou": [found["iou"][name]["value"] for name in NAMES],
        "miou": found["miou"]["value"],
        "miou_objects": found["miou_objects"]["value"],
        "pixel_accuracy": found["pixel_accuracy"]["value"],
    }


@pytest.mark.parametrize(
    ("predicted", "iou", "right"),
    [
        (TRUTH, [1, 1, 1], 16),
        (SHIFTED, [8 / 14, 2 / 6, 0], 10),
        (NO_RUST, [10 / 12, 1, 0], 14),
        (NOTHING, [10 / 16, 0, 0], 10),
    ],
    ids=["perfect", "shifted", "a class missing", "nothing"],
)
def test_known_answers(predicted: str, iou: list[float], right: int) -> None:
    found = figures_of(TRUTH, predicted)
    assert found["iou"] == pytest.approx(iou, abs=1e-6)
    assert found["miou"] == pytest.approx(sum(iou) / 3, abs=1e-6)
    assert found["miou_objects"] == pytest.approx(sum(iou[1:]) / 2, abs=1e-6)
    assert found["pixel_accuracy"] == pytest.approx(right / 16)


def test_nothing_there_and_nothing_found_is_right_and_says_nothing_of_objects() -> None:
    assert figures_of(NOTHING, NOTHING) == {
        "iou": [1, None, None],
        "miou": 1,
        "miou_objects": None,
        "pixel_accuracy": 1,
    }


def test_what_is_found_where_nothing_is_lowers_the_background_alone() -> None:
    assert figures_of(NOTHING, NO_RUST)["iou"] == [12 / 16, None, None]
