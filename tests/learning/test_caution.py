import numpy as np
import pytest
from scipy.stats import ttest_ind

from datalab.learning.caution import Gain, gain, trust
from datalab.learning.metrics import Floats

BETTER, EQUAL = Gain(0.3, 0.1, 0.1), Gain(0.1, 0.1, -0.05)


def test_a_clear_gain_has_a_lower_end_above_zero_and_none_has_not() -> None:
    chosen, random = np.array([0.35, 0.4, 0.45] * 10), np.array([0.05, 0.1, 0.15] * 3)
    random = 0.1 + (random - 0.1) * chosen.std(ddof=1) / random.std(ddof=1)
    wide = gain(chosen, random)
    assert wide is not None
    peer = ttest_ind(chosen, random, equal_var=False, alternative="greater").confidence_interval(0.9)
    assert wide.low == pytest.approx(peer.low)
    nothing = gain(np.full(10, 0.2), np.full(5, 0.2))
    assert nothing is not None
    assert (nothing.chosen, nothing.random, nothing.low) == pytest.approx((0.2, 0.2, 0))
    assert gain(np.full(10, 0.2), np.full(2, 0.2)) is None


@pytest.mark.slow
def test_four_random_images_of_equal_worth_are_rarely_taken_for_a_gain() -> None:
    rng = np.random.default_rng(1)
    found = [gain(rng.normal(0.3, 0.1, 32), rng.normal(0.3, 0.1, 4)) for _ in range(2000)]
    assert np.mean([one is not None and one.low > 0 for one in found]) == pytest.approx(0.05, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [0.1, 0.3])
def test_random_images_with_nothing_wrong_on_them_are_rarely_taken_for_a_gain(wrong: float) -> None:
    """By their own variance, which is 0 where the model got none of the four wrong, half of such batches were one."""
    rng = np.random.default_rng(3)

    def drawn(count: int, share: float) -> Floats:
        return np.where(rng.random(count) < share, rng.uniform(0.3, 1, count), 0.0)

    def told(share: float) -> float:
        found = [gain(drawn(32, share), drawn(4, wrong)) for _ in range(1000)]
        return float(np.mean([one is not None and one.low > 0 for one in found]))

    assert told(wrong) <= 0.05
    assert told(0.9) > 0.6


@pytest.mark.parametrize(
    ("gains", "share"),
    [
        ([], 1.0),
        ([EQUAL], 1.0),
        ([EQUAL, EQUAL], 0.5),
        ([EQUAL, None, EQUAL], 0.5),
        ([EQUAL, BETTER, EQUAL], 1.0),
        ([EQUAL] * 4, 0.25),
        ([EQUAL, EQUAL, BETTER], 1.0),
        ([EQUAL] * 4 + [BETTER], 0.5),
    ],
)
def test_trust_shrinks_after_two_rounds_without_a_gain_and_comes_back(gains: list[Gain | None], share: float) -> None:
    assert trust(gains) == share


def test_a_lower_end_of_nothing_is_no_gain() -> None:
    assert trust([Gain(0.2, 0.2, 0.0)] * 2) == 0.5
