"""Regions given by an outline in percent of the image, and the polygon of a mask.

A pixel is inside when its centre is. Percentages refer to the image as it was taken: turning it on the screen (the
result's `image_rotation`) leaves them as they are. `rotation` of a rectangle or ellipse is in degrees, clockwise.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from skimage import measure

from datalab.masks import BoolMask

LEAST_IOU = 0.98
"""A polygon that covers the mask less exactly is not worth its lightness."""
TOLERANCES = (2.0, 1.5, 1.0, 0.75, 0.5, 0.0)
"""Pixels by which the outline may be straightened, tried in turn; with none the polygon is exact."""
DECIMALS = 5
"""Of a percentage: a thousandth of a pixel in an image of 10,000."""


def polygon_to_mask(value: dict[str, Any], height: int, width: int) -> BoolMask:
    """(height, width) mask by the even-odd rule. `points`: corners (x, y) in percent of the image, ValueError where
    one is not finite."""
    corners = np.array(value["points"], dtype=np.float64) * [width / 100, height / 100]
    if not np.isfinite(corners).all():
        raise ValueError("a corner is not finite")
    following = np.roll(corners, -1, axis=0)
    centres = np.arange(height) + 0.5
    edge, row = np.nonzero((corners[:, 1:] <= centres) != (following[:, 1:] <= centres))
    (x, y), step = corners[edge].T, (following - corners)[edge]
    crossing = x + (centres[row] - y) * step[:, 0] / step[:, 1]
    column = np.clip(np.ceil(crossing - 0.5), 0, width).astype(np.int64)
    mask = np.zeros((height, width), dtype=bool)
    if row.size:
        # in its own box: beyond the last crossing of a row is outside
        top, bottom, left, right = int(row.min()), int(row.max()) + 1, int(column.min()), int(column.max())
        toggles = np.zeros((bottom - top, right - left + 1), dtype=bool)
        np.logical_xor.at(toggles, (row - top, column - left), True)
        np.logical_xor.accumulate(toggles[:, :-1], axis=1, out=mask[top:bottom, left:right])
    return mask


def mask_to_polygon(mask: BoolMask) -> list[list[float]] | None:
    """Corners (x, y) in percent of the image, of a (H, W) mask, with an IoU of at least `LEAST_IOU`.

    None where no single outline says the same: a hole, several parts (pixels that touch at a corner alone are apart),
    nothing at all.
    """
    height, width = mask.shape
    ring = _only_outline(mask)
    if ring is None:
        return None
    for tolerance in TOLERANCES:
        ring_in_percent = measure.approximate_polygon(ring, tolerance)[:-1] * [100 / width, 100 / height]
        corners = np.round(ring_in_percent, DECIMALS).tolist()
        if len(corners) >= 3 and _iou(polygon_to_mask({"points": corners}, height, width), mask) >= LEAST_IOU:
            points: list[list[float]] = corners
            return points
    return None


def rectangle_to_mask(value: dict[str, Any], height: int, width: int) -> BoolMask:
    """`x`, `y`: the corner it is turned about by `rotation` degrees; all lengths in percent of the image."""
    x, y, w, h = (float(value[key]) for key in ("x", "y", "width", "height"))
    angle = np.deg2rad(float(value.get("rotation", 0)))
    corner = np.array([x * width, y * height]) / 100
    along = np.array([np.cos(angle), np.sin(angle)]) * w * width / 100
    down = np.array([-np.sin(angle), np.cos(angle)]) * h * height / 100
    points = np.array([corner, corner + along, corner + along + down, corner + down])
    return polygon_to_mask({"points": points * 100 / [width, height]}, height, width)


def ellipse_to_mask(value: dict[str, Any], height: int, width: int) -> BoolMask:
    """`x`, `y`: the centre it is turned about by `rotation` degrees; all lengths in percent of the image."""
    middle = value["x"] * width / 100, value["y"] * height / 100
    radii = value["radiusX"] * width / 100, value["radiusY"] * height / 100
    angle = np.deg2rad(float(value.get("rotation", 0)))
    cos, sin = np.cos(angle), np.sin(angle)
    rows = _span(middle[1], np.hypot(radii[0] * sin, radii[1] * cos), height)
    columns = _span(middle[0], np.hypot(radii[0] * cos, radii[1] * sin), width)
    y, x = (part + 0.5 for part in np.ogrid[rows, columns])
    x, y = x - middle[0], y - middle[1]
    along = x * cos + y * sin
    across = y * cos - x * sin
    mask = np.zeros((height, width), dtype=bool)
    mask[rows, columns] = (along * radii[1]) ** 2 + (across * radii[0]) ** 2 < (radii[0] * radii[1]) ** 2
    return mask


def _span(middle: float, reach: float, side: int) -> slice:
    """The pixels of `side` whose centres lie within `reach` of `middle`, and a few more; ValueError or OverflowError
    where one is not finite."""
    first, last = math.floor(middle - reach) - 1, math.ceil(middle + reach) + 1
    return slice(min(max(first, 0), side), min(max(last, 0), side))


def _only_outline(mask: BoolMask) -> npt.NDArray[np.float64] | None:
    """Closed outline (x, y) in pixels, midway between the centres of pixels inside and outside; None for several."""
    if not mask.any():
        return None
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = rows[0], columns[0]
    part = np.pad(mask[top : rows[-1] + 1, left : columns[-1] + 1], 1)
    found = measure.find_contours(part.astype(np.float64), 0.5)
    # a contour is in (row, column) of the padded part's pixel centres
    return found[0][:, ::-1] + [left - 0.5, top - 0.5] if len(found) == 1 else None


def _iou(a: BoolMask, b: BoolMask) -> float:
    return float((a & b).sum() / (a | b).sum())
