from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from datalab.masks import mask_to_rle
from datalab.rounds.gating import best_per_region, gate_proposals, gold_examples
from datalab.tables import CANDIDATES, GATED_PROPOSALS, GOLD
from tests.learning import test_gate

SIDE = 10
MANY = [f"g{number}" for number in range(30)]
"""Gold images enough to accept by, where `accept_at` is 0.9."""
PARAMS = replace(test_gate.PARAMS, least_examples=6, least_images=3, least_class_examples=99)


def rle(width: int) -> str:
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[:, :width] = True
    return mask_to_rle(mask)


def proposal(image_id: str, width: int, score: float, source: str = "sam", label: str = "coin") -> tuple[object, ...]:
    return (image_id, f"{image_id}-{width}", label, rle(width), SIDE, SIDE, score, 1.0, "sam-v1", source)


def world(images: Sequence[str] = "xyz") -> tuple[pd.DataFrame, pd.DataFrame]:
    """On each of these gold images one good mask with a high score and one bad with a low one; two more on `a`."""
    rows = [proposal(image, 4, 0.9) for image in images] + [proposal(image, 1, 0.5) for image in images]
    rows += [proposal("a", 4, 0.95), proposal("a", 1, 0.4)]
    gold = [(image, f"{image}-t", "coin", rle(4), SIDE, SIDE) for image in images] + [("e", "e-t", "", "", SIDE, SIDE)]
    return pd.DataFrame(rows, columns=list(CANDIDATES)), pd.DataFrame(gold, columns=list(GOLD))


def test_what_gold_shows_to_be_bad_is_left_out() -> None:
    proposals, gold = world()
    shown, facts = gate_proposals(proposals, {"a", "x"}, gold, PARAMS, 20)
    assert list(shown.columns) == list(GATED_PROPOSALS)
    assert sorted(shown["region_id"]) == ["a-4", "x-4"]
    np.testing.assert_allclose(shown["expected_iou"], 1.0)
    assert (facts["shown"], facts["left_out"], facts["shown_by_source"]) == (2, 2, {"sam": 2})
    assert (facts["sources"]["sam"]["examples"], facts["sources"]["sam"]["images"]) == (6, 3)
    assert facts["sources"]["sam"]["error"]["mean_absolute_error"] == 0
    assert facts["sources"]["sam"]["error"]["shown_mean_iou"] == 1


@pytest.mark.parametrize("images", ["xyz", ""])
def test_with_too_little_gold_what_sam_is_sure_of_is_shown_and_the_reason_told(images: str) -> None:
    proposals, gold = world()
    gold = gold[gold["image_id"].isin(set(images))]
    shown, facts = gate_proposals(proposals, {"a"}, gold, replace(PARAMS, least_examples=7), 20)
    assert list(shown["region_id"]) == ["a-4"]
    assert shown["expected_iou"].isna().all()
    assert facts["left_out"] == 1
    found = len(images)
    assert f"{2 * found} proposals on {found} gold images, 7 on 3 are needed" in facts["reason"]


def test_too_little_gold_that_all_the_same_says_no_leaves_everything_of_the_source_out() -> None:
    proposals, gold = world()
    bad = proposals[~proposals["region_id"].isin(["x-4", "y-4", "z-4"])]  # on gold only the narrow ones are left
    more = pd.DataFrame([proposal("a", 5, 0.9, "refined")], columns=list(CANDIDATES))
    shown, facts = gate_proposals(pd.concat([bad, more], ignore_index=True), {"a"}, gold, PARAMS, 20)
    assert list(shown["source"]) == ["refined"]  # of which gold says nothing
    assert facts["sources"]["sam"]["reason"].startswith(
        "none is shown: 3 proposals on 3 gold images have a true IoU of"
    )
    assert facts["left_out"] == 2


def test_what_gold_shows_of_itself_is_judged_by_the_other_gold() -> None:
    """On `x` high scores are good and low ones bad; on the other gold images it is the other way round."""
    rows = [proposal("x", 4, 0.9), proposal("x", 1, 0.5), proposal("a", 4, 0.9)]
    rows += [proposal(image, width, 0.7) for image in "yz" for width in (1, 2)]
    _, gold = world()
    shown, facts = gate_proposals(pd.DataFrame(rows, columns=list(CANDIDATES)), {"x", "a"}, gold, PARAMS, 20)
    # with x's own truth 0.9 is expected to be perfect; y and z know nothing better than 0.375
    assert list(shown["image_id"]) == ["a"]
    assert facts["sources"]["sam"]["error"]["shown"] == 0


