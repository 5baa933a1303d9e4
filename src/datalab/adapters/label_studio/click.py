"""What Label Studio asks an ML backend while a person clicks, and what it is answered: its protocol's JSON, no HTTP.

A request carries the task and, as `context`, every point (or box) of one class that has not been turned into a region
yet. The answer is one brush region for all the points, or one for each box.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from datalab.adapters.label_studio.results import BOX, CLICK, IMAGE, NOTICE, mask_to_result
from datalab.adapters.sam_prompt import Point, Prompt
from datalab.errors import InputError
from datalab.masks import BoolMask

MOST_PROMPTS = 100
"""In one request; a person who needs more draws."""
LARGEST_SIDE = 100_000


@dataclass(frozen=True)
class Asked:
    """One region that is wanted: its id and class, and where the person pointed."""

    region_id: str
    label: str
    prompt: Prompt


@dataclass(frozen=True)
class ClickRequest:
    """`image` is the address in the task's data; `height` and `width` are those the browser saw."""

    image: str
    height: int
    width: int
    asked: tuple[Asked, ...]


def is_interactive(body: Any) -> bool:
    """Whether a call of `/predict` comes from a person at work, and not from a task that is opened."""
    params = body.get("params") if isinstance(body, dict) else None
    return isinstance(params, dict) and params.get("context") is not None


def read_request(body: Any) -> ClickRequest | None:
    """What an interactive call of `/predict` asks for; None where nobody has pointed at anything.

    InputError for a broken one.
    """
    try:
        results = body["params"]["context"].get("result") or []
        if not results:
            return None
        if len(results) > MOST_PROMPTS:
            raise InputError(f"{len(results)} points and boxes at once, {MOST_PROMPTS} can be; accept or delete some")
        height, width = int(results[0]["original_height"]), int(results[0]["original_width"])
        if not (0 < height <= LARGEST_SIDE and 0 < width <= LARGEST_SIDE) or results[0].get("image_rotation"):
            raise InputError("click on the image as it is, not turned")
        image = str(body["tasks"][0]["data"][IMAGE])
        return ClickRequest(image, height, width, _asked(results, height, width))
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, OverflowError) as exc:
        raise InputError(f"the labeling screen sent a request that cannot be read: {exc!r}") from exc


def no_answer() -> dict[str, Any]:
    """Nothing was asked: no region is suggested."""
    return {"results": [{"result": []}]}


def no_predictions() -> dict[str, Any]:
    """To a call without a context: a task without proposals stays so, it may have none on purpose."""
    return {"results": []}


def regions_answer(regions: list[tuple[Asked, BoolMask, float]], model_version: str) -> dict[str, Any]:
    """Brush regions with SAM's predicted IoU, each with the class of its points."""
    results = [{**mask_to_result(asked.region_id, asked.label, mask), "score": score} for asked, mask, score in regions]
    return _answer(results, model_version)


def notice_answer(message: str, model_version: str) -> dict[str, Any]:
    """A line of text that the labeling screen shows below the tools.

    Label Studio keeps what goes wrong in a backend from the person who clicked, whatever its status; text that belongs
    to the image it does show.
    """
    result = {
        "id": "notice",
        "type": "textarea",
        "from_name": NOTICE,
        "to_name": IMAGE,
        "value": {"text": [message]},
    }
    return _answer([result], model_version)


def _answer(results: list[dict[str, Any]], model_version: str) -> dict[str, Any]:
    return {"results": [{"result": results, "model_version": model_version, "score": 1.0}]}


def _asked(results: list[dict[str, Any]], height: int, width: int) -> tuple[Asked, ...]:
    """One for the points of each class, one for each box, in the order they were made.

    Where classes are picked in both lists the screen sends each twice, the second time as what it is not.
    """
    clicks: dict[str, list[Point]] = {}
    names: dict[str, str] = {}
    boxes = []
    for result in results:
        label, name = str((result["value"].get(result["type"]) or [""])[0]), f"sam-{result['id']}"
        has_size = "height" in result["value"]
        if result["from_name"] == CLICK and not has_size:
            names.setdefault(label, name)
            clicks.setdefault(label, []).append(_point(result, height, width))
        elif result["from_name"] == BOX and has_size:
            boxes.append(Asked(name, label, Prompt(box=_box(result["value"], height, width))))
    for points in clicks.values():
        if not any(inside for _, _, inside in points):
            raise InputError("first click on the object, without Alt; then with Alt on what does not belong to it")
    return (*(Asked(names[label], label, Prompt(tuple(points))) for label, points in clicks.items()), *boxes)


def _point(result: dict[str, Any], height: int, width: int) -> Point:
    x, y = _in_pixels(result["value"]["x"], width), _in_pixels(result["value"]["y"], height)
    return x, y, bool(result.get("is_positive", True))


def _box(value: dict[str, Any], height: int, width: int) -> tuple[float, float, float, float]:
    """The upright box about a rectangle that may be turned about its corner (x, y) by `rotation` degrees."""
    numbers = [float(value.get(key) or 0) for key in ("rotation", "x", "y", "width", "height")]
    if not np.isfinite(numbers).all():
        raise ValueError(f"a box of {numbers}")
    angle = np.deg2rad(numbers[0])
    corner, w, h = np.array(numbers[1:3]) * [width, height] / 100, numbers[3] * width / 100, numbers[4] * height / 100
    along = np.array([np.cos(angle), np.sin(angle)]) * w
    down = np.array([-np.sin(angle), np.cos(angle)]) * h
    corners = np.array([corner, corner + along, corner + down, corner + along + down])
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    left, right = np.clip([left, right], 0, width)
    top, bottom = np.clip([top, bottom], 0, height)
    if right - left < 1 or bottom - top < 1:
        raise InputError("this box is smaller than a pixel; drag a larger one about the object")
    return float(left), float(top), float(right), float(bottom)


def _in_pixels(percent: Any, side: int) -> float:
    value = float(percent) * side / 100
    if not 0 <= value <= side:
        raise InputError("this point lies outside of the image")
    return value
