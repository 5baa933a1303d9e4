from itertools import product
from typing import Any

import numpy as np
import pytest

from datalab.learning.evaluation import ONE_IMAGE, boundary_figures, calibration, figures, object_figures
from datalab.learning.metrics import boundary_counts, confusion_matrix

NAMES = ("background", "leaf", "rust")


def test_what_cannot_be_measured_is_null_with_its_reason() -> None:
    seen = confusion_matrix(np.array([[0, 0, 1, 1]]), np.array([[0, 0, 1, 2]]), 3)
    blank = confusion_matrix(np.array([[0, 0, 0, 0]]), np.array([[0, 0, 0, 0]]), 3)
    report = figures(np.stack([seen, blank, blank]), NAMES, np.random.default_rng(0), 50)
    assert report["iou"]["rust"] == {
        "value": None,
        "low": None,
        "high": None,
        "reason": "no pixel of this class in the images",
    }
    assert report["iou"]["leaf"]["value"] == 0.5
    assert report["iou"]["leaf"]["low"] is None
    assert report["iou"]["leaf"]["reason"] == ONE_IMAGE
    assert report["iou"]["background"] == {"value": 1.0, "low": None, "high": None, "reason": ONE_IMAGE}
    assert report["miou"]["value"] == 0.75
    assert report["miou_objects"]["value"] == 0.5
    assert report["pixel_accuracy"]["value"] == pytest.approx(11 / 12, abs=1e-6)


def test_a_mean_is_over_the_same_classes_in_every_draw() -> None:
    """Nothing of the rare class is found: draws without it would score 1 and stretch the interval to there."""
    plain = confusion_matrix(np.zeros((4, 4), int), np.zeros((4, 4), int), 2)
    missed = confusion_matrix(np.array([[0, 1]]), np.array([[0, 0]]), 2)
    report = figures(np.stack([*[plain] * 6, missed, missed]), NAMES[:2], np.random.default_rng(0), 400)
    assert report["miou"]["value"] == pytest.approx((0.98 + 0) / 2)
    assert report["miou"]["high"] < 0.52
    alone = figures(np.stack([*[plain] * 6, missed]), NAMES[:2], np.random.default_rng(0), 400)
    assert alone["miou"]["low"] is None
    assert alone["pixel_accuracy"]["low"] is not None


def test_with_many_rare_classes_no_draw_is_lost() -> None:
    """Thirty classes, each in two of sixty images: a draw in sixty has them all, and would be the interval."""
    counts = np.zeros((60, 31, 31), dtype=np.int64)
    counts[:, 0, 0] = 10
    for place, name in enumerate(np.repeat(np.arange(1, 31), 2)):
        found = 10 if place % 2 else 0
        counts[place, name, name], counts[place, name, 0] = found, 10 - found
    report = figures(counts, [str(name) for name in range(31)], np.random.default_rng(0), 200)
    assert report["miou"]["value"] == pytest.approx((600 / 900 + 30 * 0.5) / 31, abs=1e-6)
    # without one of its images a class is 0 or 1: standard error 0.7 of one, 0.12 of their mean
    assert 0.23 < report["miou"]["low"] < 0.35
    assert 0.65 < report["miou"]["high"] < 0.78


def test_one_image_has_values_without_intervals() -> None:
    report = figures(np.eye(3, dtype=np.int64)[None], NAMES, np.random.default_rng(0), 10)
    assert report["miou"]["value"] == 1
    assert report["miou"]["low"] is None


def test_boundary_figures_have_intervals_and_reasons() -> None:
    truth = np.zeros((20, 20), dtype=np.uint8)
    truth[5:15, 5:15] = 1
    moved = np.roll(truth, 1, axis=1)
    counts = np.stack([boundary_counts(truth, predicted, 3) for predicted in (truth, truth, moved)])
    report = boundary_figures(counts, NAMES, np.random.default_rng(0), 100)
    # of 36 pixels of outline each, two rows but for their ends stay: 3 x 36 right or 2 x 36 + 18
    assert report["boundary_iou_per_class"]["leaf"]["value"] == pytest.approx((72 + 18) / (108 + 18), abs=1e-6)
    assert report["boundary_iou_per_class"]["rust"]["reason"] == "no pixel of this class in the images"
    known = [report["boundary_iou_per_class"][name]["value"] for name in NAMES[:2]]
    assert report["boundary_iou"]["value"] == pytest.approx(sum(known) / 2, abs=1e-6)
    assert report["boundary_iou"]["low"] < report["boundary_iou"]["value"] < 1