def test_auto_accept_has_to_be_asked_for() -> None:
    proposals, gold = world(MANY)
    shown, facts = gate_proposals(proposals, {"a"}, gold, PARAMS, 20)
    assert set(shown["decision"]) == {"propose"}
    assert facts["sources"]["sam"]["accept_reason"] == "proposal_gate.auto_accept is false"
    assert facts["sources"]["sam"]["error"]["accepted"] == 30
    shown, facts = gate_proposals(proposals, {"a"}, gold, replace(PARAMS, auto_accept=True), 20)
    assert list(shown["decision"]) == ["accept"]
    assert facts["accepted"] == 1
    assert facts["sources"]["sam"]["accept_reason"] is None


@pytest.mark.parametrize("label", ["", "zebra"])
def test_what_has_no_class_or_one_that_gold_does_not_know_stays_open_to_people(label: str) -> None:
    proposals, gold = world(MANY)
    named = proposals.assign(label=proposals["label"].where(proposals["region_id"] != "a-4", label))
    shown, _ = gate_proposals(named, {"a"}, gold, replace(PARAMS, auto_accept=True), 20)
    assert list(zip(shown["region_id"], shown["decision"], strict=True)) == [("a-4", "propose")]


def test_exact_masks_of_the_wrong_class_are_no_reason_to_accept_any() -> None:
    proposals, gold = world(MANY)
    swapped = gold.assign(label="cup")  # SAM's masks fit, and each is called a coin
    shown, facts = gate_proposals(proposals, {"a"}, swapped, replace(PARAMS, auto_accept=True), 20)
    assert list(shown["decision"]) == ["propose"]
    sam = facts["sources"]["sam"]
    assert sam["error"]["accepted_mean_iou"]["value"] == 0
    assert sam["error"]["accepted_bad_share"]["value"] == 1
    assert sam["accept_reason"].startswith("gold bears out no class; coin: those that reach 0.9 have a true IoU of 0")
    assert sam["by_class"]["coin"]["examples"] == 60


def test_of_two_classes_the_one_that_gold_bears_out_is_accepted() -> None:
    proposals, gold = world(MANY)
    other = [(image, f"{image}-c", "cup", rle(9), SIDE, SIDE) for image in MANY]  # called a coin, too
    objects = pd.concat([gold, pd.DataFrame(other, columns=list(GOLD))], ignore_index=True)
    rows = [proposal(image, 9, 0.9, label="plate") for image in [*MANY, "a"]]
    more = pd.concat([proposals, pd.DataFrame(rows, columns=list(CANDIDATES))], ignore_index=True)
    shown, facts = gate_proposals(more, {"a"}, objects, replace(PARAMS, auto_accept=True), 20)
    decisions = dict(zip(shown["label"], shown["decision"], strict=True))
    assert decisions == {"coin": "accept", "plate": "propose"}
    by_class = facts["sources"]["sam"]["by_class"]
    assert (by_class["coin"]["accept_reason"], facts["sources"]["sam"]["accept_reason"]) == (None, None)
    assert "true IoU of 0.00" in by_class["plate"]["accept_reason"]


def test_a_few_good_masks_on_gold_are_no_reason_to_accept_any() -> None:
    proposals, gold = world()
    shown, facts = gate_proposals(proposals, {"a"}, gold, replace(PARAMS, auto_accept=True), 20)
    assert list(shown["decision"]) == ["propose"]
    told = "gold bears out no class; coin: 3 proposals on 3 gold images reach 0.9, 30 on 3 are needed"
    assert facts["sources"]["sam"]["accept_reason"] == told


def test_nothing_is_accepted_where_no_gold_reaches_so_far() -> None:
    proposals, gold = world()
    # only x has such a score and such a mask: of x itself the others know nothing
    rows = [proposal("x", 4, 0.95), *(proposal(image, 3, 0.9) for image in "yz")]
    rest = proposals[~proposals["region_id"].isin(["x-4", "y-4", "z-4"])]
    poorer = pd.concat([rest, pd.DataFrame(rows, columns=list(CANDIDATES))], ignore_index=True)
    asked = replace(PARAMS, auto_accept=True, accept_at=0.8)
    shown, facts = gate_proposals(poorer, {"a"}, gold, asked, 20)
    assert shown["expected_iou"].max() >= asked.accept_at
    assert list(shown["decision"]) == ["propose"]
    assert facts["sources"]["sam"]["accept_reason"] == "no proposal on gold that has a class reaches 0.8"


