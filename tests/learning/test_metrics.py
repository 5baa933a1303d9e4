import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import binary_erosion
from sklearn.metrics import accuracy_score, f1_score, jaccard_score, precision_score, recall_score
from sklearn.metrics import confusion_matrix as sklearn_confusion
from torchmetrics.functional import classification as functional

from datalab.learning.metrics import (
    boundary_counts,
    confusion_matrix,
    dice_per_class,
    iou_per_class,
    mean_defined,
    mean_iou,
    overlap_counts,
    overlap_iou,
    pixel_accuracy,
    precision_per_class,
    recall_per_class,
)

CLASSES = 4
Map = npt.NDArray[np.uint8]


def maps() -> st.SearchStrategy[tuple[Map, Map]]:
    one = hnp.arrays(np.uint8, (6, 7), elements=st.integers(0, CLASSES - 1))
    return st.tuples(one, one)


@pytest.mark.slow
@given(maps())
@settings(max_examples=80)
def test_figures_equal_sklearn(pair: tuple[Map, Map]) -> None:
    truth, predicted = pair
    counts = confusion_matrix(truth, predicted, CLASSES)
    flat, every = (truth.ravel(), predicted.ravel()), list(range(CLASSES))
    np.testing.assert_array_equal(counts, sklearn_confusion(*flat, labels=every))
    overlaps = overlap_counts(counts)
    assert pixel_accuracy(overlaps) == pytest.approx(accuracy_score(*flat))
    present = np.unique(truth)
    iou = jaccard_score(*flat, labels=every, average=None, zero_division=0)
    dice = f1_score(*flat, labels=every, average=None, zero_division=0)
    np.testing.assert_allclose(iou_per_class(counts)[present], iou[present])
    for ours, theirs in ((precision_per_class, precision_score), (recall_per_class, recall_score)):
        expected = theirs(*flat, labels=every, average=None, zero_division=0)
        np.testing.assert_allclose(ours(overlaps)[present], expected[present])
    np.testing.assert_allclose(dice_per_class(overlaps)[present], dice[present])
    assert np.isnan(iou_per_class(counts)[np.setdiff1d(every, present)]).all()
    assert float(mean_iou(counts)) == pytest.approx(iou[present].mean())


def test_pixels_that_are_not_judged_do_not_count() -> None:
    truth = np.array([[0, 1, 255]], dtype=np.uint8)
    np.testing.assert_array_equal(confusion_matrix(truth, np.array([[0, 1, 1]]), 2), [[1, 0], [0, 1]])


def test_a_class_without_a_true_pixel_is_undefined_and_left_out_of_the_mean() -> None:
    counts = confusion_matrix(np.array([[0, 0, 0, 0]]), np.array([[0, 0, 0, 2]]), 3)
    np.testing.assert_allclose(iou_per_class(counts), [0.75, np.nan, np.nan])
    assert float(mean_iou(counts)) == 0.75


def test_nothing_judged_is_undefined() -> None:
    empty = np.zeros((2, 2), dtype=np.int64)
    assert np.isnan(mean_iou(empty))
    assert np.isnan(pixel_accuracy(overlap_counts(empty)))
    assert np.isnan(mean_defined(np.array([np.nan])))


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [([[0]], [[0, 1]], "shape"), ([[3]], [[0]], "outside 0 to 1"), ([[0]], [[-1]], "outside 0 to 1")],
)
def test_wrong_maps_are_refused(truth: list[list[int]], predicted: list[list[int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        confusion_matrix(np.array(truth), np.array(predicted), 2)


@given(maps())
@settings(max_examples=40)
def test_boundary_iou_is_that_of_the_eroded_masks(pair: tuple[Map, Map]) -> None:
    """The band is one pixel wide at this size."""
    truth, predicted = pair
    found = overlap_iou(boundary_counts(truth, predicted, CLASSES))
    for position in range(CLASSES):
        bands = [
            mask & ~binary_erosion(mask, np.ones((3, 3), dtype=bool), border_value=0)
            for mask in (truth == position, predicted == position)
        ]
        if bands[0].any():
            assert found[position] == pytest.approx((bands[0] & bands[1]).sum() / (bands[0] | bands[1]).sum())
        else:
            assert np.isnan(found[position])


@given(maps())
def test_an_iou_needs_no_more_than_overlaps(pair: tuple[Map, Map]) -> None:
    counts = np.stack([confusion_matrix(*pair, CLASSES), confusion_matrix(*pair[::-1], CLASSES)])
    overlaps = overlap_counts(counts)
    assert overlaps.shape == (2, CLASSES, 3)
    np.testing.assert_array_equal(overlap_iou(overlaps), iou_per_class(counts))
    np.testing.assert_array_equal(overlap_iou(overlaps.sum(axis=0)), iou_per_class(counts.sum(axis=0)))


def test_what_nobody_judged_has_no_outline() -> None:
    truth = np.zeros((9, 9), dtype=np.uint8)
    truth[:, 3:6] = 1
    truth[:, 4:] = 255
    predicted = np.zeros_like(truth)
    predicted[:, 3:] = 1
    # column 3 is the outline of class 1 in both, and its pixels above and below lie on the image's edge
    assert boundary_counts(truth, predicted, 2)[1].tolist() == [9, 9, 9]
    assert overlap_iou(boundary_counts(truth, 1 - predicted, 2))[1] == 0


@given(maps())
@settings(max_examples=40)
def test_figures_equal_torchmetrics(pair: tuple[Map, Map]) -> None:
    truth, predicted = pair
    counts, present = overlap_counts(confusion_matrix(truth, predicted, CLASSES)), np.unique(truth)
    for ours, theirs in (
        (overlap_iou, functional.multiclass_jaccard_index),
        (dice_per_class, functional.multiclass_f1_score),
        (recall_per_class, functional.multiclass_recall),
    ):
        expected = theirs(torch.from_numpy(predicted), torch.from_numpy(truth), CLASSES, average="none").numpy()
        np.testing.assert_allclose(ours(counts)[present], expected[present], rtol=1e-6)
