"""One region, as our tables have it and as Label Studio's annotation JSON has it."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from datalab.adapters.label_studio.brush import brush_to_mask, mask_to_brush
from datalab.errors import InputError
from datalab.masks import BoolMask, mask_to_rle, rle_to_mask

BRUSH, POLYGON = "mask", "polygon"
"""Names of the two tools in the labeling config."""
CLICK, BOX = "click", "box"
"""Names of the two tools that ask SAM for a mask."""
NOTICE = "notice"
"""Name of the text in which SAM's server tells what went wrong."""
IMAGE = "image"
ORIGINS = {"prediction": "proposal", "prediction-changed": "edited", "manual": "manual"}
"""What Label Studio notes about a region's past, in our words."""
NO_REGIONS = ("relation",)
"""Results that say something about regions and are none: an arrow drawn from one to another."""
NO_MASKS = (CLICK, BOX, NOTICE)
"""Where somebody pointed for SAM, and what it answered: the mask that came of it is a brush region of its own."""


def region_to_result(
    region_id: str, label: str, rle: str, height: int, width: int, origin: str = "manual"
) -> dict[str, Any]:
    """A brush region. `rle`: COCO compressed RLE; `origin`: "proposal", "edited" or "manual"."""
    return mask_to_result(region_id, label, rle_to_mask(rle, height, width), origin)


def mask_to_result(region_id: str, label: str, mask: BoolMask, origin: str = "manual") -> dict[str, Any]:
    """The same of a (H, W) boolean mask."""
    height, width = mask.shape
    theirs = next(name for name, ours in ORIGINS.items() if ours == origin)
    return {
        "id": region_id,
        "type": "brushlabels",
        "from_name": BRUSH,
        "to_name": IMAGE,
        "original_width": int(width),
        "original_height": int(height),
        "image_rotation": 0,
        "origin": theirs,
        "value": {
            "format": "rle",
            "rle": mask_to_brush(mask),
            "brushlabels": [label],
        },
    }


def results_to_regions(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows region_id, label, rle, height, width, origin of an annotation's or prediction's results.

    Brush, polygon, ellipse and rectangle regions count; an empty region (everything erased) is left out. `label` is ""
    for a region to which no class was given. InputError for another type or a damaged region, with its id: nothing is
    dropped in silence.
    """
    return [row for result in results if _is_region(result) for row in _rows(result)]


def _is_region(result: dict[str, Any]) -> bool:
    return result.get("type") not in NO_REGIONS and result.get("from_name") not in NO_MASKS


def _rows(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    kind = str(result.get("type"))
    shape = kind.removesuffix("labels")
    if shape not in READERS:
        raise InputError(f"region {result.get('id')}: type {kind!r} is no mask; known: {', '.join(READERS)}")
    try:
        value = result["value"]
        height, width = int(result["original_height"]), int(result["original_width"])
        mask = READERS[shape](value, height, width)
    except (InputError, KeyError, TypeError, ValueError, IndexError) as exc:
        raise InputError(f"region {result.get('id')} is damaged: {exc!r}") from exc
    if mask.any():
        yield {
            "region_id": str(result.get("id")),
            "label": next(iter(value.get(kind) or [""])),
            "rle": mask_to_rle(mask),
            "height": height,
            "width": width,
            "origin": ORIGINS.get(str(result.get("origin", "manual")), "manual"),
        }


def _brush(value: dict[str, Any], height: int, width: int) -> BoolMask:
    return brush_to_mask(value["rle"], height, width)


def _polygon(value: dict[str, Any], height: int, width: int) -> BoolMask:
    """Pixels whose centre lies inside by the even-odd rule. `points`: corners (x, y) in percent of the image."""
    corners = np.array(value["points"], dtype=np.float64) * [width / 100, height / 100]
    following = np.roll(corners, -1, axis=0)
    centres = np.arange(height) + 0.5
    edge, row = np.nonzero((corners[:, 1:] <= centres) != (following[:, 1:] <= centres))
    (x, y), step = corners[edge].T, (following - corners)[edge]
    crossing = x + (centres[row] - y) * step[:, 0] / step[:, 1]
    toggles = np.zeros((height, width + 1), dtype=np.int64)
    np.add.at(toggles, (row, np.clip(np.ceil(crossing - 0.5), 0, width).astype(np.int64)), 1)
    inside: BoolMask = np.cumsum(toggles, axis=1)[:, :width] % 2 == 1
    return inside


def _rectangle(value: dict[str, Any], height: int, width: int) -> BoolMask:
    """`x`, `y`: the corner it is turned about by `rotation` degrees; all lengths in percent of the image."""
    x, y, w, h = (float(value[key]) for key in ("x", "y", "width", "height"))
    angle = np.deg2rad(float(value.get("rotation", 0)))
    corner = np.array([x * width, y * height]) / 100
    along = np.array([np.cos(angle), np.sin(angle)]) * w * width / 100
    down = np.array([-np.sin(angle), np.cos(angle)]) * h * height / 100
    points = np.array([corner, corner + along, corner + along + down, corner + down])
    return _polygon({"points": points * 100 / [width, height]}, height, width)


def _ellipse(value: dict[str, Any], height: int, width: int) -> BoolMask:
    """`x`, `y`: the centre it is turned about by `rotation` degrees; all lengths in percent of the image."""
    y, x = np.mgrid[:height, :width] + 0.5
    x, y = x - value["x"] * width / 100, y - value["y"] * height / 100
    angle = np.deg2rad(float(value.get("rotation", 0)))
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    radii = value["radiusX"] * width / 100, value["radiusY"] * height / 100
    inside: BoolMask = (along * radii[1]) ** 2 + (across * radii[0]) ** 2 < (radii[0] * radii[1]) ** 2
    return inside


READERS: dict[str, Callable[[dict[str, Any], int, int], BoolMask]] = {
    "brush": _brush,
    "polygon": _polygon,
    "rectangle": _rectangle,
    "ellipse": _ellipse,
}
