import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import confusion_matrix, jaccard_score

from datalab.quality.pixels import class_dice, class_iou, pixel_confusion, quantity_and_allocation

MAPS = arrays(np.uint8, (5, 7), elements=st.integers(0, 2))


@given(MAPS, MAPS)
def test_confusion_and_iou_are_scikit_learns(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> None:
    confusion = pixel_confusion(a, b, 3)
    assert np.array_equal(confusion, confusion_matrix(a.ravel(), b.ravel(), labels=[0, 1, 2]))
    for class_id, iou in enumerate(class_iou(confusion)):
        if iou is not None:
            expected = jaccard_score(a.ravel() == class_id, b.ravel() == class_id)
            assert iou == pytest.approx(expected)


@given(MAPS, MAPS)
def test_dice_follows_from_iou_and_disagreement_adds_up(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> None:
    confusion = pixel_confusion(a, b, 3)
    for iou, dice in zip(class_iou(confusion), class_dice(confusion), strict=True):
        assert (iou is None) == (dice is None)
        if iou is not None:
            assert dice == pytest.approx(2 * iou / (1 + iou))
    assert sum(quantity_and_allocation(confusion)) == pytest.approx(float((a != b).mean()))


def test_an_absent_class_has_no_iou() -> None:
    confusion = pixel_confusion(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8), 2)
    assert class_iou(confusion) == [1.0, None]
    assert class_dice(confusion) == [1.0, None]


def test_maps_that_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match=r"\(2, 2\) and \(2, 3\)"):
        pixel_confusion(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), 2)
    with pytest.raises(ValueError, match="above 1"):
        pixel_confusion(np.full((2, 2), 2, np.uint8), np.zeros((2, 2), np.uint8), 2)