def test_a_proposal_where_nobody_knows_the_class_is_no_example() -> None:
    proposals, gold = world()
    right = np.zeros((SIDE, SIDE), dtype=bool)
    right[:, 7:] = True
    extra = ("x", "x-r", "coin", mask_to_rle(right), SIDE, SIDE, 0.9, 1.0, "sam-v1", "sam")
    asked = pd.concat([proposals, pd.DataFrame([extra], columns=list(CANDIDATES))], ignore_index=True)
    void = pd.DataFrame([("x", "x-v", "", mask_to_rle(right), SIDE, SIDE)], columns=list(GOLD))
    known, unknown = (
        gate_proposals(asked, {"a", "x"}, one, PARAMS, 20) for one in (gold, pd.concat([gold, void], ignore_index=True))
    )
    assert known[1]["sources"]["sam"]["examples"] == 7
    assert unknown[1]["sources"]["sam"]["examples"] == 6
    # people who label gold see there what they would see elsewhere
    assert "x-r" in set(unknown[0]["region_id"])


def test_an_object_of_another_class_does_not_speak_for_a_name() -> None:
    _, gold = world()
    beside = pd.DataFrame([("x", "x-c", "cup", rle(5), SIDE, SIDE)], columns=list(GOLD))
    found = gold_examples(
        pd.DataFrame([proposal("x", 5, 0.9)], columns=list(CANDIDATES)), pd.concat([gold, beside]), {}
    )
    assert found.true_iou == pytest.approx([1.0])
    assert found.named_iou == pytest.approx([0.8])  # with the coin of width 4


def test_true_iou_is_that_of_the_best_object_and_nothing_on_an_empty_image() -> None:
    proposals, gold = world()
    extra = pd.DataFrame([proposal("e", 3, 0.7), proposal("x", 2, 0.6)], columns=list(CANDIDATES))
    found = gold_examples(pd.concat([proposals, extra]), gold, {})
    values = dict(zip(zip(found.image_ids, found.scores, strict=True), found.true_iou, strict=True))
    assert values[("e", 0.7)] == 0
    assert values[("x", 0.6)] == pytest.approx(0.5)
    assert found.named_iou == pytest.approx(found.true_iou)
    assert "a" not in found.image_ids


def test_gold_of_one_clip_is_one_witness() -> None:
    """Thirty frames of three clips bear a class out no more than three images do, and few may not speak at all."""
    proposals, gold = world(MANY)
    clips = {image: f"clip{place % 3}" for place, image in enumerate(MANY)}
    asked = replace(PARAMS, auto_accept=True)
    shown, facts = gate_proposals(proposals, {"a"}, gold, asked, 20, clips)
    sam = facts["sources"]["sam"]
    assert list(shown["decision"]) == ["propose"]
    assert (sam["examples"], sam["images"], sam["groups"]) == (60, 30, 3)
    told = (
        "gold bears out no class; coin: 30 proposals (worth 3) on 3 groups of gold images reach 0.9, 30 on 3 are needed"
    )
    assert sam["accept_reason"] == told
    _, facts = gate_proposals(proposals, {"a"}, gold, replace(asked, least_examples=7), 20, clips)
    told = "60 proposals (worth 6) on 3 groups of gold images, 7 on 3 are needed; the fixed thresholds decide"
    assert facts["reason"] == told
    alone = {image: image for image in MANY}
    same, facts = gate_proposals(proposals, {"a"}, gold, asked, 20, alone)
    once, facts_once = gate_proposals(proposals, {"a"}, gold, asked, 20)
    pd.testing.assert_frame_equal(same, once)
    assert (facts, list(once["decision"])) == (facts_once, ["accept"])


def test_what_a_clip_shows_of_itself_is_judged_by_other_clips() -> None:
    """On two frames high scores are good, on all other gold they are bad."""
    rows = [proposal(image, *one) for image in "xy" for one in ((4, 0.9), (1, 0.5))]
    rows += [proposal(image, 1, score) for image in "zu" for score in (0.9, 0.5)]
    table, (_, gold) = pd.DataFrame(rows, columns=list(CANDIDATES)), world("xyzu")
    params = replace(PARAMS, propose_at=0.4)
    shown, _ = gate_proposals(table, {"x"}, gold, params, 20)
    assert list(shown["expected_iou"]) == pytest.approx([0.5])  # by y, z and u
    shown, facts = gate_proposals(table, {"x"}, gold, params, 20, {"x": "clip", "y": "clip"})
    assert shown.empty
    assert facts["sources"]["sam"]["error"]["shown"] == 2  # z and u by the clip


def test_no_proposals_at_all() -> None:
    proposals, gold = world()
    shown, facts = gate_proposals(proposals.iloc[:0], {"a"}, gold, PARAMS, 20)
    assert shown.empty
    assert facts["shown"] == 0
    assert facts["reason"] == "SAM found nothing on any image"


