import numpy as np
import pandas as pd
import pytest

from datalab.quality.gold import score_annotator
from datalab.tables import GOLD
from tests.quality.images import HEIGHT, WIDTH, Box, rle, tables

TRUTH = pd.DataFrame(
    [("i", "t0", "coin", rle(0, 0, 4, 4), HEIGHT, WIDTH), ("i", "t1", "cup", rle(4, 5, 6, 8), HEIGHT, WIDTH),
     ("j", "t2", "", "", HEIGHT, WIDTH)],
    columns=list(GOLD),
)  # fmt: skip


def score(answers: dict[str, list[Box]]):  # type: ignore[no-untyped-def]
    ratings, regions = tables({(image, "ann"): boxes for image, boxes in answers.items()}, role="gold")
    return score_annotator(ratings, regions, TRUTH, 0.5, np.random.default_rng(0))


def test_by_hand() -> None:
    one = score({"i": [("coin", 0, 0, 4, 3), ("coin", 4, 5, 6, 8)], "j": [("cup", 0, 0, 2, 2)]})
    assert one.precision.value == pytest.approx(1 / 3)
    assert one.recall.value == pytest.approx(1 / 2)
    assert one.f1.value == pytest.approx(2 / 5)
    assert one.mean_iou.value == pytest.approx(0.75)
    assert one.median_seconds == 10.5


def test_perfect_is_one_and_skill_stays_modest_on_little_gold() -> None:
    one = score({"i": [("coin", 0, 0, 4, 4), ("cup", 4, 5, 6, 8)], "j": []})
    assert (one.f1.value, one.mean_iou.value) == (1, 1)
    assert 0.5 < one.skill == pytest.approx(4 / 6)


def test_who_saw_no_gold_has_no_score() -> None:
    one = score({})
    assert one.f1.value is None
    assert one.skill == 0.5
    assert one.as_json()["median_seconds"] is None
