"""Attributes of a region, as Label Studio's annotation JSON has them: a choice that carries the region's id."""

import re
from typing import Any

from datalab.errors import InputError

TOOL = re.compile(r"attribute_(\d+)_(.+)", re.DOTALL)


def attribute_tool(class_id: int, attribute: str) -> str:
    """Name of the tool that asks for an attribute of a class: by id, so that renaming the class orphans nothing."""
    return f"attribute_{class_id}_{attribute}"


def results_to_attributes(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows region_id, class_id, attribute, value of an annotation's results: what was answered about its regions.

    Choices of other tools are no answers to ours and are passed over. An answer taken back has no row. InputError for
    one without a region or with several values.
    """
    return [row for result in results if (row := _row(result)) is not None]


def _row(result: dict[str, Any]) -> dict[str, Any] | None:
    tool = TOOL.fullmatch(str(result.get("from_name")))
    if result.get("type") != "choices" or tool is None:
        return None
    value = result.get("value")
    choices = value.get("choices") if isinstance(value, dict) else None
    if not isinstance(choices, list) or len(choices) > 1 or "id" not in result:
        raise InputError(f"the answer to {result.get('from_name')!r} is damaged: {str(value)[:80]}")
    if not choices:
        return None
    return {
        "region_id": str(result["id"]),
        "class_id": int(tool[1]),
        "attribute": tool[2],
        "value": str(choices[0]),
    }
