import cv2
import numpy as np
import pandas as pd
import pytest

from datalab.learning.traits import image_traits, written_traits

CLASSES = {"leaf": 1, "rust": 2}


def test_a_plain_grey_image() -> None:
    traits = image_traits(np.full((8, 8, 3), 51, np.uint8), np.zeros((8, 8), np.uint8), CLASSES)
    assert traits["brightness"] == pytest.approx(0.2)
    assert traits["contrast"] == pytest.approx(0.0)
    assert traits["foreground"] == 0.0
    assert (traits["leaf there"], traits["rust there"]) == (False, False)


def test_blur_lowers_sharpness_and_leaves_brightness() -> None:
    sharp = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    blurred = np.asarray(cv2.GaussianBlur(sharp, (0, 0), 2), np.uint8)
    truth = np.zeros((64, 64), np.uint8)
    first, second = (image_traits(image, truth, CLASSES) for image in (sharp, blurred))
    assert second["sharpness"] < first["sharpness"] - 1
    assert second["brightness"] == pytest.approx(first["brightness"], abs=0.01)


def test_what_is_not_judged_counts_for_nothing() -> None:
    truth = np.array([[0, 2, 255, 255]], np.uint8)
    traits = image_traits(np.zeros((1, 4, 3), np.uint8), truth, CLASSES)
    assert traits["foreground"] == 0.5
    assert traits["rust there"]
    assert not traits["leaf there"]


def test_nothing_judged_is_no_foreground() -> None:
    assert image_traits(np.zeros((2, 2, 3), np.uint8), np.full((2, 2), 255, np.uint8), CLASSES)["foreground"] == 0.0


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["1", "2.5", ""], [1.0, 2.5, None]),
        (["-3e2", "0", "0.5"], [-300.0, 0.0, 0.5]),
        (["sun", "", "2"], ["sun", None, "2"]),
        (["007", "8", "9"], ["007", "8", "9"]),
        (["27601202401150003", "27601202401150004"], ["27601202401150003", "27601202401150004"]),
        (["nan", "1", "2"], ["nan", "1", "2"]),
        (["inf", "1", "2"], ["inf", "1", "2"]),
        (["", "", ""], [None, None, None]),
    ],
)
def test_what_is_written_is_a_number_where_all_of_the_column_is(written: list[str], read: list[object]) -> None:
    (found,) = written_traits(pd.DataFrame({"x": written}, dtype="str")).to_dict("list").values()
    assert [None if pd.isna(one) else one for one in found] == read
