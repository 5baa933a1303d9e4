"""Published worked examples to their printed digits, and other libraries on random tables."""

import krippendorff
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import fleiss_kappa as statsmodels_fleiss

from datalab.quality.kappa import (
    Counts,
    alpha_of_coincidences,
    both_ways,
    cohen_kappa,
    coincidences,
    fleiss_of_coincidences,
    kappa_of_margins,
    margins_both_ways,
)

WIKIPEDIA_FLEISS = (
    "0 0 0 0 14|0 2 6 4 2|0 0 3 5 6|0 3 9 2 0|2 2 8 1 1|7 7 0 0 0|3 2 6 3 0|2 5 3 2 2|6 5 2 1 0|0 2 2 3 7"
)
FLEISS_1971 = (
    "00060 03003 01401 00006 03030 20400 00402 20310 20040 00006 10050 11040 03300 10050 02031 00501 30012 51000 02040 "
    "10203 00006 01050 02013 20040 10041 05010 40002 02040 10500 00006"
)
COUNTS = st.integers(1, 30).flatmap(lambda items: arrays(np.int64, (items, 4), elements=st.integers(0, 5)))


def alpha(counts: Counts) -> float | None:
    """Of (items, categories) counts."""
    return alpha_of_coincidences(coincidences(counts).sum(axis=0))


def fleiss(counts: Counts) -> float | None:
    return fleiss_of_coincidences(coincidences(counts).sum(axis=0))


def counted(ratings: list[str], values: str) -> Counts:
    """Counts per unit of ratings like "1233." with one string per rater; "." is missing."""
    units = zip(*ratings, strict=True)
    return np.array([[unit.count(value) for value in values] for unit in units])


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ([[0, 4, 1], [0, 8, 0], [0, 1, 5]], 0.4842),  # SAS
        ([[20, 20], [10, 50]], 0.347826),  # Artstein & Poesio, table 1
        ([[46, 0, 0], [6, 32, 6], [0, 0, 10]], 0.801325),  # the same, table 4
        ([[31, 12], [4, 58]], 0.675676),  # statpsych
        ([[13, 0, 0], [0, 20, 7], [0, 4, 56]], 0.796409),  # Gwet
        ([[40, 4, 4, 17], [6, 25, 2, 13], [4, 1, 21, 12], [15, 5, 9, 45]], 0.431501),  # Gwet
        ([[45, 15], [25, 15]], 0.130435),  # the same observed agreement, other biases
        ([[25, 35], [5, 35]], 0.259259),
        ([[40, 9], [6, 45]], 0.699519),  # Feinstein & Cicchetti: same observed agreement,
        ([[80, 10], [5, 5]], 0.318182),  # other prevalence
    ],
)
def test_cohen_published(table: list[list[int]], expected: float) -> None:
    assert cohen_kappa(np.array(table)) == pytest.approx(expected, abs=6e-5 if expected == 0.4842 else 5e-7)


def test_fleiss_published() -> None:
    wikipedia = np.array([[int(cell) for cell in row.split()] for row in WIKIPEDIA_FLEISS.split("|")])
    original = np.array([[int(cell) for cell in row] for row in FLEISS_1971.split()])
    assert fleiss(wikipedia) == pytest.approx(0.209931, abs=5e-7)
    assert fleiss(original) == pytest.approx(0.4302445, abs=5e-8)
    assert alpha(wikipedia) == pytest.approx(0.215574, abs=5e-7)
    assert alpha(original) == pytest.approx(0.433410, abs=5e-7)


def test_pi_and_alpha_of_artstein_and_poesio() -> None:
    table = np.array([[46, 0, 0], [6, 32, 6], [0, 0, 10]])
    assert cohen_kappa(both_ways(table)) == pytest.approx(0.799532, abs=5e-7)
    items = [(i, j) for i in range(3) for j in range(3) for _ in range(table[i, j])]
    assert alpha(np.array([np.bincount(pair, minlength=3) for pair in items])) == pytest.approx(0.800535, abs=5e-7)


def test_alpha_below_chance() -> None:
    """{yes, no, no}, {yes, no}, {no}, an example of nltk."""
    assert alpha(np.array([[1, 2], [1, 1], [0, 1]])) == pytest.approx(-0.333333, abs=5e-7)


def test_alpha_published() -> None:
    four = ["123321412...", "1233224125.3", ".3332342251.", "12332441251."]
    three = [".....34121133.3", "1.213343.......", "..21344.21133.4"]
    assert alpha(counted(four, "12345")) == pytest.approx(0.743421, abs=5e-7)
    assert alpha(counted(three, "1234")) == pytest.approx(0.691358, abs=5e-7)


def test_a_single_rating_does_not_matter() -> None:
    counts = np.array([[1, 2], [1, 1], [0, 1]])
    assert alpha(counts) == pytest.approx(-1 / 3)
    assert alpha(counts[:2]) == pytest.approx(-1 / 3)


def test_nothing_to_explain_is_undefined() -> None:
    assert cohen_kappa(np.zeros((2, 2))) is None
    assert cohen_kappa(np.array([[7, 0], [0, 0]])) is None
    assert fleiss(np.array([[3, 0], [3, 0]])) is None
    assert alpha(np.array([[1, 0], [0, 1]])) is None
    assert alpha(np.array([[2, 0], [3, 0]])) is None


def test_one_small_object_in_a_large_image_is_defined() -> None:
    assert cohen_kappa(np.array([[10**7, 0], [0, 3]])) == pytest.approx(1)
    assert cohen_kappa(np.array([[10**7, 3], [3, 0]])) == pytest.approx(0, abs=1e-6)


def test_pairs_without_an_order_give_scotts_pi() -> None:
    """Artstein & Poesio, table 4: kappa .801325, pi .799532."""
    table = np.array([[46, 0, 0], [6, 32, 6], [0, 0, 10]])
    assert cohen_kappa(both_ways(table)) == pytest.approx(0.799532, abs=5e-7)


@given(arrays(np.int64, (4, 4), elements=st.integers(0, 3)))
def test_margins_are_all_that_kappa_and_pi_need(table: npt.NDArray[np.int64]) -> None:
    margins = np.stack([np.diagonal(table), table.sum(axis=1), table.sum(axis=0)], axis=-1)
    assert kappa_of_margins(margins) == cohen_kappa(table)
    assert kappa_of_margins(margins_both_ways(margins)) == pytest.approx(cohen_kappa(both_ways(table)))


@given(arrays(np.int64, (2, 40), elements=st.integers(0, 3)))
def test_cohen_is_scikit_learns(ratings: npt.NDArray[np.int64]) -> None:
    table = np.zeros((4, 4))
    np.add.at(table, (ratings[0], ratings[1]), 1)
    value = cohen_kappa(table)
    assert (value is None) == (len(np.unique(ratings)) == 1)
    if value is not None:
        assert value == pytest.approx(cohen_kappa_score(ratings[0], ratings[1]))


@given(arrays(np.int64, (12, 5), elements=st.integers(0, 3)))
def test_fleiss_is_statsmodels(ratings: npt.NDArray[np.int64]) -> None:
    counts = np.stack([(ratings == value).sum(axis=1) for value in range(4)], axis=1)
    value = fleiss(counts)
    if value is not None:
        assert value == pytest.approx(statsmodels_fleiss(counts))


@given(COUNTS)
def test_alpha_is_the_krippendorff_packages(counts: npt.NDArray[np.int64]) -> None:
    value = alpha(counts)
    if value is not None:
        oracle = krippendorff.alpha(value_counts=counts, level_of_measurement="nominal")
        assert value == pytest.approx(oracle)
