import numpy as np
import pytest
from scipy import stats

from datalab.figure import Figure, undefined
from datalab.quality.student import Sides, design_effect, student_difference, student_quotient, student_ratio


def test_students_t_of_a_mean_is_scipys_and_images_without_a_denominator_say_nothing() -> None:
    values = np.array([2.0, 3.0, 7.0])
    figure = student_ratio(Sides(np.append(5 * values, 0.0), [5, 5, 5, 0]))
    expected = stats.t.interval(0.95, 2, values.mean(), values.std(ddof=1) / 3**0.5)
    assert figure.n == 3
    assert [figure.value, figure.low, figure.high] == pytest.approx([4, *expected])


def test_students_t_of_nothing_of_one_image_and_of_images_that_are_alike() -> None:
    assert student_ratio(Sides([], [])) == undefined("nothing to count")
    assert student_ratio(Sides([3.0], [2])) == Figure(1.5, 1, reason="no interval from one image")
    assert student_ratio(Sides([1.1, 3.3], [1, 3])).reason == "no interval: all images are alike"
    assert student_difference(Sides([1.0], [1]), Sides([1.0, 2.0], [1, 1])).reason == "no interval from one image"
    alike = student_difference(Sides([1.0, 2.0], [1, 2]), Sides([0.5, 1.0], [1, 2]))
    assert (alike.value, alike.low, alike.reason) == (0.5, None, "no interval: all images are alike")
    assert student_difference(Sides([], []), Sides([1.0], [1])).value is None


def test_a_few_images_of_many_and_few_objects_are_covered() -> None:
    """Each image has its own mean; resamples of two images covered half of the time."""
    draws = np.random.default_rng(6)
    inside = []
    for _ in range(1000):
        counts = draws.integers(1, 9, 2)
        figure = student_ratio(Sides(draws.normal(0, 2.5, 2) * counts, counts))
        assert figure.low is not None
        assert figure.high is not None
        inside.append(figure.low <= 0 <= figure.high)
    assert np.mean(inside) >= 0.92


def test_a_difference_of_arms_that_spread_alike_is_welchs() -> None:
    first, second = np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 3.0, 4.0, 5.0])
    figure = student_difference(Sides(first, np.ones(4)), Sides(second, np.ones(4)))
    expected = stats.ttest_ind(first, second, equal_var=False).confidence_interval()
    assert [figure.low, figure.high] == pytest.approx([expected.low, expected.high])
    assert (figure.value, figure.n) == (-1, 8)


@pytest.mark.parametrize("few", [2, 8])
def test_a_few_perfect_images_do_not_make_many_good_ones_worse(few: int) -> None:
    """Everybody has 19 of 20 objects right. The few images are often all right: by Welch's t alone the others were
    worse in a third of the draws."""
    draws = np.random.default_rng(8)
    worse, inside = [], []
    for _ in range(400):
        (hits, objects), (other_hits, others) = ((draws.binomial(3, 0.95, n), np.full(n, 3)) for n in (40, few))
        figure = student_difference(Sides(hits, objects), Sides(other_hits, others))
        worse.append(figure.high is not None and figure.high < 0)
        inside.append(figure.low is None or figure.high is None or figure.low <= 0 <= figure.high)
    assert np.mean(worse) <= 0.025
    assert np.mean(inside) >= 0.95


def test_objects_of_an_image_that_go_together_count_as_one() -> None:
    few = stats.t.ppf(0.975, 198) ** 2 / stats.norm.ppf(0.975) ** 2
    draws = np.random.default_rng(9)
    whole = [Sides(5 * draws.integers(0, 2, 100), np.full(100, 5)) for _ in range(2)]
    assert design_effect(whole) == pytest.approx(5 * few, rel=0.03)
    alone = [Sides(draws.binomial(5, 0.5, 100), np.full(100, 5)) for _ in range(2)]
    assert design_effect(alone) == pytest.approx(few, rel=0.2)


def test_images_that_are_more_alike_than_chance_do_not_add_objects() -> None:
    few = pytest.approx((4.302653 / 1.959964) ** 2, rel=1e-5)
    assert design_effect([Sides([1, 1, 1], [2, 2, 2])]) == few
    assert design_effect([Sides([2, 2, 2], [2, 2, 2]), Sides([1], [2])]) == few
    assert design_effect([Sides([1], [2]), Sides([], [])]) is None


def test_a_quotient_of_times_is_a_difference_of_their_logarithms() -> None:
    times = np.array([4.0, 5.0, 6.0, 9.0])
    few = Sides(times, np.ones(4))
    figure = student_quotient(few, few)
    pseudo = 4 * np.log(6) - 3 * np.log((24 - times) / 3)
    reach = stats.t.ppf(0.975, 6) * np.sqrt(2 * np.var(pseudo, ddof=1) / 4)
    assert [figure.value, figure.low, figure.high] == pytest.approx([1, np.exp(-reach), np.exp(reach)])
    assert figure.n == 8


def test_a_quotient_of_nothing_or_of_none() -> None:
    some, one, none = Sides([4.0, 5.0], [1, 1]), Sides([3.0], [1]), Sides([0.0, 0.0], [1, 1])
    assert student_quotient(some, Sides([], [])).value is None
    assert student_quotient(some, none).value is None
    assert student_quotient(none, some) == Figure(0.0, 4, reason="no interval: 0 without one of the images")
    assert student_quotient(some, one) == Figure(1.5, 3, reason="no interval from one image")
    assert student_quotient(none, none).value is None


@pytest.mark.parametrize(("first", "second"), [(2, 2), (3, 20), (20, 3), (20, 20)])
def test_quotients_of_times_are_covered(first: int, second: int) -> None:
    """Seconds as people take them: of a skewed distribution, half as long with proposals."""
    draws = np.random.default_rng(first)
    inside = []
    for _ in range(600):
        aided, unaided = draws.gamma(4, 2, first), draws.gamma(4, 4, second)
        figure = student_quotient(Sides(aided, np.ones(first)), Sides(unaided, np.ones(second)))
        inside.append(figure.low is None or figure.high is None or figure.low <= 0.5 <= figure.high)
    assert np.mean(inside) >= 0.93


@pytest.mark.parametrize(
    ("times", "objects"), [([90.0, 400.0], [160, 1]), ([60.0, 120.0], [30, 2]), ([5.0] * 8, [500, 1, 1, 1, 1, 1, 1, 1])]
)
def test_a_quotient_of_what_is_too_unlike_has_no_endless_interval(times: list[float], objects: list[int]) -> None:
    figure = student_quotient(Sides([10.0, 12.0, 15.0], [3, 4, 4]), Sides(times, objects))
    assert figure.value is not None
    assert figure.low is None
    assert str(figure.reason).endswith("are too few or too unlike")


def test_time_without_an_object_counts_and_does_not_make_an_image_with_one() -> None:
    one = Sides([4.0, 5.0, 6.0], [2, 0, 0])
    assert student_ratio(one) == Figure(7.5, 1, reason="no interval from one image")
    two = student_ratio(Sides([4.0, 5.0, 6.0], [2, 1, 0]))
    assert (two.value, two.n) == (5, 2)
    # with two images that have one there is one degree of freedom, however many have none
    pseudo = 15 - 2 * np.array([11 / 1, 10 / 2, 9 / 3])
    reach = stats.t.ppf(0.975, 1) * np.std(pseudo, ddof=1) / 3**0.5
    assert [two.low, two.high] == pytest.approx([5 - reach, 5 + reach])
