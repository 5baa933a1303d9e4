import numpy as np
import pytest
from sklearn.metrics import f1_score
from statsmodels.stats import inter_rater

from datalab.quality.bootstrap import bootstrap_statistic
from datalab.quality.kappa import both_ways, cohen_kappa, coincidences, fleiss_of_coincidences
from datalab.quality.presence import (
    class_presence,
    examples_of,
    presence_counts,
    presence_fleiss,
    presence_tables,
)
from datalab.quality.rated import RatedImages, rated_images
from datalab.quality.student import sum_groups
from tests.quality.images import Box, tables

COIN: Box = ("coin", 0, 0, 4, 4)
CUP: Box = ("cup", 4, 5, 6, 8)


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def votes(ann: str, bob: str) -> RatedImages:
    """One image per place: "1" where there is a coin."""
    answers: dict[tuple[str, str], list[Box]] = {}
    for place, pair in enumerate(zip(ann, bob, strict=True)):
        for who, vote in zip(("ann", "bob"), pair, strict=True):
            answers[f"{place:03}", who] = [COIN] if vote == "1" else []
    return rated_images(*tables(answers))


def test_tables_and_counts_by_hand() -> None:
    answers: dict[tuple[str, str], list[Box]] = {("i", "ann"): [COIN, COIN], ("i", "bob"): [CUP], ("i", "cat"): []}
    images = rated_images(*tables(answers))
    found = presence_tables(images, ["coin", "cup"])
    assert found.shape == (3, 2, 2, 2)
    assert found[0].tolist() == [[[0, 0], [1, 0]], [[0, 1], [0, 0]]]
    assert presence_counts(images, "coin").tolist() == [[2, 1]]


def test_two_people_against_other_libraries() -> None:
    ann, bob = "1101001110", "1001011100"
    found = class_presence(votes(ann, bob), "coin", rng())
    same = sum(a == b for a, b in zip(ann, bob, strict=True))
    assert found["observed"].value == pytest.approx(same / 10)
    assert found["positive"].value == pytest.approx(f1_score(list(ann), list(bob), pos_label="1"))
    assert found["negative"].value == pytest.approx(f1_score(list(ann), list(bob), pos_label="0"))


def test_the_prevalence_paradox_shows_in_the_negative_agreement() -> None:
    found = class_presence(votes("1" * 90 + "0" * 10, "1" * 80 + "0" * 10 + "1" * 5 + "0" * 5), "coin", rng())
    assert found["observed"].value == pytest.approx(0.85)
    assert found["positive"].value == pytest.approx(0.9143, abs=5e-5)
    assert found["negative"].value == pytest.approx(0.4, abs=5e-5)


def test_a_class_that_is_everywhere_or_nowhere() -> None:
    everywhere = class_presence(votes("111", "111"), "coin", rng())
    assert everywhere["alpha"].reason == "only one category was seen"
    assert (everywhere["observed"].value, everywhere["positive"].value) == (1, 1)
    assert everywhere["negative"].value is None
    nowhere = class_presence(votes("000", "000"), "coin", rng())
    assert (nowhere["positive"].value, nowhere["negative"].value) == (None, 1)


def test_nobody_shares_an_image() -> None:
    found = class_presence({}, "coin", rng())
    assert {figure.value for figure in found.values()} == {None}
    tables_of_none = both_ways(sum_groups(presence_tables({}, ["coin"]).sum(axis=1), []))
    assert bootstrap_statistic(tables_of_none, cohen_kappa, rng()).reason == "nothing to count"


def test_fleiss_kappa_is_statsmodels_and_needs_equal_raters() -> None:
    answers: dict[tuple[str, str], list[Box]] = {}
    for place, row in enumerate(["110", "111", "000", "100", "011", "001"]):
        for who, vote in zip(("ann", "bob", "cat"), row, strict=True):
            answers[f"{place}", who] = [COIN] if vote == "1" else [CUP]
    images = rated_images(*tables(answers))
    found = class_presence(images, "coin", rng())
    counts = presence_counts(images, "coin")
    assert found["fleiss"].value == pytest.approx(inter_rater.fleiss_kappa(counts))
    assert found["prevalence"].value == pytest.approx(9 / 18)
    assert presence_fleiss(images, ["coin"], rng()).value == pytest.approx(inter_rater.fleiss_kappa(counts))
    del answers["0", "cat"]
    fewer = class_presence(rated_images(*tables(answers)), "coin", rng())
    assert fewer["fleiss"].reason == "images have 2 to 3 ratings; alpha takes them"
    assert fewer["alpha"].value is not None


def test_fleiss_of_coincidences_to_the_printed_digits() -> None:
    """Fleiss 1971: 30 patients, 6 psychiatrists, 5 classes."""
    rows = (
        "00060 03003 01401 00006 03030 20400 00402 20310 20040 00006 10050 11040 03300 10050 02031 "
        "00501 30012 51000 02040 10203 00006 01050 02013 20040 10041 05010 40002 02040 10500 00006"
    )
    counts = np.array([[int(digit) for digit in row] for row in rows.split()])
    assert fleiss_of_coincidences(coincidences(counts).sum(axis=0)) == pytest.approx(0.4302445, abs=5e-8)
    assert fleiss_of_coincidences(np.array([[4.0, 0], [0, 0]])) is None


def test_images_with_and_without_a_class_go_by_half_of_the_raters() -> None:
    assert examples_of(votes("1101", "1001"), "coin") == (3, 2)
