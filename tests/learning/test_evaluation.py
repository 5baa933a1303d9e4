import numpy as np
import pytest

from datalab.learning.evaluation import boundary_figures, figures
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
    assert report["iou"]["leaf"]["reason"] == "no interval: it hangs on a single test image"
    assert report["iou"]["background"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert report["miou"]["value"] == 0.75
    assert report["miou_objects"]["value"] == 0.5
    assert report["pixel_accuracy"]["value"] == pytest.approx(11 / 12, abs=1e-6)


def test_a_mean_is_over_the_same_classes_in_every_draw() -> None:
    """Nothing of the rare class is found: draws without it would score 1 and stretch the interval to there."""
    plain = confusion_matrix(np.zeros((4, 4), int), np.zeros((4, 4), int), 2)
    missed = confusion_matrix(np.array([[0, 1]]), np.array([[0, 0]]), 2)
    report = figures(np.stack([*[plain] * 6, missed, missed]), NAMES[:2], np.random.default_rng(0), 400)
    assert report["miou"]["value"] == pytest.approx((0.98 + 0) / 2)
    assert report["miou"]["high"] <= 0.5
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
    # a class is 0, a half or 1 in a draw, or missing and then a half: spread 0.28 to 0.35 of one, 0.06 of their mean
    assert 0.3 < report["miou"]["low"] < 0.45
    assert 0.55 < report["miou"]["high"] < 0.7


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
