import numpy as np
import pytest

from datalab.learning.caution import Gain, gain, trust

BETTER, EQUAL = Gain(0.3, 0.1, 0.1), Gain(0.1, 0.1, -0.05)


def test_a_clear_gain_has_a_lower_end_above_zero_and_none_has_not() -> None:
    rng = np.random.default_rng(0)
    wide = gain(rng.normal(0.4, 0.05, 30), rng.normal(0.1, 0.05, 8), rng)
    assert wide is not None
    assert wide.low == pytest.approx(0.28, abs=0.03)
    nothing = gain(np.full(10, 0.2), np.full(5, 0.2), rng)
    assert nothing is not None
    assert (nothing.chosen, nothing.random, nothing.low) == pytest.approx((0.2, 0.2, 0))
    assert gain(np.full(10, 0.2), np.full(2, 0.2), rng) is None


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
