"""Clicks and boxes that were left in an annotation: somebody pointed at an object and did not keep SAM's mask of it."""

from typing import Any

import numpy as np

from datalab.adapters.label_studio.results import BOX, CLICK, results_to_regions
from datalab.errors import InputError
from datalab.masks import BoolMask, rle_to_mask


def unanswered_prompts(results: list[dict[str, Any]]) -> list[str]:
    """Ids of the clicks (on an object, not those with Alt) and boxes of an annotation in which no region lies.

    A mask that was suggested and neither kept nor thrown away is not submitted, and its point is what is left of it.
    Points inside a region are no loss: the object was drawn, or kept, after all. InputError for a damaged region.
    """
    prompts = [result for result in results if _is_prompt(result)]
    if not prompts:
        return []
    regions = results_to_regions(results)
    masks = [rle_to_mask(row["rle"], row["height"], row["width"]) for row in regions]
    return [str(prompt.get("id")) for prompt in prompts if not any(_meets(prompt, mask) for mask in masks)]


def _is_prompt(result: dict[str, Any]) -> bool:
    """An accepted mask may carry a result of a tool's list under its own id; that one has no place of its own."""
    value = result.get("value")
    if not isinstance(value, dict) or not {"x", "y"} <= value.keys():
        return False
    if result.get("from_name") == BOX:
        return "height" in value
    return result.get("from_name") == CLICK and "height" not in value and result.get("is_positive", True) is not False


def _meets(prompt: dict[str, Any], mask: BoolMask) -> bool:
    """Whether some of the mask lies under the point, or in the box as it stands without its rotation."""
    value = prompt["value"]
    corners = [(value["x"], value["y"])]
    if "height" in value:
        corners.append((value["x"] + value["width"], value["y"] + value["height"]))
    try:
        places = np.clip(np.array(corners, dtype=np.float64) / 100, 0, 1) * [mask.shape[1], mask.shape[0]]
    except (TypeError, ValueError) as exc:
        raise InputError(f"point {prompt.get('id')} is damaged: {exc!r}") from exc
    (left, top), (right, bottom) = np.minimum(places[0], np.array(mask.shape[::-1]) - 1), places[-1]
    return bool(mask[int(top) : max(int(top) + 1, int(bottom)), int(left) : max(int(left) + 1, int(right))].any())
