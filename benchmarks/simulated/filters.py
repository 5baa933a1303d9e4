"""A bank of plain filters: brightness, contrast, lines and blobs at several sizes. No weights, no labels."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Map = npt.NDArray[np.float32]
WORKING = 192
"""Side in pixels at which the filters run."""
SIZES = (1.5, 3.0, 6.0)
"""Deviations of the Gaussians of the line and blob filters, in working pixels."""
FILTERS = 9 + 2 * 3 + 4 * len(SIZES)


def filter_bank(pixels: npt.NDArray[np.uint8], grid: int) -> Map:
    """(grid, grid, FILTERS) of a (H, W, 3) RGB image; `grid` divides WORKING."""
    image = cv2.resize(pixels, (WORKING, WORKING), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    gray = image.mean(axis=2)
    level, spread = float(np.median(gray)), float(gray.std()) + 0.02
    normed = np.asarray((gray - level) / spread, dtype=np.float32)
    maps: list[Any] = [*(image[..., channel] for channel in range(3)), normed]
    found = [_pool(one, grid, np.mean) for one in maps]
    found += [_pool(normed, grid, reduce) for reduce in (np.min, np.max, np.std)]
    for row in (np.linspace(-1, 1, grid, dtype=np.float32),):
        found += [np.repeat(row[:, None], grid, axis=1), np.repeat(row[None], grid, axis=0)]
    for window in (11, 31):
        mean = cv2.blur(normed, (window, window), borderType=cv2.BORDER_REFLECT)
        square = cv2.blur(normed**2, (window, window), borderType=cv2.BORDER_REFLECT)
        found += [_pool(one, grid, np.mean) for one in (mean, normed - mean, np.sqrt(np.maximum(square - mean**2, 0)))]
    for size in SIZES:
        found += _lines(normed, size, grid)
    return np.asarray(np.stack(found, axis=-1), dtype=np.float32)


def _lines(normed: Map, size: float, grid: int) -> list[Map]:
    """Strongest dark and bright line (eigenvalues of the Hessian), edge, and mean edge strength of the cell."""
    smooth = cv2.GaussianBlur(normed, (0, 0), size, borderType=cv2.BORDER_REFLECT)
    dx, dy = (cv2.Sobel(smooth, cv2.CV_32F, *order, ksize=3) * size for order in ((1, 0), (0, 1)))
    xx, yy, xy = (cv2.Sobel(smooth, cv2.CV_32F, *order, ksize=3) * size**2 for order in ((2, 0), (0, 2), (1, 1)))
    half, root = (xx + yy) / 2, np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    edge = np.hypot(dx, dy)
    return [_pool(half + root, grid, np.max), _pool(half - root, grid, np.min), _pool(edge, grid, np.max),
            _pool(edge, grid, np.mean)]  # fmt: skip


def _pool(values: npt.NDArray[Any], grid: int, reduce: object) -> Map:
    """(WORKING, WORKING) to (grid, grid) by `reduce` over the pixels of a cell."""
    side = WORKING // grid
    cells = values.reshape(grid, side, grid, side)
    assert callable(reduce)
    return np.asarray(reduce(cells, axis=(1, 3)), dtype=np.float32)
