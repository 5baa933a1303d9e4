from typing import Any

import numpy as np
import pandas as pd
import pytest

from datalab.errors import InputError
from datalab.quality.gold import Against, GoldImage, in_unknown_pixels, score_images
from datalab.quality.gold_score import GoldLimits, GoldScore, as_json, score_gold
from datalab.tables import GOLD
from tests.quality.images import HEIGHT, WIDTH, Box, rle, tables

TRUTH = pd.DataFrame(
    [("i", "t0", "coin", rle(0, 0, 4, 4), HEIGHT, WIDTH), ("i", "t1", "cup", rle(4, 5, 6, 8), HEIGHT, WIDTH),
     ("j", "t2", "", "", HEIGHT, WIDTH)],
    columns=list(GOLD),
)  # fmt: skip
AGAINST = Against(TRUTH, ["coin", "cup"], 0.5, small_share=0.2, groups={})
LIMITS = GoldLimits(20, target=0.8, pause_below=0.5, recent_rounds=1, advise_px=1.5, advise_share=0.1)


def images_of(answers: dict[str, list[Box]]) -> list[GoldImage]:
    return score_images(*tables({(image, "ann"): boxes for image, boxes in answers.items()}, role="gold"), AGAINST)


def score(answers: dict[str, list[Box]]) -> GoldScore:
    return score_gold(images_of(answers), [], LIMITS, np.random.default_rng(0))


def values(answers: dict[str, list[Box]]) -> dict[str, Any]:
    return {name: figure.value for name, figure in score(answers).figures.items()}


def test_by_hand() -> None:
    answers: dict[str, list[Box]] = {"i": [("coin", 0, 0, 4, 3), ("coin", 4, 5, 6, 8)], "j": [("cup", 0, 0, 2, 2)]}
    one = score(answers)
    found = values(answers)
    assert found["precision"] == pytest.approx(1 / 3)
    assert found["recall"] == pytest.approx(1 / 2)
    assert found["f1"] == pytest.approx(2 / 5)
    assert found["mean_iou"] == pytest.approx(0.75)
    assert found["recall_small"] == 0
    assert found["seconds_per_object"] == pytest.approx(21 / 3)
    assert one.median_seconds == 10.5
    assert one.objects == {"matched": 1, "confused": 1, "missed": 0, "extra": 1}
    assert one.confusions == {"cup as coin": 1}
    assert (one.figures["precision"].n, one.figures["recall"].n, one.images) == (3, 2, 2)


def test_outlines_and_presence_by_hand() -> None:
    """A coin drawn one column too narrow: only the side inside the image is an outline, and it is off by one."""
    [one] = images_of({"i": [("coin", 0, 0, 4, 3)]})
    assert one.outlines.measured == 1
    assert -1 < one.outlines.offset_px < 0 < one.outlines.distance_px < 1
    assert one.presence.tolist() == [[0, 0], [1, 1]]
    assert (one.small_true, one.small_hits, one.true_of) == (1, 0, {"coin": 1, "cup": 1})


def test_what_is_drawn_where_nobody_knows_the_class_is_neither_right_nor_wrong() -> None:
    void = pd.DataFrame([("i", "t3", "", rle(0, 5, 3, 8), HEIGHT, WIDTH)], columns=list(GOLD))
    against = Against(pd.concat([TRUTH, void], ignore_index=True), ["coin", "cup"], 0.5, 0.2, groups={})
    right: list[Box] = [("coin", 0, 0, 4, 4), ("cup", 4, 5, 6, 8)]
    answers: dict[tuple[str, str], list[Box]] = {
        ("i", "ann"): [*right, ("cup", 0, 5, 2, 7)],
        ("i", "bob"): right,
        ("i", "cat"): [*right, ("cup", 2, 5, 4, 8)],  # half of it
        ("i", "dan"): [*right, ("cup", 2, 5, 5, 8)],  # a third: there it is known that nothing is
    }
    ratings, regions = tables(answers, role="gold")
    left_out = in_unknown_pixels(regions, against.gold)
    assert left_out.tolist() == [False] * 2 + [True] + [False] * 4 + [True] + [False] * 3
    found = score_images(ratings, regions[~left_out], against)
    assert [(one.drawn, one.hits) for one in found] == [(2, 2), (2, 2), (2, 2), (3, 2)]


def test_perfect_is_one_and_skill_stays_modest_on_little_gold() -> None:
    answers: dict[str, list[Box]] = {"i": [("coin", 0, 0, 4, 4), ("cup", 4, 5, 6, 8)], "j": []}
    one, found = score(answers), values(answers)
    assert [found[name] for name in ("f1", "mean_iou", "mean_boundary_iou", "presence_kappa")] == [1, 1, 1, 1]
    assert (found["outline_offset_px"], found["outline_distance_px"]) == (0, 0)
    assert one.skill.value == pytest.approx(4 / 6)
    assert one.skill.reason == "no interval from one image"
    assert one.figures["f1"].reason == "no interval from one image"


def test_agreed_absence_is_no_object() -> None:
    one = score({"j": []})
    assert one.figures["f1"].reason == "no object to count on these gold images"
    assert one.figures["presence_kappa"].reason == "only one category was seen"
    assert (one.skill.value, one.images) == (0.5, 1)


def test_objects_where_nothing_is_cost() -> None:
    one = score({"j": [("coin", 0, 0, 4, 4), ("coin", 4, 5, 6, 8)]})
    assert one.figures["precision"].value == 0
    assert one.figures["recall"].value is None
    assert one.skill.value == pytest.approx(2 / 5)


def test_a_gold_mask_of_another_size_is_named() -> None:
    ratings, regions = tables({("i", "ann"): []}, role="gold")
    with pytest.raises(InputError, match="gold mask of image i has 8 x 6 pixels, it was labelled at 99 x 6"):
        score_images(ratings.assign(width=99), regions, AGAINST)


def test_who_saw_no_gold_has_no_score() -> None:
    one = score({})
    assert {figure.reason for figure in one.figures.values()} == {"labelled no gold image"}
    assert one.skill.value == 0.5
    shown = as_json(one, LIMITS, [])
    assert (shown["median_seconds"], shown["skill"], shown["action"]["value"]) == (None, 0.5, "none")


def test_seconds_that_were_not_measured_do_not_count() -> None:
    ratings, regions = tables({("i", "ann"): [("coin", 0, 0, 4, 4)], ("j", "ann"): []}, role="gold")
    images = score_images(ratings.assign(lead_time_s=[float("nan"), 8.0]), regions, AGAINST)
    one = score_gold(images, [], LIMITS, np.random.default_rng(0))
    assert one.median_seconds == 8
    assert one.figures["seconds_per_object"].value is None


def test_a_confused_object_is_neither_missed_nor_extra_and_is_one_object() -> None:
    confused: dict[str, list[Box]] = {"i": [("cup", 0, 0, 4, 4)]}
    assert score(confused).objects == {"matched": 0, "confused": 1, "missed": 1, "extra": 0}
    (one,) = images_of({"i": [("coin", 0, 0, 4, 4), ("coin", 4, 5, 6, 8)]})
    assert one.agreement == 1 / 2
