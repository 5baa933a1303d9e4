import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy as scipy_entropy

from datalab.learning.uncertainty import Map, entropy, focus, image_score, mutual_information


def committee(seed: int, members: int = 3, classes: int = 4) -> Map:
    logits = np.random.default_rng(seed).normal(0, 2, (members, classes, 5, 6))
    odds = np.exp(logits)
    return np.asarray(odds / odds.sum(axis=1, keepdims=True), dtype=np.float32)


def of(*values: float) -> npt.NDArray[np.float32]:
    """Probabilities (K, 1, 1) of one pixel."""
    return np.array(values, dtype=np.float32).reshape(-1, 1, 1)


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_entropy_equals_scipy_and_information_is_between_zero_and_it(seed: int) -> None:
    members = committee(seed)
    mean = members.mean(axis=0)
    np.testing.assert_allclose(entropy(mean), scipy_entropy(mean, axis=0, base=4), rtol=1e-4)
    information = mutual_information(members)
    assert (information >= 0).all()
    assert (information <= entropy(mean) + 1e-6).all()


def test_agreement_about_an_ambiguous_pixel_is_not_disagreement() -> None:
    ambiguous = np.stack([of(0.5, 0.5), of(0.5, 0.5)])
    opposed = np.stack([of(1, 0), of(0, 1)])
    assert entropy(ambiguous[0]).item() == pytest.approx(1)
    assert mutual_information(ambiguous).item() == pytest.approx(0, abs=1e-6)
    assert mutual_information(opposed).item() == pytest.approx(1)


def test_focus_covers_objects_and_a_band() -> None:
    mean = np.zeros((2, 7, 7), dtype=np.float32)
    mean[0] = 1
    mean[:, 3, 3] = (0, 1)
    assert focus(mean, band=0, elsewhere=0.0).sum() == 1
    assert focus(mean, band=1, elsewhere=0.0).sum() == 5
    assert focus(mean, band=1, elsewhere=0.5).min() == 0.5


def test_a_small_unsure_object_beats_a_faint_doubt_everywhere() -> None:
    spot = np.zeros((64, 64), dtype=np.float32)
    spot[10:16, 10:16] = 0.9
    haze = np.full((64, 64), 0.05, dtype=np.float32)
    ones = np.ones_like(spot)
    assert spot.mean() < haze.mean()
    assert image_score(spot, ones, window=8, top=0.01) > image_score(haze, ones, window=8, top=0.01)
    assert image_score(haze, ones, window=8, top=0.01) == pytest.approx(0.05, abs=1e-5)


def test_a_window_larger_than_the_map_is_cut() -> None:
    assert image_score(np.full((3, 4), 0.2, np.float32), np.ones((3, 4), np.float32), 50, 0.01) == pytest.approx(0.2)
