"""Which labels a change of the guidelines would orphan."""

from typing import Any

import pytest

from datalab.adapters.label_studio.config import labeling_config
from datalab.adapters.label_studio.orphans import orphans
from datalab.config import Attribute, Guidelines, LabelClass

STATE = Attribute("state", ("whole", "broken"))
COIN = LabelClass(1, "coin", "#000000", attributes=(STATE,))
CUP = LabelClass(2, "cup", "#000000")
USED = {
    "created_labels": {"mask": {"coin": 12, "cup": 1}, "attribute_1_state": {"whole": 2}, "notice": {"hm": 1}},
    "created_labels_drafts": {"mask": {"cup": 2}, "polygon": {"coin": 0}},
}
WHOLE = "'whole' of 'attribute_1_state', used 2 times"
CUPS = "'cup' of 'mask', used 3 times"


@pytest.mark.parametrize(
    ("classes", "broken"),
    [
        ((COIN, CUP), []),
        ((COIN, CUP, LabelClass(3, "spoon", "#000000")), []),
        ((COIN,), [CUPS]),
        ((COIN, LabelClass(2, "mug", "#000000")), [CUPS]),
        ((LabelClass(1, "coin", "#000000"), CUP), [WHOLE]),
        ((LabelClass(1, "coin", "#000000", attributes=(Attribute("state", ("new",)),)), CUP), [WHOLE]),
        ((CUP,), [WHOLE, "'coin' of 'mask', used 12 times"]),
    ],
)
def test_what_people_used_has_to_stay(classes: tuple[LabelClass, ...], broken: list[str]) -> None:
    assert orphans(USED, labeling_config(Guidelines(classes, (), "v", "o"))) == broken


def test_a_project_without_labels_may_change_at_will() -> None:
    summaries: list[dict[str, Any]] = [{}, {"created_labels": None}, {"created_labels": {"mask": {}}}]
    for summary in summaries:
        assert orphans(summary, labeling_config(Guidelines((CUP,), (), "v", "o"))) == []
