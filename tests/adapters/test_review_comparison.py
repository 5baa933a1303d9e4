from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from datalab.adapters import review_comparison
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


def cells(count: int, side: int) -> npt.NDArray[np.uint8]:
    """`count` coins in rows, of `side` x `side` pixels each, on 480 x 640."""
    label_map = np.zeros((480, 640), dtype=np.uint8)
    for place in range(count):
        top, left = 5 + place // 25 * 25, 5 + place % 25 * 25
        label_map[top : top + side, left : left + side] = 3
    return label_map


@pytest.mark.parametrize(("count", "side"), [(225, 16), (10, 8), (3, 1)], ids=["many", "small", "of one pixel"])
def test_what_was_predicted_exactly_is_all_there(count: int, side: int) -> None:
    truth = cells(count, side)
    assert areas_of(truth, truth) == [("coin", side * side)] * count


def test_of_what_has_no_partner_the_largest_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review_comparison, "MOST_OBJECTS", 2)
    truth, predicted = cells(3, 8), cells(8, 16)
    predicted[:, 80:] = np.where(predicted[:, 80:] == 3, 7, 0)
    predicted[truth == 3] = 3
    predicted[:20, :80], predicted[300:, :40] = truth[:20, :80], 7
    # three coins of 8 x 8, which the consensus has, and of six cups the largest and the next
    assert areas_of(truth, predicted) == [("cup", 180 * 40), ("cup", 256), *[("coin", 64)] * 3]


def test_what_is_not_judged_takes_no_others_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review_comparison, "MOST_OBJECTS", 1)
    truth, predicted = np.zeros((2, 10, 12), dtype=np.uint8)
    truth[:, :6] = IGNORE_ID
    predicted[:, :5], predicted[:, 8:10] = 3, 7
    assert areas_of(truth, predicted) == [("cup", 20)]


def test_a_speck_needs_a_partner_of_its_class() -> None:
    truth, predicted = cells(2, 8), cells(2, 8)
    predicted[predicted == 3] = 7
    assert areas_of(truth, predicted) == []


def test_specks_are_no_objects() -> None:
    truth, predicted = np.zeros((2, 100, 100), dtype=np.uint8)
    predicted[0, :4], predicted[50, :5] = 3, 3
    assert areas_of(truth, predicted) == [("coin", 5)]
