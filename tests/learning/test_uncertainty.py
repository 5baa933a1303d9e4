import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy as scipy_entropy

from datalab.learning.uncertainty import (
    Map,
    boundary_focused,
    committee_votes,
    entropy,
    expected_wrong_pixels,
    fit_temperature,
    focus,
    image_score,
    least_confidence,
    margin,
    mutual_information,
    objects_in,
    per_region,
    tempered,
    top_share,
    view_disagreement,
)


def committee(seed: int, members: int = 3, classes: int = 4) -> Map:
    logits = np.random.default_rng(seed).normal(0, 2, (members, classes, 5, 6))
    odds = np.exp(logits)
    return np.asarray(odds / odds.sum(axis=1, keepdims=True), dtype=np.float32)


def of(*values: float) -> npt.NDArray[np.float32]:
    """Probabilities (K, 1, 1) of one pixel."""
    return np.array(values, dtype=np.float32).reshape(-1, 1, 1)


@given(st.integers(0, 10_000))
@settings(max_examples=25)
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


def test_margin_and_least_confidence_are_those_of_the_definition() -> None:
    p = of(0.5, 0.3, 0.2)
    assert margin(p).item() == pytest.approx(0.8)
    assert least_confidence(p).item() == pytest.approx(0.75)
    assert margin(of(1.0)).item() == 0
    assert expected_wrong_pixels(p) == pytest.approx(0.5)


def test_votes_count_heads_not_how_sure_they_are() -> None:
    split = np.stack([of(0.51, 0.49), of(0.49, 0.51)])
    assert committee_votes(split).item() == pytest.approx(1)
    assert mutual_information(split).item() < 0.001


def test_views_disagree_where_the_mirrored_image_gets_another_answer_and_heads_do_not_count() -> None:
    heads = np.stack([of(1, 0), of(0, 1), of(1, 0), of(0, 1)])
    assert view_disagreement(heads, 2).item() == pytest.approx(0, abs=1e-6)
    views = np.stack([of(1, 0), of(1, 0), of(0, 1), of(0, 1)])
    assert view_disagreement(views, 2).item() == pytest.approx(1)
    assert view_disagreement(views, 1).item() == 0


def test_boundary_focus_is_zero_away_from_a_change_of_class() -> None:
    mean = np.full((2, 5, 9), 0.4, dtype=np.float32)
    mean[0, :, :4] = 0.6
    mean[1] = 1 - mean[0]
    found = boundary_focused(mean, band=0)
    assert np.flatnonzero(found[2]).tolist() == [3]
    assert np.flatnonzero(boundary_focused(mean, band=1)[2]).tolist() == [2, 3, 4]


def test_temperature_undoes_overconfidence() -> None:
    rng = np.random.default_rng(0)
    truth = np.array([0.7, 0.2, 0.1], dtype=np.float32)
    labels = rng.choice(3, size=4000, p=truth / truth.sum())
    sharp = tempered(np.tile(truth, (2, 4000, 1)), 0.5, axis=-1)
    assert fit_temperature(sharp, labels) == pytest.approx(2, abs=0.15)
    assert fit_temperature(sharp[:, :0], labels[:0]) == 1.0
    np.testing.assert_allclose(tempered(sharp, 2.0, axis=-1)[0, 0], truth, atol=1e-5)


def test_reductions_by_hand() -> None:
    values = np.array([[0.9, 0.9, 0, 0], [0, 0, 0, 0.4]], dtype=np.float32)
    predicted = np.array([[1, 1, 0, 0], [0, 0, 2, 2]])
    assert top_share(values, 0.25) == pytest.approx(0.9)
    assert per_region(values, predicted, least=1) == pytest.approx(0.9)
    assert per_region(values, predicted, least=3) == pytest.approx(values.mean())
    assert per_region(values, predicted * 0, least=1) == pytest.approx(values.mean())
    assert (objects_in(predicted, 1), objects_in(predicted, 3)) == (2, 0)


def test_the_highest_tenth_of_many_pixels_and_regions_of_just_the_size() -> None:
    values = np.random.default_rng(0).permutation(1000).reshape(20, 50).astype(np.float32)
    assert top_share(values, 0.1) == pytest.approx(np.arange(900, 1000).mean())
    predicted = np.zeros((4, 4), dtype=np.int64)
    predicted[:2, :2] = 1
    assert objects_in(predicted, 4) == 1
    assert per_region(predicted.astype(np.float32), predicted, 4) == 1
