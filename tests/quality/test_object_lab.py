"""On rectangles, where masks and boxes are the same thing, cleanlab's own scores are the oracle."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from cleanlab.object_detection import rank

from datalab.quality.object_lab import SUBTYPES, Pairing, image_doubt, object_lab, pair_objects

CLASSES = 4
Map = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]
"""Left, top, right, bottom, the last two outside."""


def drawn(objects: list[tuple[int, Box]]) -> Map:
    canvas = np.zeros((60, 80), dtype=np.uint8)
    for label, (left, top, right, bottom) in objects:
        canvas[top:bottom, left:right] = label
    return canvas


def seen(objects: list[tuple[int, Box, float]]) -> npt.NDArray[np.float64]:
    """(K, h, w) of a model that is so sure of each of its objects."""
    chances = np.full((CLASSES, 60, 80), 0.01)
    chances[0] = 0.97
    for label, (left, top, right, bottom), sure in objects:
        chances[:, top:bottom, left:right] = (1 - sure) / (CLASSES - 1)
        chances[label, top:bottom, left:right] = sure
    return chances


def paired(labels: Map, chances: npt.NDArray[np.float64], least_area: int = 1) -> Pairing:
    return pair_objects(labels, chances, least_area)


def boxes(objects: list[tuple[int, Box]]) -> dict[str, Any]:
    return {
        "bboxes": np.array([box for _, box in objects], dtype=float),
        "labels": np.array([label - 1 for label, _ in objects]),
    }


def predictions(objects: list[tuple[int, Box, float]]) -> npt.NDArray[np.object_]:
    """As cleanlab has them: per class (n, 5) of box and probability."""
    found = np.empty(CLASSES - 1, dtype=object)
    for label in range(1, CLASSES):
        rows = [[*box, sure] for one, box, sure in objects if one == label]
        found[label - 1] = np.array(rows, dtype=float).reshape(-1, 5)
    return found


GIVEN: list[list[tuple[int, Box]]] = [
    [(1, (2, 2, 12, 12)), (2, (40, 30, 60, 50))],
    [(1, (2, 2, 12, 12)), (3, (60, 2, 76, 20))],
    [(2, (5, 30, 25, 50)), (1, (40, 5, 52, 15))],
]
MODEL: list[list[tuple[int, Box, float]]] = [
    [(1, (2, 2, 12, 12), 0.99), (2, (44, 30, 64, 50), 0.8), (3, (2, 40, 12, 55), 0.97)],
    [(2, (2, 2, 12, 12), 0.98), (3, (60, 2, 76, 20), 0.99), (1, (20, 40, 40, 55), 0.99)],
    [(2, (5, 30, 25, 50), 0.99), (1, (40, 5, 52, 15), 0.9)],
]


def by_cleanlab(subtype: str) -> list[npt.NDArray[np.float64]]:
    score: dict[str, Any] = {
        "overlooked": rank.compute_overlooked_box_scores,
        "swap": rank.compute_swap_box_scores,
        "badloc": rank.compute_badloc_box_scores,
    }
    found = score[subtype](labels=[boxes(one) for one in GIVEN], predictions=[predictions(one) for one in MODEL])
    return [one[~np.isnan(one)] for one in found]


@pytest.mark.parametrize("subtype", SUBTYPES)
def test_scores_are_cleanlabs(subtype: str) -> None:
    found = object_lab([paired(drawn(given), seen(model)) for given, model in zip(GIVEN, MODEL, strict=True)])
    for ours, theirs in zip(found, by_cleanlab(subtype), strict=True):
        scores = sorted(1 - one.score for one in ours if one.subtype == subtype)
        assert scores == pytest.approx(sorted(theirs.tolist()))


def test_an_image_is_pooled_as_by_cleanlab() -> None:
    found = object_lab([paired(drawn(given), seen(model)) for given, model in zip(GIVEN, MODEL, strict=True)])
    expected = rank.get_label_quality_scores(
        [boxes(one) for one in GIVEN], [predictions(one) for one in MODEL], verbose=False
    )
    assert [1 - image_doubt(one) for one in found] == pytest.approx(expected.tolist(), abs=1e-6)


def test_objects_are_told_apart_by_their_pixels_not_their_boxes() -> None:
    """A ring and what lies in its hole: the boxes overlap, the masks do not."""
    ring = drawn([(1, (10, 10, 40, 40))])
    ring[14:36, 14:36] = 0
    chances = seen([(1, (10, 10, 40, 40), 0.99)])
    chances[:, 14:36, 14:36] = seen([])[:, 14:36, 14:36]
    chances[:, 20:30, 20:30] = seen([(2, (20, 20, 30, 30), 0.99)])[:, 20:30, 20:30]
    found = object_lab([paired(ring, chances)])[0]
    worst = max(found, key=lambda one: one.score)
    assert (worst.subtype, worst.label, worst.box_xywh) == ("overlooked", 2, (20, 20, 10, 10))


def test_what_is_small_or_not_judged_is_left_out() -> None:
    labels = drawn([(1, (0, 0, 3, 3))])
    labels[40:50, 40:50] = 255
    found = object_lab([paired(labels, seen([(2, (40, 40, 50, 50), 0.99)]), least_area=10)])
    assert found == [[]]
    assert image_doubt(found[0]) == 0
