"""Intervals on matrices whose spread is known, beside a naive bootstrap, the textbook's t and simulated test splits."""

import numpy as np
import pytest
from scipy import stats

from datalab.learning.comparison import duel
from datalab.learning.intervals import (
    DIFFERENCES,
    Floats,
    bootstrap_interval,
    drawn,
    interval,
    mean_of,
)
from datalab.learning.metrics import Counts, iou_per_class, mean_iou
from datalab.resampling import sum_units


def share(sums: Floats) -> Floats:
    """Of (..., 2): right, all."""
    return np.asarray(sums[..., 0] / np.maximum(sums[..., 1], 1), dtype=np.float64)


def simulated(rng: np.random.Generator, images: int, frames: int = 1) -> Counts:
    """Confusion matrices of so many clips of equal frames, whose accuracy varies like a bell about 0.7."""
    right = np.repeat(np.clip(rng.normal(0.7, 0.1, images), 0.05, 0.99), frames)
    object_, ground = (300 * right).astype(int), (700 * (1 - right) * 0.3).astype(int)
    return np.moveaxis(np.array([[700 - ground, ground], [300 - object_, object_]]), 2, 0)


TRUTH = float(mean_iou(simulated(np.random.default_rng(9), 40_000).sum(axis=0)))


def test_the_interval_holds_the_value_and_narrows_with_more_images() -> None:
    confusions = simulated(np.random.default_rng(0), 40)
    low, high = bootstrap_interval(confusions, mean_iou, np.random.default_rng(1), 500)
    few_low, few_high = bootstrap_interval(confusions[:5], mean_iou, np.random.default_rng(1), 500)
    assert low < mean_iou(confusions.sum(axis=0)) < high
    assert high - low < few_high - few_low


def test_many_have_the_percentiles_of_a_naive_bootstrap_that_match_t() -> None:
    confusions = np.random.default_rng(0).integers(0, 30, (12, 3, 3))
    low, high = bootstrap_interval(confusions, mean_iou, np.random.default_rng(5), 200)
    draws = np.random.default_rng(5).multinomial(12, np.full(12, 1 / 12), size=200)
    values = [float(mean_iou(np.repeat(confusions, draw, axis=0).sum(axis=0))) for draw in draws]
    tail = stats.norm.cdf(-stats.t.ppf(0.975, 11) * (12 / 11) ** 0.5)
    np.testing.assert_allclose([low, high], np.quantile(values, [tail, 1 - tail]))
    assert 0.01 < tail < 0.025


def test_few_have_students_t_of_the_mean() -> None:
    """Shares of equal parts are a mean, whose interval is in every textbook."""
    counts = np.array([[70.0, 100.0], [60.0, 100.0], [75.0, 100.0], [66.0, 100.0]])
    low, high = bootstrap_interval(counts, share, np.random.default_rng(0), 10)
    expected = stats.t.interval(0.95, 3, loc=0.6775, scale=stats.sem([0.7, 0.6, 0.75, 0.66]))
    np.testing.assert_allclose([low, high], expected)


def test_no_interval_reaches_beyond_what_the_figure_can_be() -> None:
    counts = np.array([[100.0, 100.0], [60.0, 100.0]])
    assert np.array(bootstrap_interval(counts, share, np.random.default_rng(0), 10)).tolist() == [0, 1]
    found = bootstrap_interval(counts, share, np.random.default_rng(0), 10, bounds=DIFFERENCES)
    assert np.array(found).tolist() == [-1, 1]


@pytest.mark.parametrize("images", [1, 3])
def test_one_image_or_a_few_that_are_alike_give_none(images: int) -> None:
    same = np.repeat(np.array([[[8, 2], [1, 9]]]), images, axis=0)
    assert np.isnan(bootstrap_interval(same, mean_iou, np.random.default_rng(0), 50)).all()


def test_many_that_are_alike_give_a_point() -> None:
    same = np.repeat(np.array([[[8, 2], [1, 9]]]), 8, axis=0)
    low, high = bootstrap_interval(same, mean_iou, np.random.default_rng(0), 50)
    assert low == pytest.approx(high)


def test_a_class_goes_by_the_images_that_show_it() -> None:
    """Twelve images; the object is on one, then on two of them: few, however many show none."""
    ground = np.array([[9, 1], [0, 0]])
    one = np.array([[[5, 0], [1, 4]], *[ground] * 11])
    low, high = bootstrap_interval(one, iou_per_class, np.random.default_rng(0), 50)
    assert np.isfinite(low[0]) and np.isnan(low[1]) and np.isnan(high[1])
    two = np.array([[[5, 0], [1, 4]], [[5, 0], [3, 2]], *[ground] * 10])
    low, high = bootstrap_interval(two, iou_per_class, np.random.default_rng(0), 50)
    # t of one degree of freedom is 12.7: nothing is known but that it is a share
    assert (low[1], high[1]) == (0, 1)


def coverage(images: int, frames: int, splits: int = 150) -> float:
    """How often the interval of a simulated test split of so many clips holds the true mIoU."""
    held = 0
    for seed in range(splits):
        places = np.repeat(np.arange(images), frames)
        units = sum_units(simulated(np.random.default_rng(seed), images, frames), places)
        low, high = bootstrap_interval(units, mean_iou, np.random.default_rng(1), 500)
        held += bool(low <= TRUTH <= high)
    return held / splits