def test_the_better_version_of_a_region_is_kept_and_sources_are_calibrated_apart() -> None:
    proposals, gold = world()
    # on gold the model's regions are better than SAM's, although they agree less than SAM is sure of itself
    model = [proposal(image, *one, "model") for image in "xyz" for one in ((4, 0.7), (1, 0.1))]
    refined = [proposal(image, *one, "refined") for image in "xyz" for one in ((3, 0.8), (1, 0.2))]
    on_a = [proposal("a", 5, 0.7, "model"), proposal("a", 4, 0.8, "refined")]
    more = pd.DataFrame([*model, *refined, *on_a], columns=list(CANDIDATES))
    shown, facts = gate_proposals(pd.concat([proposals, more], ignore_index=True), {"a"}, gold, PARAMS, 20)
    assert list(shown["source"]) == ["sam"]
    assert facts["not_best"] == 2
    np.testing.assert_allclose(shown["expected_iou"], 1.0)
    without_sam = pd.concat([proposals[proposals["image_id"] != "a"], more], ignore_index=True)
    shown, _ = gate_proposals(without_sam, {"a"}, gold, PARAMS, 20)
    assert list(shown["source"]) == ["model"]  # expected 1 against 0.75


def test_what_gold_has_proven_goes_before_what_only_sam_is_sure_of() -> None:
    proposals, gold = world()
    # the same object, of which the refined version has too little gold and more of SAM's confidence
    more = pd.DataFrame([proposal("a", 5, 0.99, "refined"), proposal("x", 4, 0.9, "refined")], columns=list(CANDIDATES))
    shown, facts = gate_proposals(pd.concat([proposals, more], ignore_index=True), {"a"}, gold, PARAMS, 20)
    assert list(shown["source"]) == ["sam"]
    assert facts["sources"]["refined"]["reason"] is not None


def test_the_models_own_regions_are_not_shown_where_nothing_says_how_good_they_are() -> None:
    proposals, gold = world()
    rows = [proposal("a", 9, 0.99, "model"), proposal("a", 1, 0.9, "refined")]
    more = pd.DataFrame(rows, columns=list(CANDIDATES))
    shown, facts = gate_proposals(pd.concat([proposals, more], ignore_index=True), {"a"}, gold, PARAMS, 20)
    assert sorted(shown["source"]) == ["refined", "sam"]
    assert facts["reason"] is None
    assert "0 proposals on 0 gold images" in facts["sources"]["model"]["reason"]


@pytest.mark.parametrize("source", ["refined", "sam"])
@pytest.mark.parametrize(
    ("labels", "score", "label"),
    [
        (("coin", "coin"), 0.88, "coin"),
        (("coin", "cup"), 0.88, ""),  # neither leads clearly: for people to pick
        (("coin", "cup"), 0.75, "coin"),
        (("coin", ""), 0.88, "coin"),  # nothing else was said
        (("", "cup"), 0.88, ""),
    ],
)
def test_one_object_is_proposed_once_also_by_one_source(
    source: str, labels: tuple[str, str], score: float, label: str
) -> None:
    _, gold = world("")
    rows = [proposal("a", 8, 0.9, source, labels[0]), proposal("a", 9, score, source, labels[1])]
    shown, facts = gate_proposals(pd.DataFrame(rows, columns=list(CANDIDATES)), {"a"}, gold, PARAMS, 20)
    assert list(zip(shown["region_id"], shown["label"], strict=True)) == [("a-8", label)]
    assert facts["not_best"] == 1


def test_versions_of_half_a_region_are_regions_of_their_own() -> None:
    _, gold = world("")
    rows = [proposal("a", 8, 0.9, "refined"), proposal("a", 4, 0.88, "refined", "cup")]
    shown, _ = gate_proposals(pd.DataFrame(rows, columns=list(CANDIDATES)), {"a"}, gold, PARAMS, 20)
    assert sorted(shown["label"]) == ["coin", "cup"]


@pytest.mark.parametrize(("order", "kept"), [(0.95, ("", "propose")), (0.85, ("coin", "accept"))])
def test_a_region_of_which_the_class_is_unclear_is_not_read_only(order: float, kept: tuple[str, str]) -> None:
    rows = [proposal("a", 8, 0.9), proposal("a", 9, 0.9, "refined", "cup")]
    table = pd.DataFrame(rows, columns=list(CANDIDATES)).assign(order=[0.99, order], decision=["accept", "propose"])
    shown = best_per_region(table, 20)
    assert list(zip(shown["label"], shown["decision"], strict=True)) == [kept]
    assert list(table["label"]) == ["coin", "cup"]  # as it was


def test_no_more_than_the_limit_is_shown() -> None:
    proposals, gold = world()
    assert len(gate_proposals(proposals, {"x", "a"}, gold, replace(PARAMS, propose_at=0.0), 1)[0]) == 2
