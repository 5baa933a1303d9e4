"""What can be told about an image without a model: what slices are made of."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import ndimage

from datalab.masks import IGNORE_ID

GREY = np.array([0.299, 0.587, 0.114])
"""Luma of red, green and blue (ITU-R BT.601)."""
EXACT = 1e15
"""Whole numbers up to here are told apart in double precision."""


def image_traits(
    pixels: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8], classes: Mapping[str, int]
) -> dict[str, Any]:
    """One row of traits.

    Args:
        pixels: (h, w, 3) RGB, all images at about the same size: sharpness depends on it.
        truth: Label map of class ids, 255 where not judged; may be larger than `pixels`.
        classes: Name -> pixel value, without background.

    Returns:
        `brightness` and `contrast`: mean and standard deviation of the luma, of 1; `sharpness`: log10 of the variance
        of its Laplacian, low where blurred (Pech-Pacheco et al. 2000); `foreground`: share of the judged pixels that
        are no background; `<name> there` for every class.
    """
    luma = pixels @ GREY / 255
    judged = truth != IGNORE_ID
    present = set(np.unique(truth).tolist())
    return {
        "brightness": float(luma.mean()),
        "contrast": float(luma.std()),
        "sharpness": float(np.log10(ndimage.laplace(luma).var() + 1e-12)),
        "foreground": float((truth[judged] != 0).mean()) if judged.any() else 0.0,
        **{f"{name} there": value in present for name, value in classes.items()},
    }


def written_traits(metadata: pd.DataFrame) -> pd.DataFrame:
    """Columns of text as traits: numbers where all that is written is one, else words; NaN where nothing is.

    A column with a number like "007" is one of words: it names something, and would be another name without zeros. So
    is one with a number of more than fifteen digits, that another name would be rounded to.
    """
    return metadata.apply(_written)


def _written(column: "pd.Series[str]") -> "pd.Series[Any]":
    filled = column.where(column != "")
    numbers = pd.to_numeric(filled, errors="coerce").astype("float64")
    known = filled.notna()
    named = filled[known].str.match(r"[+-]?0\d").any() or (numbers[known].abs() > EXACT).any()
    return filled if named or not np.isfinite(numbers[known]).all() else numbers
