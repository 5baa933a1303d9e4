import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from datalab.learning.power_law import PowerLaw, fit, fit_many

Floats = npt.NDArray[np.float64]


def law(images: Floats, level: float, speed: float, bend: float) -> Floats:
    return np.asarray(level + speed * (1 - (images / images[0]) ** -bend) / bend, dtype=np.float64)


def saturating(images: Floats, ceiling: float, drop: float, power: float) -> Floats:
    return np.asarray(ceiling - drop * (images / images[0]) ** -power, dtype=np.float64)


@pytest.mark.parametrize(("ceiling", "drop", "power"), [(0.8, 0.3, 0.5), (0.95, 0.6, 1.7), (0.99, 0.7, 0.12)])
@pytest.mark.parametrize("images", [[30, 60, 90], [36, 70, 110, 140, 176], [10, 100, 1000, 10000]], ids=len)
def test_an_exact_curve_is_found_and_continued(images: list[int], ceiling: float, drop: float, power: float) -> None:
    places: Floats = np.array(images, dtype=np.float64)
    found = fit(places, saturating(places, ceiling, drop, power))
    assert found.bend[0] == pytest.approx(power, abs=2e-4)
    assert found.level[0] == pytest.approx(ceiling - drop, abs=1e-4)
    assert found.speed[0] == pytest.approx(drop * power, abs=1e-4)
    ahead = np.array([places[0], places[-1] * 1.3, places[-1] * 3])
    assert found.at(ahead)[0] == pytest.approx(saturating(ahead, ceiling, drop, power), abs=1e-4)


def test_a_logarithm_is_found_and_cut_off_at_a_perfect_score() -> None:
    images: Floats = np.array([30, 60, 90, 150], dtype=np.float64)
    found = fit(images, 0.5 + 0.1 * np.log(images / 30))
    assert found.bend[0] == pytest.approx(0, abs=1e-4)
    assert found.at([300, 30_000])[0] == pytest.approx([0.5 + 0.1 * np.log(10), 1.0], abs=1e-4)
    flat = PowerLaw(30.0, np.array([0.5]), np.array([0.1]), np.array([0.0]))
    assert flat.at(images)[0] == pytest.approx(0.5 + 0.1 * np.log(images / 30))


def test_a_noisy_curve_is_fitted_as_well_as_scipy_does_from_a_good_start() -> None:
    rng = np.random.default_rng(1)
    images: Floats = 30 * np.arange(1, 9, dtype=np.float64)
    for _ in range(5):
        scores = law(images, 0.4, 0.28, 0.7) + rng.normal(0, 0.01, len(images))

        def curve(places: Floats, level: float, speed: float, bend: float) -> Floats:
            return np.asarray(level + speed * (1 - (places / 30) ** -bend) / bend, dtype=np.float64)

        limits = ([0.0, 0.0, 0.01], [1.0, np.inf, 2.0])
        peer, _ = curve_fit(curve, images, scores, p0=(0.4, 0.28, 0.7), bounds=limits)
        ours = ((fit(images, scores).at(images)[0] - scores) ** 2).sum()
        assert ours <= ((curve(images, *peer) - scores) ** 2).sum() + 1e-9


@given(
    st.lists(st.floats(0, 1), min_size=3, max_size=8),
    st.floats(1, 500),
    st.floats(0.1, 10),
)
def test_whatever_was_measured_it_rises_ever_more_slowly_and_never_beyond_one(
    scores: list[float], first: float, times: float
) -> None:
    images: Floats = first * np.arange(1, len(scores) + 1, dtype=np.float64)
    values = np.array(scores)[None]
    found = fit_many(images, values)
    ahead = images[-1] * np.arange(1, 6)
    steps = np.diff(found.at(ahead)[0])
    assert (steps >= -1e-12).all()
    assert (np.diff(steps) <= 1e-12).all()
    assert found.at(ahead).max() <= 1 + 1e-12
    rescaled = fit_many(images * times, values).at(ahead * times)
    assert rescaled == pytest.approx(found.at(ahead), abs=1e-6)


def test_a_falling_curve_is_flat_at_its_mean() -> None:
    found = fit(np.array([10.0, 20.0, 30.0]), np.array([0.6, 0.5, 0.4]))
    assert found.at([40, 400])[0] == pytest.approx([0.5, 0.5])


def test_many_curves_at_once_are_the_single_ones() -> None:
    images = np.array([30.0, 60.0, 90.0, 150.0])
    scores = np.stack([saturating(images, 0.8, 0.3, 0.5), saturating(images, 0.6, 0.1, 1.5)])
    together = fit_many(images, scores).at(images)
    apart = [fit_many(images, one[None]).at(images)[0] for one in scores]
    assert together == pytest.approx(np.stack(apart))
    assert together == pytest.approx(scores, abs=0.002)


@pytest.mark.parametrize("images", [[10, 20], [10, 20, 20], [0, 10, 20], [10, 20, np.nan]], ids=str)
def test_too_few_or_impossible_points_are_refused(images: list[float]) -> None:
    with pytest.raises(ValueError, match="3 different numbers of images above 0"):
        fit(np.array(images, dtype=np.float64), np.full(len(images), 0.5))


def test_one_curve_has_a_row_of_its_own() -> None:
    one = PowerLaw(10.0, np.array([0.4]), np.array([0.4]), np.array([1.0]))
    assert one.at([10, 20, 40]).tolist() == [[0.4, pytest.approx(0.6), pytest.approx(0.7)]]
