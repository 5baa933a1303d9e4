import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from datalab.quality.proportion import wilson, wilson_f1

SHARES = st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(SHARES)
def test_wilson_is_statsmodels(share: tuple[int, int]) -> None:
    found = wilson(*share)
    assert (found.low, found.high) == pytest.approx(proportion_confint(*share, method="wilson"), abs=1e-12)


def test_all_right_leaves_room_for_doubt() -> None:
    found = wilson(10, 10)
    assert found.value == 1
    assert found.high == pytest.approx(1)
    assert found.low == pytest.approx(0.7225, abs=5e-5)


def test_f1_of_two_hits_two_missed_one_extra() -> None:
    found = wilson_f1(2, 5)
    assert found.value == pytest.approx(4 / (4 + 3))
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low < 4 / 7 < found.high <= 1


def test_nothing_counted() -> None:
    assert wilson(0, 0).value is None
    assert wilson_f1(0, 0).reason == "nothing to count"
