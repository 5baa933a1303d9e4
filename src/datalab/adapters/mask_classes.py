"""The classes.yaml that names the pixel values of masks: like guidelines/classes.yaml, and a little more forgiving.

    classes:
      - {id: 0, name: sky}                        # listed, so 0 is a class here and not the background
      - {id: 1, name: building, color: "#882255", rule: "Houses, walls, gates."}
      - {id: 11, name: unlabelled, ignore: true}  # left out

Only `id` (the pixel value, 0 to 255) and `name` must be there. An ontology cannot use 0, so a class listed with 0 gets
the id ZERO_ID; all others keep their pixel value as id. `{id: 0, name: background}` is no class: it says what 0 means
without being listed.
"""

import colorsys
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from datalab.config import NO_DATE, LabelClass, is_background
from datalab.errors import InputError
from datalab.masks import IGNORE_ID

ZERO_ID = 254
"""The class id that stands for pixel value 0."""
KEYS = {"id", "name", "color", "rule", "hotkey", "ignore"}
# Okabe and Ito's colours without black, then Paul Tol's "muted" scheme: both are told apart by colour-blind people
PALETTE = (
    *("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"),
    *("#332288", "#88ccee", "#44aa99", "#117733", "#999933", "#ddcc77", "#cc6677", "#882255", "#aa4499"),
)


def read_classes_file(path: Path) -> tuple[LabelClass, ...]:
    """The classes of a classes.yaml in the order of their ids, those marked `ignore` left out.

    A missing color is filled from a colour-blind-safe palette. InputError naming the entry that is wrong.
    """
    return named_values(_entries(path), path)


def ignored_values(path: Path) -> frozenset[int]:
    """The pixel values that a classes.yaml marks with `ignore: true`."""
    return frozenset(int(entry["id"]) for entry in _entries(path) if entry.get("ignore"))


def automatic_classes(values: Mapping[int, str]) -> tuple[LabelClass, ...]:
    """Classes with palette colours from pixel value -> name; InputError for the value ZERO_ID."""
    if ZERO_ID in values:
        raise InputError(
            f"masks: {values[ZERO_ID]!r} has the value {ZERO_ID}, the id that a class of value 0 gets; use 0 to "
            f"{ZERO_ID - 1}"
        )
    return named_values([{"id": value, "name": name} for value, name in values.items()], Path("masks"))


def pixel_value(item: LabelClass) -> int:
    """The value that stands for a class in the mask files."""
    return 0 if item.id == ZERO_ID else item.id


def named_values(entries: list[dict[str, Any]], path: Path) -> tuple[LabelClass, ...]:
    """Checked entries of a classes.yaml (`path` is for messages) as classes."""
    for key in ("id", "name"):
        values = [entry[key] for entry in entries]
        if len(set(values)) != len(values):
            raise InputError(f"{path}: two classes have the same {key}; give each its own")
    used = sorted((entry for entry in entries if _is_class(entry)), key=lambda entry: int(entry["id"]))
    if not used:
        raise InputError(f"{path} names no class; add at least one below 'classes:'")
    for entry in used:
        if is_background(entry["name"]):
            raise InputError(
                f"{path}: {entry['name']!r} has the value {entry['id']}, but background is 0; name it otherwise, or "
                "leave it out with 'ignore: true'"
            )
    classes = [
        LabelClass(
            id=entry["id"] or ZERO_ID,
            name=entry["name"],
            color=entry.get("color") or palette_color(position),
            rule=entry.get("rule") or "",
            hotkey=str(entry.get("hotkey") or ""),
        )
        for position, entry in enumerate(used)
    ]
    return tuple(sorted(classes, key=lambda item: item.id))


def _is_class(entry: Mapping[str, Any]) -> bool:
    return not entry.get("ignore") and not (entry["id"] == 0 and is_background(entry["name"]))


def palette_color(position: int) -> str:
    """The "#rrggbb" of the class at this position: the palette, after it hues a golden ratio apart."""
    if position < len(PALETTE):
        return PALETTE[position]
    red, green, blue = colorsys.hsv_to_rgb((position * 0.618) % 1.0, 0.65, 0.55 + 0.4 * (position % 2))
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def _entries(path: Path) -> list[dict[str, Any]]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise InputError(f"{path} cannot be read: {exc.strerror}") from exc
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise InputError(f"{path} is not readable YAML: {' '.join(str(exc).split())}") from exc
    except ValueError as exc:
        raise InputError(f"{path}: {exc}; {NO_DATE}") from exc
    entries = content.get("classes") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path} needs a list below 'classes:', each with id and name")
    for entry in entries:
        _check(entry, path)
    return entries


def _check(entry: Any, path: Path) -> None:
    if not isinstance(entry, dict) or not {"id", "name"} <= set(entry):
        raise InputError(f"{path}: {entry!r} needs at least id and name")
    if unknown := sorted(map(str, set(entry) - KEYS)):
        raise InputError(f"{path}: unknown key(s) {', '.join(unknown)}; known: {', '.join(sorted(KEYS))}")
    highest = IGNORE_ID if entry.get("ignore") else ZERO_ID - 1
    if type(entry["id"]) is not int or not 0 <= entry["id"] <= highest:
        raise InputError(f"{path}: id {entry['id']!r} of {entry['name']!r} is no pixel value; use 0 to {highest}")
    if not isinstance(entry["name"], str) or not entry["name"].strip():
        raise InputError(f"{path}: name {entry['name']!r} of id {entry['id']} must be text; put it in quotes")
    if entry.get("color") and not re.fullmatch(r"#[0-9a-fA-F]{6}", str(entry["color"])):
        raise InputError(f'{path}: color {entry["color"]!r} of {entry["name"]!r} must be written as "#rrggbb"')