def test_the_interval_of_the_calibration_error_holds_its_value() -> None:
    """Four bins of which each is as much too sure in one half of the images as in the other too unsure."""
    each = [[[100, 60, 60 + gap] for gap in gaps] for gaps in product((-10, 10), repeat=4)]
    trusted = np.array([[image, image] for image in each], dtype=np.float64)
    report = calibration(trusted, np.random.default_rng(0), 400)
    assert (report["ece"]["value"], report["ece"]["low"]) == (0, 0)
    assert 0.02 < report["ece"]["high"] < 0.1


def average_precision(times: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Of three classes: "leaf" is on all images, 1 on even ones and 0 on odd ones; "rust" nowhere. AP50 is one more."""
    leaf = times[:, ::2].sum(axis=1) / times.sum(axis=1)
    both = np.stack([leaf, leaf + 1], axis=-1)
    return np.stack([np.full_like(both, np.nan), both, np.full_like(both, np.nan)], axis=1)


def test_object_figures_have_intervals_over_images_and_reasons() -> None:
    hits = np.zeros((40, 3, 3), dtype=np.int64)
    hits[::2, 1], hits[1::2, 1], hits[:, 2] = (1, 0, 0), (0, 1, 1), (0, 2, 0)
    report = object_figures(hits, average_precision, NAMES, np.random.default_rng(0), 400)
    assert (report["truth"], report["found"]) == (40, 120)
    assert (
        report["recall"]["value"] == report["ap"]["value"] == report["per_class"]["leaf"]["precision"]["value"] == 0.5
    )
    assert report["ap50"]["value"] == 1.5
    assert report["ap_per_class"]["leaf"] == report["ap"]
    assert report["precision"]["value"] == pytest.approx(20 / 120, abs=1e-6)
    assert report["f1"]["value"] == pytest.approx(40 / 160, abs=1e-6)
    # half of forty images: 0.5 +- 1.96 x 0.079
    for figure in (report["recall"], report["ap"], report["per_class"]["leaf"]["f1"]):
        assert figure["low"] == pytest.approx(0.345, abs=0.03)
        assert figure["high"] == pytest.approx(0.655, abs=0.03)
    nowhere = {"value": None, "low": None, "high": None, "reason": "no object of this class in the test images"}
    assert report["per_class"]["rust"] == {"precision": nowhere, "recall": nowhere, "f1": nowhere}
    assert report["ap_per_class"]["rust"] == nowhere


def test_objects_on_one_image_alone_have_no_interval_and_where_none_is_there_is_nothing() -> None:
    hits = np.zeros((5, 2, 3), dtype=np.int64)
    nothing = object_figures(
        hits, lambda times: np.full((len(times), 2, 2), np.nan), NAMES[:2], np.random.default_rng(0), 50
    )
    for name in ("ap", "ap50", "precision", "recall", "f1"):
        assert (nothing[name]["value"], nothing[name]["reason"]) == (None, "no object in the test images")
    hits[0, 1] = (0, 0, 2)

    def alone(times: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
        values = np.where(times[:, 0] > 0, 0.0, np.nan)
        return np.broadcast_to(values[:, None, None], (len(times), 2, 2))

    report = object_figures(hits, alone, NAMES[:2], np.random.default_rng(0), 50)
    assert report["precision"]["reason"] == report["per_class"]["leaf"]["precision"]["reason"] == "none was found"
    for figure in (report["recall"], report["ap"], report["per_class"]["leaf"]["f1"]):
        assert figure["value"] == 0
        assert figure["reason"] == ONE_IMAGE
