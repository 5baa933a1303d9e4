import numpy as np
import pandas as pd
import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from datalab.learning.calibration import calibration_error, reliability, reliability_table

# 2 x 4 pixels of 2 classes; confidences 0.9 0.9 0.9 0.9 (three right), 0.7 0.7 (one right), 0.6 (right), one not judged
CHANCES = np.array([[[0.9, 0.9, 0.1, 0.9], [0.7, 0.3, 0.6, 0.5]]])
CHANCES = np.concatenate([CHANCES, 1 - CHANCES])
TRUTH = np.array([[0, 0, 1, 1], [0, 0, 0, 255]], dtype=np.uint8)


def test_a_hand_typed_case() -> None:
    """Five bins: (0.4, 0.6] has 0.6, right; (0.6, 0.8] twice 0.7, one right; (0.8, 1] four times 0.9, three right."""
    counts = reliability(CHANCES, TRUTH, bins=5)
    expected = np.array([[0, 0, 0], [0, 0, 0], [1, 0.6, 1], [2, 1.4, 1], [4, 3.6, 3]])
    np.testing.assert_allclose(counts, expected)
    # 1/7 * |0.6 - 1| + 2/7 * |0.7 - 0.5| + 4/7 * |0.9 - 0.75|
    assert float(calibration_error(counts)) == pytest.approx((0.4 + 0.4 + 0.6) / 7)


def test_one_bin_is_the_gap_between_mean_confidence_and_accuracy() -> None:
    counts = reliability(CHANCES, TRUTH, bins=1)
    assert float(calibration_error(counts)) == pytest.approx(abs(5.6 - 5) / 7)


def test_a_sure_and_right_model_has_no_error_and_a_sure_and_wrong_one_all() -> None:
    sure = np.stack([np.ones((3, 3)), np.zeros((3, 3))])
    assert float(calibration_error(reliability(sure, np.zeros((3, 3), dtype=np.uint8), 15))) == 0
    assert float(calibration_error(reliability(sure, np.ones((3, 3), dtype=np.uint8), 15))) == 1


def test_images_add_up() -> None:
    rng = np.random.default_rng(0)
    chances = rng.dirichlet([1, 1, 1], (4, 6, 5)).transpose(0, 3, 1, 2)
    truth = rng.integers(0, 3, (4, 6, 5)).astype(np.uint8)
    apart = sum(reliability(one, labels, 10) for one, labels in zip(chances, truth, strict=True))
    together = reliability(chances.transpose(1, 0, 2, 3).reshape(3, 24, 5), truth.reshape(24, 5), 10)
    np.testing.assert_allclose(np.asarray(apart), together)


def test_nothing_judged_is_undefined() -> None:
    counts = reliability(CHANCES, np.full((2, 4), 255, dtype=np.uint8), bins=5)
    assert np.isnan(calibration_error(counts))
    assert reliability_table(counts)["confidence"].isna().all()
    stacked = np.stack([counts, reliability(CHANCES, TRUTH, bins=5)])
    assert np.isnan(calibration_error(stacked)).tolist() == [True, False]


def test_the_table_leaves_empty_bins_undefined() -> None:
    table = reliability_table(reliability(CHANCES, TRUTH, bins=5))
    expected = pd.DataFrame(
        {
            "confidence": [np.nan, np.nan, 0.6, 0.7, 0.9],
            "accuracy": [np.nan, np.nan, 1, 0.5, 0.75],
            "share": [0, 0, 1 / 7, 2 / 7, 4 / 7],
        }
    )
    pd.testing.assert_frame_equal(table, expected)


def test_calibrated_chances_have_little_error() -> None:
    """Labels drawn by the chances themselves; twice as sure is worse."""
    rng = np.random.default_rng(1)
    chances = rng.dirichlet([1, 1, 1], 20_000)
    truth = (rng.random((20_000, 1)) > chances.cumsum(axis=1)).sum(axis=1).astype(np.uint8)
    surer = chances**2 / (chances**2).sum(axis=1, keepdims=True)
    good, bad = (float(calibration_error(reliability(one.T[:, None], truth[None], 15))) for one in (chances, surer))
    assert good < 0.02
    assert bad > 0.1


@pytest.mark.parametrize("bins", [1, 7, 15])
def test_the_error_equals_torchmetrics(bins: int) -> None:
    rng = np.random.default_rng(2)
    chances = rng.dirichlet([0.3, 1, 1], (12, 9)).transpose(2, 0, 1)
    truth = rng.integers(0, 3, (12, 9)).astype(np.uint8)
    ours = float(calibration_error(reliability(chances, truth, bins)))
    theirs = multiclass_calibration_error(
        torch.from_numpy(chances[None]), torch.from_numpy(truth[None].astype(np.int64)), 3, bins, "l1"
    )
    assert ours == pytest.approx(float(theirs))
