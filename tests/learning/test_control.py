import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy.stats import ttest_ind

from datalab.figure import Figure
from datalab.learning.control import Part, difference, per_image, per_minute, surprise_of
from datalab.quality.student import Sides, student_difference

Floats = npt.NDArray[np.float64]
RNG = np.random.default_rng(0)
CHOSEN = np.array([0.6, 0.5, 0.9, 0.4, 0.7])
RANDOM = np.array([0.1, 0.3, 0.2])


def ends(found: Figure) -> tuple[float, float]:
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def part(surprise: Floats, minutes: Floats | None = None) -> Part:
    return Part(surprise, np.ones(len(surprise)) if minutes is None else minutes)


def test_one_batch_whose_parts_vary_alike_is_welchs_test() -> None:
    alike = CHOSEN.mean() + (CHOSEN - CHOSEN.mean()) * RANDOM.std(ddof=1) / CHOSEN.std(ddof=1)
    peer = ttest_ind(alike, RANDOM, equal_var=False).confidence_interval(0.95)
    found = difference([(alike, RANDOM)])
    assert ends(found) == pytest.approx((peer.low, peer.high))
    assert found.value == pytest.approx(0.42)


def test_one_batch_is_the_test_that_quality_makes() -> None:
    chosen, random = (Sides(part, np.ones(len(part))) for part in (CHOSEN, RANDOM))
    assert ends(difference([(CHOSEN, RANDOM)])) == pytest.approx(ends(student_difference(chosen, random)))


@pytest.mark.slow
@pytest.mark.parametrize("batches", [1, 2, 4])
@pytest.mark.parametrize("wrong", [0.1, 0.3, 0.5])
def test_images_with_nothing_wrong_on_them_are_not_alike_for_sure(wrong: float, batches: int) -> None:
    """Of four random images often none surprises: taken at their own variance chance was beaten in up to 35%."""
    rng = np.random.default_rng(5)

    def drawn(count: int) -> Floats:
        return np.where(rng.random(count) < wrong, rng.uniform(0.3, 1, count), 0.0)

    found = [difference([(drawn(32), drawn(4)) for _ in range(batches)]) for _ in range(500)]
    assert np.mean([one.low is not None and one.low > 0 for one in found]) <= 0.025
    assert np.mean([one.high is not None and one.high < 0 for one in found]) <= 0.025


def test_more_batches_make_it_surer_and_batches_are_not_mixed() -> None:
    """The second batch is harder as a whole: pooled without its batch every image of it would count for its part."""
    harder = (np.array([0.9, 0.95, 1.0] * 4), np.array([0.8, 0.75, 0.85]))
    found = per_image([(part(CHOSEN), part(RANDOM)), (part(harder[0]), part(harder[1]))]).difference
    assert found.value is not None
    assert 0.15 < found.value < 0.42
    alone = difference([(CHOSEN, RANDOM)])
    assert np.ptp(ends(found)) < np.ptp(ends(alone))


def test_per_minute_is_sum_over_sum() -> None:
    dear = part(np.array([0.8, 0.6, 0.7]), np.array([4.0, 2.0, 8.0]))
    cheap = part(np.array([0.2, 0.1, 0.3]), np.array([1.0, 0.5, 0.5]))
    found = per_minute([(dear, cheap)])
    assert found.chosen.value == pytest.approx(2.1 / 14)
    assert found.random.value == pytest.approx(0.6 / 2)
    assert found.difference.value == pytest.approx(2.1 / 14 - 0.3)


def test_the_interval_of_a_rate_is_about_that_of_a_bootstrap() -> None:
    minutes = RNG.uniform(0.5, 4.0, (2, 60))
    surprise = np.clip(0.2 * minutes + RNG.normal(0, 0.1, (2, 60)), 0, 1)
    found = per_minute([(part(surprise[0], minutes[0]), part(surprise[1], minutes[1]))]).difference
    rows = RNG.integers(0, 60, (2, 3000, 60))
    rates = [surprise[one][rows[one]].sum(axis=1) / minutes[one][rows[one]].sum(axis=1) for one in (0, 1)]
    low, high = np.quantile(rates[0] - rates[1], (0.025, 0.975))
    assert ends(found) == pytest.approx((low, high), abs=0.006)


@pytest.mark.parametrize("minutes", [[np.nan, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 3.0]], ids=str)
def test_images_whose_time_is_not_known_are_left_out(minutes: list[float]) -> None:
    timed = part(np.array([0.9, 0.1, 0.2, 0.3]), np.array(minutes))
    found = per_minute([(timed, timed)])
    assert found.chosen.value == pytest.approx(0.1)
    nobody = part(np.array([0.9, 0.1, 0.2]), np.full(3, np.nan))
    assert per_minute([(nobody, timed)]).difference.reason == "a part has fewer than 3 images to compare"


def test_too_few_images_say_nothing() -> None:
    few = per_image([(part(CHOSEN), part(RANDOM[:2]))])
    assert few.chosen.value is None
    assert few.difference.reason == "a part has fewer than 3 images to compare"
    kept = per_image([(part(CHOSEN), part(RANDOM[:2])), (part(CHOSEN), part(RANDOM))])
    assert kept.difference.value == pytest.approx(0.42)
    assert per_image([]).random.value is None


def test_equal_images_have_no_interval() -> None:
    found = difference([(np.full(5, 0.4), np.full(3, 0.4))])
    assert found.value == pytest.approx(0)
    assert (found.low, found.reason) == (None, "no interval: all images of a part are alike")


def test_the_interval_of_many_batches_narrows_as_the_mean_of_them_does() -> None:
    one = np.ptp(ends(difference([(CHOSEN, RANDOM)])))
    assert np.ptp(ends(difference([(CHOSEN, RANDOM)] * 4))) < one / 2


def test_of_all_rounds_surprise_the_one_rounds_is_looked_up_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of every row of a hundred rounds for each look at one of them would take minutes."""
    rows = [(f"{number:04d}", f"img{place}", number / 10) for number in (1, 2, 3) for place in range(4)]
    surprise = pd.DataFrame(rows, columns=["round_id", "image_id", "surprise"])
    keyed: list[int] = []
    whole = pd.DataFrame.set_index

    def set_index(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
        keyed.append(len(table))
        return whole(table, keys)

    monkeypatch.setattr(pd.DataFrame, "set_index", set_index)
    found = surprise_of(surprise, "0002", ["img3", "img7", "img0"])
    assert found.to_dict() == {("0002", "img3"): 0.2, ("0002", "img0"): 0.2}
    assert surprise_of(surprise, "0009", ["img3"]).empty
    assert keyed == [4, 0]
