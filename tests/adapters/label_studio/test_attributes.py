"""Answers about regions, as Label Studio's JSON has them."""

from typing import Any

import pytest

from datalab.adapters.label_studio.attributes import attribute_tool, results_to_attributes
from datalab.errors import InputError


def answer(tool: str = "attribute_1_state", **changes: Any) -> dict[str, Any]:
    return {"id": "r1", "type": "choices", "from_name": tool, "value": {"choices": ["whole"]}, **changes}


@pytest.mark.parametrize("attribute", ["state", "seen from_above", "état\n2"])
def test_the_tool_names_class_and_attribute(attribute: str) -> None:
    assert results_to_attributes([answer(attribute_tool(12, attribute))]) == [
        {"region_id": "r1", "class_id": 12, "attribute": attribute, "value": "whole"}
    ]


def test_what_is_no_answer_of_ours_is_passed_over() -> None:
    others = [
        answer("quality"),
        answer(type="brushlabels"),
        {"type": "relation", "from_id": "a", "to_id": "b"},
        answer(value={"choices": []}),
    ]
    assert results_to_attributes(others) == []


@pytest.mark.parametrize(
    "damaged",
    [answer(value={"choices": ["whole", "broken"]}), answer(value={}), answer(value=None), answer(value="whole")],
)
def test_a_damaged_answer_is_named(damaged: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="the answer to 'attribute_1_state' is damaged"):
        results_to_attributes([damaged])
    with pytest.raises(InputError, match="is damaged"):
        results_to_attributes([{key: value for key, value in answer().items() if key != "id"}])
