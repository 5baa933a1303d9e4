"""What one annotator makes of one image."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom, poisson

from datalab.masks import iou_matrix, rle_area
from datalab.simulate.labeling import Labeled, Region
from datalab.simulate.profile import Profile
from tests.simulate.people import CLASSES, FAULTLESS, SIDE, annotator, region, square

TRUTH = [region("t0", square(0, 0)), region("t1", square(20, 20), "cup")]
CANVAS, STEP = 400, 20
MANY = [
    region(f"t{row}-{column}", square(row, column, side=12, canvas=CANVAS), CLASSES[(row // STEP + column // STEP) % 2])
    for row in range(0, CANVAS, STEP)
    for column in range(0, CANVAS, STEP)
]
"""400 objects of 144 pixels, each 0.09% of the image."""


def shapes(labeled: Labeled) -> list[tuple[str, str, str]]:
    return [(one.label, one.rle, one.origin) for one in labeled.regions]


def within(count: int, share: float) -> bool:
    """Whether `count` of the 400 objects is credible for this probability (all but one in a million)."""
    low, high = binom.interval(1 - 1e-6, len(MANY), share)
    return bool(low <= count <= high)


def changed(**spoiled: float) -> Profile:
    return replace(FAULTLESS, **spoiled)  # type: ignore[arg-type]


def test_the_faultless_draw_exactly_the_truth() -> None:
    labeled = annotator(FAULTLESS).label(TRUTH, [])
    assert shapes(labeled) == [(one.label, one.rle, "manual") for one in TRUTH]
    # looked, and drew two outlines of 36 pixels
    assert labeled.seconds == pytest.approx(4 + 2 * (3 + 3.6))


def test_an_image_with_nothing_in_it_takes_a_look() -> None:
    assert annotator(FAULTLESS).label([], []) == Labeled([], 4.0)


def test_a_good_proposal_is_kept_untouched() -> None:
    proposal = region("p0", square(1, 0))  # IoU 90 / 110
    labeled = annotator(changed(keep_iou=0.8)).label(TRUTH[:1], [proposal])
    assert labeled == Labeled([replace(proposal, origin="proposal")], 4 + 1)


def test_a_fair_proposal_is_corrected() -> None:
    proposal = region("p0", square(3, 0))  # IoU 70 / 130
    labeled = annotator(changed(keep_iou=0.8)).label(TRUTH[:1], [proposal])
    assert labeled == Labeled([Region("p0", "coin", TRUTH[0].rle, "edited")], 4 + 6)


def test_a_bad_proposal_is_deleted_and_the_object_drawn() -> None:
    proposal = region("p0", square(6, 0))  # IoU 40 / 160
    labeled = annotator(FAULTLESS).label(TRUTH[:1], [proposal])
    assert shapes(labeled) == [("coin", TRUTH[0].rle, "manual")]
    assert labeled.seconds == pytest.approx(4 + 3 + 3.6 + 1.5)


def test_a_proposal_of_another_class_is_relabelled() -> None:
    proposal = replace(TRUTH[0], region_id="p0", label="cup")
    labeled = annotator(FAULTLESS).label(TRUTH[:1], [proposal])
    assert labeled == Labeled([Region("p0", "coin", TRUTH[0].rle, "edited")], 4 + 2 + 1)


def test_of_two_proposals_for_one_object_one_is_deleted() -> None:
    better, worse = replace(TRUTH[0], region_id="p1"), region("p0", square(2, 0))
    labeled = annotator(FAULTLESS).label(TRUTH[:1], [worse, better])
    assert shapes(labeled) == [("coin", TRUTH[0].rle, "proposal")]


def test_a_proposal_for_nothing_is_left_by_the_careless() -> None:
    proposal = region("p0", square(25, 0))
    assert annotator(FAULTLESS).label([], [proposal]) == Labeled([], 4 + 1.5)
    assert annotator(changed(keep_wrong=1)).label([], [proposal]) == Labeled([replace(proposal, origin="proposal")], 4)


def test_a_missed_object_keeps_its_proposal() -> None:
    proposal = region("p0", square(3, 0))
    blind = annotator(changed(miss=1, miss_small=1))
    assert blind.label(TRUTH, [proposal]) == Labeled([replace(proposal, origin="proposal")], 4)


def test_a_proposal_without_a_class_is_never_submitted_as_it_is() -> None:
    proposals = [replace(TRUTH[0], region_id="p0", label=""), region("p1", square(25, 0), "")]
    blind = annotator(changed(miss=1, miss_small=1, keep_wrong=1))
    assert blind.label(TRUTH[:1], proposals).regions == []
    assert [one.label for one in annotator(FAULTLESS).label(TRUTH[:1], proposals).regions] == ["coin"]


@pytest.mark.parametrize("share", [0.05, 0.35])
def test_the_miss_rate_is_as_written(share: float) -> None:
    labeled = annotator(changed(miss=share, miss_small=0, small_share=0), side=CANVAS).label(MANY, [])
    assert within(len(MANY) - len(labeled.regions), share)


def test_small_objects_are_missed_by_their_own_rate() -> None:
    labeled = annotator(changed(miss=0, miss_small=0.35), side=CANVAS).label(MANY, [])
    assert within(len(MANY) - len(labeled.regions), 0.35)


def test_classes_are_confused_as_often_as_written() -> None:
    labeled = annotator(changed(wrong_class=0.1), side=CANVAS).label(MANY, [])
    assert within(sum(one.label != true.label for one, true in zip(labeled.regions, MANY, strict=True)), 0.1)


def test_with_one_class_none_is_confused() -> None:
    alone = annotator(changed(wrong_class=1))
    alone.classes = ("coin",)
    assert [one.label for one in alone.label(TRUTH[:1], []).regions] == ["coin"]


def test_wrong_proposals_stay_as_often_as_written() -> None:
    labeled = annotator(changed(keep_wrong=0.3), side=CANVAS).label([], MANY)
    assert within(len(labeled.regions), 0.3)


def test_spurious_objects_come_as_often_as_written_and_beside_the_true_ones() -> None:
    labeled = [annotator(changed(spurious=0.5), seed).label(TRUTH, []) for seed in range(400)]
    spurious = [one for item in labeled for one in item.regions if one.region_id.startswith("s")]
    low, high = poisson.interval(1 - 1e-6, 400 * 0.5)
    assert low <= len(spurious) <= high
    assert not iou_matrix([one.rle for one in TRUTH], [one.rle for one in spurious], SIDE, SIDE).any()
    assert {one.label for one in spurious} == set(CLASSES)


@pytest.mark.parametrize(("bias", "sign"), [(1.5, 1), (-1.5, -1)])
def test_a_bias_changes_the_area_one_way(bias: float, sign: int) -> None:
    labeled = annotator(changed(bias_px=bias, jitter_px=0.5), side=CANVAS).label(MANY, [])
    areas = np.array([rle_area(one.rle, CANVAS, CANVAS) for one in labeled.regions])
    assert (np.sign(areas - 144) == sign).mean() > 0.99


def test_the_pace_is_a_factor_on_the_time() -> None:
    once, twice = (annotator(changed(pace=pace)).label(TRUTH, []).seconds for pace in (1, 2))
    assert twice == pytest.approx(2 * once)


def test_the_same_seed_gives_the_same_answer() -> None:
    sloppy = changed(jitter_px=2, bias_px=1, miss=0.2, wrong_class=0.2, spurious=1, keep_wrong=0.5)
    proposals = [region("p0", square(3, 0)), region("p1", square(25, 0))]
    answers = [annotator(sloppy, seed).label(TRUTH, proposals) for seed in (1, 1, 2)]
    assert answers[0] == answers[1] != answers[2]


def test_region_ids_are_unique() -> None:
    sloppy = changed(spurious=5, keep_wrong=1)
    labeled = annotator(sloppy).label(TRUTH, [region("p0", square(3, 0)), region("p1", square(25, 0))])
    assert len({one.region_id for one in labeled.regions}) == len(labeled.regions) > 3
