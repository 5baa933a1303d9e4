from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from datalab.learning.gate import GateParams
from datalab.masks import mask_to_rle
from datalab.rounds.gating import gate_proposals, gold_examples
from datalab.tables import GATED_PROPOSALS, GOLD, PROPOSALS

SIDE = 10
PARAMS = GateParams(
    least_examples=6, least_images=3, least_class_examples=99, propose_at=0.6, auto_accept=False, accept_at=0.9
)


def rle(width: int) -> str:
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[:, :width] = True
    return mask_to_rle(mask)


def proposal(image_id: str, width: int, score: float) -> tuple[object, ...]:
    return (image_id, f"{image_id}-{width}", "coin", rle(width), SIDE, SIDE, score, 1.0, "sam")


def world() -> tuple[pd.DataFrame, pd.DataFrame]:
    """On each of three gold images one good mask with a high score and one bad with a low one; two more on `a`."""
    rows = [proposal(image, 4, 0.9) for image in "xyz"] + [proposal(image, 1, 0.5) for image in "xyz"]
    rows += [proposal("a", 4, 0.95), proposal("a", 1, 0.4)]
    gold = [(image, f"{image}-t", "coin", rle(4), SIDE, SIDE) for image in "xyz"] + [("e", "e-t", "", "", SIDE, SIDE)]
    return pd.DataFrame(rows, columns=list(PROPOSALS)), pd.DataFrame(gold, columns=list(GOLD))


def test_what_gold_shows_to_be_bad_is_left_out() -> None:
    proposals, gold = world()
    shown, facts = gate_proposals(proposals, {"a", "x"}, gold, PARAMS)
    assert list(shown.columns) == list(GATED_PROPOSALS)
    assert sorted(shown["region_id"]) == ["a-4", "x-4"]
    np.testing.assert_allclose(shown["expected_iou"], 1.0)
    assert (facts["shown"], facts["left_out"], facts["examples"], facts["images"]) == (2, 2, 6, 3)
    assert facts["error"]["mean_absolute_error"] == 0
    assert facts["error"]["shown_mean_iou"] == 1


def test_with_too_little_gold_everything_is_shown_and_the_reason_told() -> None:
    proposals, gold = world()
    shown, facts = gate_proposals(proposals, {"a"}, gold, replace(PARAMS, least_examples=7))
    assert sorted(shown["region_id"]) == ["a-1", "a-4"]
    assert shown["expected_iou"].isna().all()
    assert "6 proposals on 3 gold images, 7 on 3 are needed" in facts["reason"]


def test_auto_accept_has_to_be_asked_for() -> None:
    proposals, gold = world()
    assert set(gate_proposals(proposals, {"a"}, gold, PARAMS)[0]["decision"]) == {"propose"}
    shown, facts = gate_proposals(proposals, {"a"}, gold, replace(PARAMS, auto_accept=True))
    assert list(shown["decision"]) == ["accept"]
    assert facts["accepted"] == 1


def test_true_iou_is_that_of_the_best_object_and_nothing_on_an_empty_image() -> None:
    proposals, gold = world()
    extra = pd.DataFrame([proposal("e", 3, 0.7), proposal("x", 2, 0.6)], columns=list(PROPOSALS))
    found = gold_examples(pd.concat([proposals, extra]), gold)
    values = dict(zip(zip(found.image_ids, found.scores, strict=True), found.true_iou, strict=True))
    assert values[("e", 0.7)] == 0
    assert values[("x", 0.6)] == pytest.approx(0.5)
    assert "a" not in found.image_ids


def test_no_proposals_at_all() -> None:
    proposals, gold = world()
    shown, facts = gate_proposals(proposals.iloc[:0], {"a"}, gold, PARAMS)
    assert shown.empty
    assert facts["shown"] == 0
