"""One region, as our tables have it and as Label Studio's annotation JSON has it."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from skimage.draw import polygon

from datalab.adapters.label_studio.brush import brush_to_mask, mask_to_brush
from datalab.errors import InputError
from datalab.masks import BoolMask, mask_to_rle, rle_to_mask

BRUSH, POLYGON = "mask", "polygon"
"""Names of the two tools in the labeling config."""
IMAGE = "image"
ORIGINS = {"prediction": "proposal", "prediction-changed": "edited", "manual": "manual"}
"""What Label Studio notes about a region's past, in our words."""


def region_to_result(
    region_id: str, label: str, rle: str, height: int, width: int, origin: str = "manual"
) -> dict[str, Any]:
    """A brush region. `rle`: COCO compressed RLE; `origin`: "proposal", "edited" or "manual"."""
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
            "rle": mask_to_brush(rle_to_mask(rle, height, width)),
            "brushlabels": [label],
        },
    }


def results_to_regions(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows region_id, label, rle, height, width, origin of an annotation's or prediction's results.

    Brush, polygon, ellipse and rectangle regions count; an empty region (everything erased) is left out. InputError
    for another type or a damaged region, with its id: nothing is dropped in silence.
    """
    return list(_rows(results))


def _rows(results: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for result in results:
        kind = str(result.get("type"))
        if kind not in READERS:
            raise InputError(f"region {result.get('id')}: type {kind!r} is no mask; known: {', '.join(READERS)}")
        try:
            row, is_empty = _row(result, kind)
        except (InputError, KeyError, TypeError, ValueError) as exc:
            raise InputError(f"region {result.get('id')}: {_reason(exc)}") from exc
        if not is_empty:
            yield row


def _row(result: dict[str, Any], kind: str) -> tuple[dict[str, Any], bool]:
    """The row of a region, and whether it is empty."""
    value = result["value"]
    height, width = int(result["original_height"]), int(result["original_width"])
    mask = READERS[kind](value, height, width)
    row = {
        "region_id": str(result["id"]),
        "label": next(iter(value.get(kind) or [""])),
        "rle": mask_to_rle(mask),
        "height": height,
        "width": width,
        "origin": ORIGINS.get(str(result.get("origin", "manual")), "manual"),
    }
    return row, not mask.any()


def _reason(error: Exception) -> str:
    return f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)


def _brush(value: dict[str, Any], height: int, width: int) -> BoolMask:
    return brush_to_mask(value["rle"], height, width)


def _polygon(value: dict[str, Any], height: int, width: int) -> BoolMask:
    return _inside(np.array(value["points"], dtype=np.float64) * [width / 100, height / 100], height, width)


def _inside(points: npt.NDArray[np.float64], height: int, width: int) -> BoolMask:
    """Pixels whose centre lies inside the polygon of these (x, y) corners, as for ellipses.

    cv2.fillPoly would add the outline: half a pixel more all around.
    """
    mask = np.zeros((height, width), dtype=bool)
    mask[polygon(points[:, 1] - 0.5, points[:, 0] - 0.5, (height, width))] = True
    return mask


def _rectangle(value: dict[str, Any], height: int, width: int) -> BoolMask:
    x, y, w, h = (float(value[key]) for key in ("x", "y", "width", "height"))
    angle = np.deg2rad(float(value.get("rotation", 0)))
    corner = np.array([x * width, y * height]) / 100
    along = np.array([np.cos(angle), np.sin(angle)]) * w * width / 100
    down = np.array([-np.sin(angle), np.cos(angle)]) * h * height / 100
    return _inside(np.array([corner, corner + along, corner + along + down, corner + down]), height, width)


def _ellipse(value: dict[str, Any], height: int, width: int) -> BoolMask:
    y, x = np.mgrid[:height, :width] + 0.5
    x, y = x - value["x"] * width / 100, y - value["y"] * height / 100
    angle = np.deg2rad(float(value.get("rotation", 0)))
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    inside = (along / (value["radiusX"] * width / 100)) ** 2 + (across / (value["radiusY"] * height / 100)) ** 2 <= 1
    return np.asarray(inside, dtype=bool)


READERS: dict[str, Callable[[dict[str, Any], int, int], BoolMask]] = {
    "brushlabels": _brush,
    "polygonlabels": _polygon,
    "rectanglelabels": _rectangle,
    "ellipselabels": _ellipse,
}
