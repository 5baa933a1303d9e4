import cv2
import numpy as np
import pytest

from datalab.learning.traits import image_traits

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