def test_a_rare_class_that_is_seen_where_it_is_not_has_no_narrow_interval() -> None:
    """On four of twenty images; what is found of it on the others varies, and is in the union."""

    def world(rng: np.random.Generator, images: int) -> Counts:
        wrong = rng.integers(0, 60, images)
        shown = np.arange(images) % 5 == 0
        return np.moveaxis(np.array([[1000 - wrong, wrong], [np.where(shown, 30, 0), np.where(shown, 70, 0)]]), 2, 0)

    truth = float(iou_per_class(world(np.random.default_rng(0), 50_000).sum(axis=0))[1])
    held = 0
    for seed in range(150):
        low, high = bootstrap_interval(
            world(np.random.default_rng(seed), 20), iou_per_class, np.random.default_rng(1), 200
        )
        held += bool(low[1] <= truth <= high[1])
    assert held >= 0.93 * 150


@pytest.mark.parametrize(("images", "frames"), [(3, 1), (6, 10), (8, 10), (30, 1)])
def test_intervals_hold_the_truth_as_often_as_they_say(images: int, frames: int) -> None:
    """Percentiles over single images held it in 72% of splits of 3, and in 31% of 5 clips of 20."""
    assert coverage(images, frames) >= 0.91


def rare(rng: np.random.Generator, images: int, where: list[list[int]]) -> Counts:
    """Background everywhere, and one class more on each of these lists of images, of which 0 to all of it is found."""
    counts = np.zeros((images, len(where) + 1, len(where) + 1), dtype=np.int64)
    counts[:, 0, 0] = 9000
    for position, shown in enumerate(where, start=1):
        found = rng.integers(0, 301, len(shown))
        counts[shown, position, position], counts[shown, position, 0] = found, 300 - found
    return counts


@pytest.mark.slow
@pytest.mark.parametrize(("images", "classes", "shown"), [(30, 1, 2), (30, 1, 3), (20, 4, 2)])
def test_a_mean_is_as_uncertain_as_its_rarest_class(images: int, classes: int, shown: int) -> None:
    """With a class on two of thirty images a mean that went by all thirty held the truth in 53%, and told equal models
    apart in 47%."""
    missed = 150 * classes * shown
    truth = (9000 * images / (9000 * images + missed) + classes / 2) / (classes + 1)
    places, alone = np.arange(classes * shown).reshape(classes, shown).tolist(), [str(one) for one in range(images)]
    held = apart = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        champion, challenger = rare(rng, images, places), rare(rng, images, places)
        each = drawn(champion, iou_per_class, np.random.default_rng(1), 200)
        low, high = interval(mean_of(each, np.ones(classes + 1, dtype=bool)))
        held += bool(low <= truth <= high)
        difference = duel(champion, challenger, alone, np.random.default_rng(1), 200).difference
        assert difference.low is not None and difference.high is not None
        apart += not difference.low <= 0 <= difference.high
    assert held >= 0.93 * 150
    assert apart <= stats.binom.ppf(0.99, 150, 0.05)


def test_a_mean_of_one_class_is_that_class_and_one_of_many_images_goes_by_all_of_them() -> None:
    rng = np.random.default_rng(0)
    each = drawn(rare(rng, 40, [[3, 9], list(range(20))]), iou_per_class, rng, 300)
    for position in range(3):
        own = np.array(interval(each))[:, position]
        np.testing.assert_allclose(interval(mean_of(each, np.arange(3) == position)), own, rtol=1e-6)
    counts = np.random.default_rng(0).integers(1, 30, (12, 3, 3))
    low, high = bootstrap_interval(counts, mean_iou, np.random.default_rng(5), 200)
    every = mean_of(drawn(counts, iou_per_class, np.random.default_rng(5), 200), np.ones(3, dtype=bool))
    assert every.units == pytest.approx(12)
    np.testing.assert_allclose(interval(every), [low, high])


def test_classes_on_the_same_images_are_no_more_witnesses_than_those_images() -> None:
    """Four classes on two images, the same two or two each: one degree of freedom, and more."""
    shares = np.array([[20, 180], [50, 260], [100, 30], [290, 120]])
    units = []
    for places in ([[0, 1]] * 4, [[0, 1], [2, 3], [4, 5], [6, 7]]):
        counts = np.zeros((20, 5, 5), dtype=np.int64)
        counts[:, 0, 0] = 9000
        for position, (shown, found) in enumerate(zip(places, shares, strict=True), start=1):
            counts[shown, position, position], counts[shown, position, 0] = found, 300 - found
        each = drawn(counts, iou_per_class, np.random.default_rng(0), 50)
        units.append(float(mean_of(each, np.arange(5) > 0).units))
    assert units[0] == pytest.approx(2)
    assert units[1] > 4


def test_a_mean_over_no_class_is_undefined() -> None:
    each = drawn(np.zeros((9, 2, 2), dtype=np.int64), iou_per_class, np.random.default_rng(0), 20)
    mean = mean_of(each, np.ones(2, dtype=bool))
    assert np.isnan([mean.value, *interval(mean)]).all()
