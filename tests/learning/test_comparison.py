import numpy as np
import pandas as pd
import pytest

from datalab.learning.comparison import counts_of, duel
from datalab.tables import CONFUSIONS

RIGHT = np.array([[6, 0], [0, 2]])
HALF = np.array([[6, 0], [1, 1]])
"""IoU 6/7 and 1/2."""


def test_the_difference_is_that_of_the_pooled_means() -> None:
    found = duel(np.stack([HALF, RIGHT]), np.stack([RIGHT, RIGHT]), ["a", "b"], np.random.default_rng(0), 200)
    # pooled: background 12 of 13, object 3 of 4
    assert found.champion.value == pytest.approx((12 / 13 + 3 / 4) / 2, abs=1e-6)
    assert found.challenger.value == 1
    assert found.difference.value == pytest.approx(1 - (12 / 13 + 3 / 4) / 2, abs=1e-6)
    assert found.by_image == pytest.approx(np.array([[(6 / 7 + 1 / 2) / 2, 1], [1, 1]]))


def test_images_are_drawn_for_both_models_at_once() -> None:
    """Every image is as hard for both: each model's interval is wide, that of the difference has no width."""
    rng = np.random.default_rng(0)
    wrong = rng.integers(0, 40, 60)
    champion = np.array([[[100, 0], [each, 50 - each]] for each in wrong])
    found = duel(champion, champion, [str(place) for place in range(60)], rng, 500)
    assert found.champion.low is not None
    assert found.champion.high is not None
    assert found.champion.high - found.champion.low > 0.02
    assert (found.difference.low, found.difference.high) == (0, 0)


def test_one_image_has_no_interval() -> None:
    found = duel(HALF[None], RIGHT[None], ["a"], np.random.default_rng(0), 50)
    assert found.difference.value is not None
    assert found.difference.low is None
    assert found.difference.reason == "no interval: one test image decides, or a few that are all alike"


def test_images_of_one_group_are_drawn_together() -> None:
    """Five clips of eight frames, all frames of a clip as good: forty images, and five witnesses."""
    clips = np.repeat([[[100, 0], [wrong, 50 - wrong]] for wrong in (2, 9, 14, 23, 31)], 8, axis=0)
    right = np.repeat([[[100, 0], [0, 50]]], 40, axis=0)
    rng = np.random.default_rng(0)
    groups = [f"clip {place // 8}" for place in range(40)]
    together, apart = (duel(clips, right, names, rng, 500) for names in (groups, [str(place) for place in range(40)]))
    assert together.difference.value == apart.difference.value
    assert together.difference.low is not None and apart.difference.low is not None
    # as far again and more: the square root of eight, and t of four degrees of freedom
    assert together.difference.low < apart.difference.low / 2
    assert len(together.by_image) == 40


def test_models_of_other_images_are_refused() -> None:
    with pytest.raises(ValueError, match="champion has shape"):
        duel(HALF[None], np.stack([HALF, HALF]), ["a"], np.random.default_rng(0), 50)


def test_the_cells_become_matrices() -> None:
    rows = [("b", "coin", "coin", 5), ("a", "background", "coin", 2), ("x", "coin", "coin", 9)]
    counts = counts_of(pd.DataFrame(rows, columns=list(CONFUSIONS)), ["a", "b"], ("background", "coin"))
    assert counts.tolist() == [[[0, 2], [0, 0]], [[0, 0], [0, 5]]]
