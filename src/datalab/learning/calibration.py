"""How far a model's confidence is from how often it is right.

A reliability is float64 (bins, 3), one row per bin of confidence: pixels, their summed confidence, how many of them are
right. Sums of several images' reliabilities are the reliability of all of them. Bins are equally wide, closed above:
(0, 1/bins], ..., as in Guo et al. 2017, "On Calibration of Modern Neural Networks".
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from datalab.masks import IGNORE_ID

Reliability = npt.NDArray[np.float64]
PIXELS, CONFIDENCE, RIGHT = range(3)


def reliability(probabilities: npt.NDArray[np.floating[Any]], truth: npt.NDArray[np.uint8], bins: int) -> Reliability:
    """Reliability of one image: `probabilities` (K, H, W) and `truth` (H, W) in 0 to K - 1, 255 where not judged."""
    judged = truth != IGNORE_ID
    confidence = probabilities.max(axis=0)[judged].astype(np.float64)
    right = (probabilities.argmax(axis=0) == truth)[judged]
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    sums = [np.bincount(place, weights, minlength=bins) for weights in (np.ones(len(place)), confidence, right)]
    return np.stack(sums, axis=-1)


def calibration_error(counts: Reliability) -> npt.NDArray[np.float64]:
    """Expected calibration error, (...) of (..., bins, 3), in [0, 1]; NaN where there is no pixel.

    The mean over the pixels of the gap between mean confidence and share of right pixels in their bin (Naeini et al.
    2015).
    """
    gaps = np.abs(counts[..., CONFIDENCE] - counts[..., RIGHT]).sum(axis=-1)
    pixels = counts[..., PIXELS].sum(axis=-1)
    return np.asarray(np.where(pixels > 0, gaps / np.maximum(pixels, 1), np.nan), dtype=np.float64)


def reliability_table(counts: Reliability) -> pd.DataFrame:
    """Rows of (bins, 3): mean `confidence` and `accuracy` (both NaN in an empty bin), and `share` of the pixels."""
    pixels = counts[:, PIXELS]
    within = np.where(pixels > 0, pixels, np.nan)
    return pd.DataFrame(
        {
            "confidence": counts[:, CONFIDENCE] / within,
            "accuracy": counts[:, RIGHT] / within,
            "share": pixels / max(pixels.sum(), 1),
        }
    )
