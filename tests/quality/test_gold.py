import numpy as np
import pandas as pd
import pytest

from datalab.errors import InputError
from datalab.quality.gold import GoldCounts, GoldScore, score_annotator
from datalab.tables import GOLD
from tests.quality.images import HEIGHT, WIDTH, Box, rle, tables

TRUTH = pd.DataFrame(
    [("i", "t0", "coin", rle(0, 0, 4, 4), HEIGHT, WIDTH), ("i", "t1", "cup", rle(4, 5, 6, 8), HEIGHT, WIDTH),
     ("j", "t2", "", "", HEIGHT, WIDTH)],
    columns=list(GOLD),
)  # fmt: skip


def score(answers: dict[str, list[Box]]) -> GoldScore:
    ratings, regions = tables({(image, "ann"): boxes for image, boxes in answers.items()}, role="gold")
    return score_annotator(ratings, regions, TRUTH, 0.5, np.random.default_rng(0))


def test_by_hand() -> None:
    one = score({"i": [("coin", 0, 0, 4, 3), ("coin", 4, 5, 6, 8)], "j": [("cup", 0, 0, 2, 2)]})
    assert one.precision.value == pytest.approx(1 / 3)
    assert one.recall.value == pytest.approx(1 / 2)
    assert one.f1.value == pytest.approx(2 / 5)
    assert one.mean_iou.value == pytest.approx(0.75)
    assert one.median_seconds == 10.5
    assert one.counts == GoldCounts(matched=1, confused=1, missed=0, extra=1)
    assert one.confusions == {"cup as coin": 1}
    assert (one.precision.n, one.recall.n, one.images) == (3, 2, 2)


def test_perfect_is_one_and_skill_stays_modest_on_little_gold() -> None:
    one = score({"i": [("coin", 0, 0, 4, 4), ("cup", 4, 5, 6, 8)], "j": []})
    assert (one.f1.value, one.mean_iou.value) == (1, 1)
    assert 0.5 < one.skill == pytest.approx(4 / 6)
    assert one.f1.low is not None
    assert one.f1.low < 0.6


def test_agreed_absence_is_no_object() -> None:
    one = score({"j": []})
    assert one.f1.reason == "no object to count on these gold images"
    assert (one.skill, one.images) == (0.5, 1)


def test_objects_where_nothing_is_cost() -> None:
    one = score({"j": [("coin", 0, 0, 4, 4), ("coin", 4, 5, 6, 8)]})
    assert one.precision.value == 0
    assert one.recall.value is None
    assert one.skill == pytest.approx(2 / 5)


def test_a_gold_mask_of_another_size_is_named() -> None:
    ratings, regions = tables({("i", "ann"): []}, role="gold")
    with pytest.raises(InputError, match="gold mask of image i has 8 x 6 pixels, it was labelled at 99 x 6"):
        score_annotator(ratings.assign(width=99), regions, TRUTH, 0.5, np.random.default_rng(0))


def test_who_saw_no_gold_has_no_score() -> None:
    one = score({})
    assert one.f1.value is None
    assert one.f1.reason == "labelled no gold image"
    assert one.skill == 0.5
    assert one.as_json()["median_seconds"] is None
