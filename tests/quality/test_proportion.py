import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from datalab.quality.proportion import (
    beta,
    beta_over_groups,
    newcombe,
    newcombe_over_groups,
    wilson,
    wilson_over_groups,
)
from datalab.quality.student import Sides

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
    found = wilson(2, (3 + 4) / 2)
    assert found.value == pytest.approx(4 / (4 + 3))
    assert found.n == 4
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low < 4 / 7 < found.high <= 1


@pytest.mark.parametrize("objects", [10, 20, 50, 200])
def test_f1_of_confused_objects_is_covered(objects: int) -> None:
    """Every error is one missed and one extra; counted as two errors they left F1 out in one of eight draws."""
    hits = np.arange(objects + 1)
    ends = np.array([[found.low, found.high] for found in (wilson(int(one), objects) for one in hits)])
    shares = np.linspace(0.6, 0.98, 20)
    inside = (ends[:, :1] <= shares) & (shares <= ends[:, 1:])
    chances = stats.binom.pmf(hits[:, None], objects, shares)
    assert (chances * inside).sum(axis=0).mean() >= 0.945


def test_f1_of_missed_objects_is_covered() -> None:
    hits, share = np.arange(51), 0.8
    ends = np.array([[found.low, found.high] for found in (wilson(int(one), (int(one) + 50) / 2) for one in hits)])
    true = 2 * share / (1 + share)
    inside = (ends[:, 0] <= true) & (true <= ends[:, 1])
    assert stats.binom.pmf(hits, 50, share) @ inside >= 0.95


def test_nothing_counted() -> None:
    assert wilson(0, 0).value is None
    assert wilson_over_groups(Sides([0, 0], [0, 0])).reason == "nothing to count"


def test_images_that_are_all_alike_count_as_their_objects_but_for_being_few() -> None:
    """Student's t with 3 degrees of freedom is 1.6238 times the normal distribution's quantile."""
    found, fewer = wilson_over_groups(Sides([8, 8, 8, 8], [10] * 4)), wilson(32 / 1.6238**2, 40 / 1.6238**2)
    assert (found.value, found.n) == (0.8, 40)
    assert [found.low, found.high] == pytest.approx([fewer.low, fewer.high], abs=1e-4)


def test_one_image_has_no_interval() -> None:
    found = wilson_over_groups(Sides([17, 0], [20, 0]))
    assert (found.value, found.n, found.low, found.reason) == (0.85, 20, None, "no interval from one image")


@pytest.mark.parametrize("images", [4, 6, 12, 24])
def test_what_goes_by_image_is_covered(images: int) -> None:
    """Objects of an image correlated by 0.2; taken one by one they were covered in 82 to 88% of the draws."""
    rng = np.random.default_rng(8)
    inside = []
    for shares in rng.beta(0.85 * 4, 0.15 * 4, (400, images)):
        objects = rng.integers(2, 9, images)
        found = wilson_over_groups(Sides(rng.binomial(objects, shares), objects))
        assert found.low is not None
        assert found.high is not None
        inside.append(found.low <= 0.85 <= found.high)
    assert np.mean(inside) >= 0.925


@pytest.mark.parametrize("clips", [5, 8, 24])
def test_what_goes_by_clip_is_covered(clips: int) -> None:
    """Ten frames of two objects, whose hits are correlated within a clip; frame by frame 63 to 66% were covered."""
    rng = np.random.default_rng(8)
    groups = [f"{clip}" for clip in range(clips) for _ in range(10)]
    inside = []
    for shares in rng.beta(0.85 * 4, 0.15 * 4, (300, clips)):
        objects = np.full(10 * clips, 2)
        found = wilson_over_groups(Sides(rng.binomial(objects, np.repeat(shares, 10)), objects, groups))
        assert found.low is not None
        assert found.high is not None
        inside.append(found.low <= 0.85 <= found.high)
    assert np.mean(inside) >= 0.925


def test_of_one_group_of_images_there_is_no_interval() -> None:
    alone = Sides([17, 10, 0], [20, 20, 0], ["clip"] * 3)
    found = wilson_over_groups(alone)
    assert (found.value, found.n, found.low) == (27 / 40, 40, None)
    assert found.reason == "no interval: all 2 images are of one group"
    assert newcombe_over_groups(alone, alone).reason == "no side has two groups of images"
    one_by_one = newcombe_over_groups(Sides([17, 10], [20, 20]), Sides([17, 10], [20, 20]))
    assert (one_by_one.value, one_by_one.n) == (0, 40)
    assert one_by_one.low is not None


def test_newcombe_to_the_printed_digits() -> None:
    """56/70 - 48/80, Newcombe 1998, method 10."""
    found = newcombe(56, 70, 48, 80)
    assert [found.value, found.low, found.high] == pytest.approx([0.2, 0.0524, 0.3339], abs=5e-5)
    assert found.n == 70


@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_newcombe_is_statsmodels(n: int, other_n: int, data: st.DataObject) -> None:
    hits, other = data.draw(st.integers(0, n)), data.draw(st.integers(0, other_n))
    found = newcombe(hits, n, other, other_n)
    expected = confint_proportions_2indep(hits, n, other, other_n, method="newcomb", compare="diff")
    assert [found.low, found.high] == pytest.approx(list(expected), abs=1e-9)


def test_newcombe_of_objects_that_go_together_is_that_of_fewer() -> None:
    found, fewer = newcombe(56, 70, 48, 80, effect=2.0), newcombe(28, 35, 24, 40)
    assert (found.low, found.high, found.n) == (fewer.low, fewer.high, 70)


def test_newcombe_of_nothing() -> None:
    assert newcombe(0, 0, 1, 2).value is None


@given(st.integers(0, 30), st.integers(0, 30))
def test_beta_is_scipys(hits: int, misses: int) -> None:
    found = beta(hits, misses, 2, 2)
    posterior = stats.beta(hits + 2, misses + 2)
    assert [found.value, found.low, found.high] == pytest.approx([posterior.mean(), *posterior.interval(0.95)])
    assert found.n == hits + misses


def test_beta_over_groups_is_as_much_wider_as_few_groups_are() -> None:
    """Student's t with 3 degrees of freedom is 1.6238 times the normal distribution's quantile."""
    found, one_by_one = beta_over_groups(Sides([6, 6, 6, 6], [10] * 4), 2, 2), beta(24, 16, 2, 2)
    assert (found.value, found.n) == (one_by_one.value, 40)
    assert found.value is not None
    ends = [found.value + 1.6238 * ((end or 0.0) - found.value) for end in (one_by_one.low, one_by_one.high)]
    assert [found.low, found.high] == pytest.approx(ends, abs=1e-4)
