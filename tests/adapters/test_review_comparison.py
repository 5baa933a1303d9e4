from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from datalab.adapters.files import write_label_map
from datalab.adapters.review_comparison import compare, predicted_objects
from datalab.errors import InputError
from datalab.masks import IGNORE_ID, rle_area
from tests.adapters.review_example import GUIDELINES


def iou_of(folder: Path, truth: list[list[int]], predicted: list[list[int]]) -> float | None:
    paths = folder / "truth.png", folder / "predicted.png"
    for path, values in zip(paths, (truth, predicted), strict=True):
        write_label_map(path, np.array(values, dtype=np.uint8))
    return compare(*paths, GUIDELINES).iou


def test_iou_leaves_out_what_was_not_judged(tmp_path: Path) -> None:
    assert iou_of(tmp_path, [[3, 3, 255]], [[3, 3, 7]]) == 1.0
    assert iou_of(tmp_path, [[255, 255]], [[3, 0]]) is None


def test_iou_counts_a_class_that_was_missed(tmp_path: Path) -> None:
    assert iou_of(tmp_path, [[3, 7, 0, 0]], [[3, 3, 0, 0]]) == pytest.approx((1 / 2 + 0 + 1) / 3)


@pytest.mark.parametrize("predicted", [[[3, 3]], [[3, 4, 0]]], ids=["size", "unknown class"])
def test_a_map_that_does_not_fit_is_named(tmp_path: Path, predicted: list[list[int]]) -> None:
    with pytest.raises(InputError, match=r"predicted\.png does not fit .*truth\.png: .*run dvc repro"):
        iou_of(tmp_path, [[3, 7, 0]], predicted)


def areas_of(truth: npt.NDArray[np.uint8], predicted: npt.ArrayLike) -> list[tuple[str, int]]:
    shown = np.array(predicted, dtype=np.uint8)
    return [(name, rle_area(rle, *shown.shape)) for name, rle in predicted_objects(truth, shown, GUIDELINES)]


def test_every_connected_part_of_a_class_is_an_object_largest_first() -> None:
    nothing = np.zeros((3, 6), dtype=np.uint8)
    assert areas_of(nothing, [[3, 0, 7, 7, 0, 3], [3, 0, 7, 7, 0, 3], [0, 0, 0, 0, 0, 3]]) == [
        ("cup", 4),
        ("coin", 3),
        ("coin", 2),
    ]
    assert areas_of(nothing, nothing) == []


def test_an_object_on_disputed_pixels_is_neither_right_nor_wrong() -> None:
    truth = np.zeros((1, 12), dtype=np.uint8)
    truth[0, :2], truth[0, 8:] = IGNORE_ID, IGNORE_ID
    # two of four pixels of the first are judged, one of four of the second
    assert areas_of(truth, [[3, 3, 3, 3, 0, 0, 0, 7, 7, 7, 7, 0]]) == [("coin", 4)]


def test_specks_are_no_objects() -> None:
    truth, predicted = np.zeros((2, 100, 100), dtype=np.uint8)
    predicted[0, :4], predicted[50, :5] = 3, 3
    assert areas_of(truth, predicted) == [("coin", 5)]
