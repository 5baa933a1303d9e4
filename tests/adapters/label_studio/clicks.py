"""What the labeling screen sends when a person points at things, as the tests need it."""

from typing import Any


def point(x: float, y: float, label: str = "cup", positive: bool = True, name: str = "k1") -> dict[str, Any]:
    """A click at x, y percent of an image of 200 x 100 pixels."""
    return {
        "id": name,
        "type": "keypointlabels",
        "from_name": "click",
        "to_name": "image",
        "original_width": 200,
        "original_height": 100,
        "image_rotation": 0,
        "is_positive": positive,
        "value": {"x": x, "y": y, "width": 0.3, "keypointlabels": [label], "labels": [label]},
    }


def box(x: float, y: float, width: float, height: float, rotation: float = 0, name: str = "b1") -> dict[str, Any]:
    """A rectangle, in percent too."""
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": rotation, "rectanglelabels": ["coin"]}
    shared = {key: value for key, value in point(0, 0).items() if key not in ("is_positive", "value")}
    return {**shared, "id": name, "type": "rectanglelabels", "from_name": "box", "value": value}


def body(*results: dict[str, Any], image: str = "/data/local-files/?d=tiles/a.png") -> dict[str, Any]:
    """A call of /predict."""
    return {
        "tasks": [{"id": 1, "data": {"image": image}}],
        "project": "1.2",
        "params": {"login": None, "password": None, "context": {"result": list(results)}},
    }
