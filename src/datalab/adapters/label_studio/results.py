"""One region, as our tables have it and as Label Studio's annotation JSON has it."""

from collections.abc import Callable, Iterator
from typing import Any

from datalab.adapters.label_studio.bitmask import bitmask_to_mask, mask_to_bitmask
from datalab.adapters.label_studio.brush import brush_to_mask, mask_to_brush
from datalab.adapters.label_studio.outline import (
    ellipse_to_mask,
    mask_to_polygon,
    polygon_to_mask,
    rectangle_to_mask,
)
from datalab.errors import InputError
from datalab.masks import BoolMask, mask_to_rle, rle_to_mask

BRUSH, BITMASK, POLYGON = "mask", "bitmask", "polygon"
"""Names of the tools in the labeling config."""
CONTROLS = {"brush": BRUSH, "bitmask": BITMASK, "polygon": POLYGON}
"""Region type to the tool that makes it."""
CLICK, BOX = "click", "box"
"""Names of the two tools that ask SAM for a mask."""
NOTICE = "notice"
"""Name of the text in which SAM's server tells what went wrong."""
MOST_BRUSHES = 50
"""Proposals on one task. Every brush region costs the browser some 40 MB at 1024 x 1024, a polygon a tenth or less:
docs/decisions/0003-region-type.md."""
IMAGE = "image"
ORIGINS = {"prediction": "proposal", "prediction-changed": "edited", "manual": "manual"}
"""What Label Studio notes about a region's past, in our words."""
NO_REGIONS = ("relation", "choices")
"""Results that say something about regions and are none: an arrow drawn from one to another, an attribute."""
NO_MASKS = (CLICK, BOX, NOTICE)
"""Where somebody pointed for SAM, and what it answered: the mask that came of it is a brush region of its own."""


def proposal_type(count: int) -> str:
    """Region type for each of the `count` proposals of one task: a mask people can mend while the browser bears it."""
    return "brush" if count <= MOST_BRUSHES else "polygon"


def region_to_result(
    region_id: str, label: str, rle: str, height: int, width: int, origin: str = "manual", region_type: str = "brush"
) -> dict[str, Any]:
    """A region as Label Studio has it. `rle`: COCO compressed RLE; `origin`: "proposal", "edited" or "manual".

    Where `label` is "" it has no class.
    `region_type`: "brush" and "bitmask" are exact; "polygon" keeps an IoU of at least 0.98, and a mask of which that
    is not possible (a hole, several parts) becomes a brush region.
    """
    return mask_to_result(region_id, label, rle_to_mask(rle, height, width), origin, region_type)


def mask_to_result(
    region_id: str, label: str, mask: BoolMask, origin: str = "manual", region_type: str = "brush"
) -> dict[str, Any]:
    """The same of a (H, W) boolean mask."""
    height, width = mask.shape
    theirs = next(name for name, ours in ORIGINS.items() if ours == origin)
    value = WRITERS[region_type](mask)
    if value is None:
        region_type, value = "brush", _brush_value(mask)
    return {
        "id": region_id,
        "type": f"{region_type}labels",
        "from_name": CONTROLS[region_type],
        "to_name": IMAGE,
        "original_width": int(width),
        "original_height": int(height),
        "image_rotation": 0,
        "origin": theirs,
        "value": {**value, f"{region_type}labels": [label] if label else []},
    }


def results_to_regions(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows region_id, label, rle, height, width, origin of an annotation's or prediction's results.

    Brush, bitmask, polygon, ellipse and rectangle regions count; an empty region (everything erased) is left out.
    `label` is "" for a region to which no class was given. InputError for another type or a damaged region, with its
    id: nothing is dropped in silence.
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
    except (InputError, KeyError, TypeError, ValueError, IndexError, OverflowError) as exc:
        raise InputError(f"region {result.get('id')} is damaged: {exc!r}") from exc
    if mask.any():
        label = next(iter(value.get(kind) or [""]))
        if not isinstance(label, str):
            raise InputError(f"region {result.get('id')} is damaged: its class is {label!r}")
        yield {
            "region_id": str(result.get("id")),
            "label": label,
            "rle": mask_to_rle(mask),
            "height": height,
            "width": width,
            "origin": ORIGINS.get(str(result.get("origin", "manual")), "manual"),
        }


def _brush_value(mask: BoolMask) -> dict[str, Any]:
    return {"format": "rle", "rle": mask_to_brush(mask)}


def _bitmask_value(mask: BoolMask) -> dict[str, Any]:
    return {"imageDataURL": mask_to_bitmask(mask)}


def _polygon_value(mask: BoolMask) -> dict[str, Any] | None:
    points = mask_to_polygon(mask)
    return None if points is None else {"points": points, "closed": True}


WRITERS: dict[str, Callable[[BoolMask], dict[str, Any] | None]] = {
    "brush": _brush_value,
    "bitmask": _bitmask_value,
    "polygon": _polygon_value,
}
READERS: dict[str, Callable[[dict[str, Any], int, int], BoolMask]] = {
    "brush": lambda value, height, width: brush_to_mask(value["rle"], height, width),
    "bitmask": lambda value, height, width: bitmask_to_mask(value["imageDataURL"], height, width),
    "polygon": polygon_to_mask,
    "rectangle": rectangle_to_mask,
    "ellipse": ellipse_to_mask,
}
