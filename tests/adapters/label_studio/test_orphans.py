"""Which labels a change of the guidelines would orphan."""

from typing import Any

import pytest

from datalab.adapters.label_studio.config import labeling_config
from datalab.adapters.label_studio.orphans import lost_labels, refuse_orphans
from datalab.config import Attribute, Guidelines, LabelClass
from datalab.errors import InputError
from tests.adapters.label_studio.fake_server import FakeLabelStudio, client_over

STATE = Attribute("state", ("whole", "broken"))
COIN = LabelClass(1, "coin", "#000000", attributes=(STATE,))
CUP = LabelClass(2, "cup", "#000000")
SPOON = LabelClass(3, "spoon", "#000000")
WHOLE = "'whole' of 'attribute_1_state', used 2 times"
CUPS = "'cup' of 'mask', used 3 times"
RESET = "POST /api/projects/7/summary/reset/"


def region(label: str, tool: str = "mask", kind: str = "brushlabels") -> dict[str, Any]:
    return {"from_name": tool, "type": kind, "value": {kind: [label]}}


def answer(label: str) -> dict[str, Any]:
    return region(label, "attribute_1_state", "choices")


NOTICE = {"from_name": "notice", "type": "textarea", "value": {"text": ["hm"]}}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeLabelStudio:
    """Three tasks: coins, cups and answers in annotations, one of them skipped, and a cup in a draft."""
    monkeypatch.setattr("datalab.adapters.label_studio.orphans.PAGE", 1)
    tasks: list[dict[str, Any]] = [{"id": one, "data": {}, "annotations": []} for one in (1, 2, 3)]
    server = FakeLabelStudio(tasks=tasks, clock=3)
    server.answer(1, 1, [region("coin"), region("cup"), answer("whole"), NOTICE])
    server.answer(1, 2, [region("cup"), answer("whole")], was_cancelled=True)
    server.answer(2, 1, [{"type": "relation"}, {**region("coin"), "value": {}}])
    server.drafts[3] = [{"result": [region("cup")]}, {"result": None}]
    return server


def config(*classes: LabelClass) -> str:
    return labeling_config(Guidelines(classes, (), "v", "o"))


@pytest.mark.parametrize(
    ("classes", "broken"),
    [
        ((COIN, SPOON), [CUPS]),
        ((COIN, LabelClass(2, "mug", "#000000"), SPOON), [CUPS]),
        ((LabelClass(1, "coin", "#000000"), CUP, SPOON), [WHOLE]),
        ((LabelClass(1, "coin", "#000000", attributes=(Attribute("state", ("new",)),)), CUP, SPOON), [WHOLE]),
        ((CUP,), [WHOLE, "'coin' of 'mask', used 1 time"]),
    ],
)
def test_what_people_used_has_to_stay(
    server: FakeLabelStudio, classes: tuple[LabelClass, ...], broken: list[str]
) -> None:
    with pytest.raises(InputError) as refused:
        refuse_orphans(client_over(server), 7, config(COIN, CUP, SPOON), config(*classes))
    assert f"orphan labels of project 7: {'; '.join(broken)}; put" in str(refused.value)
    assert RESET not in server.asked


def test_what_nobody_uses_may_go_and_the_servers_own_counts_are_made_anew(server: FakeLabelStudio) -> None:
    broken = LabelClass(1, "coin", "#000000", attributes=(Attribute("state", ("whole",)),))
    refuse_orphans(client_over(server), 7, config(COIN, CUP, SPOON), config(broken, CUP))
    assert server.asked[-1] == RESET


def test_where_nothing_goes_nothing_is_asked(server: FakeLabelStudio) -> None:
    refuse_orphans(client_over(server), 7, config(COIN, CUP), config(COIN, CUP, SPOON))
    assert server.asked == []


def test_what_is_lost_is_told_by_tool() -> None:
    found = lost_labels(config(COIN, CUP), config(COIN))
    assert found == {(tool, "cup") for tool in ("mask", "polygon", "click", "box")}
