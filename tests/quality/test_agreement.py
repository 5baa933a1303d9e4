import numpy as np
import pytest

from datalab.quality.agreement import (
    object_agreement,
    pair_table,
    per_class,
    per_pair,
    pixel_kappa,
    presence_alpha,
    presence_kappa,
    rated_images,
)
from tests.quality.images import Box, tables

COIN: Box = ("coin", 0, 0, 4, 4)
NARROW: Box = ("coin", 0, 0, 4, 3)
CUP: Box = ("cup", 0, 0, 4, 4)
CLASSES = ["coin", "cup"]


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def test_pairs_by_hand() -> None:
    images = rated_images(
        *tables({("i", "ann"): [COIN], ("i", "bob"): [NARROW, ("coin", 4, 5, 6, 8)], ("j", "ann"): [COIN]})
    )
    assert list(images) == ["i"]
    row = pair_table(images, 0.5).iloc[0]
    assert (row["annotator_a"], row["annotator_b"], row["matched"], row["only_b"]) == ("ann", "bob", 1, 1)
    assert row["agreement"] == pytest.approx(0.75 / 2)


def test_empty_against_empty_is_undefined_and_against_something_nothing() -> None:
    images = rated_images(*tables({("i", "ann"): [], ("i", "bob"): [], ("j", "ann"): [COIN], ("j", "bob"): []}))
    pairs = pair_table(images, 0.5)
    assert np.isnan(pairs["agreement"].iloc[0])
    assert pairs["agreement"].iloc[1] == 0
    figure = object_agreement(pairs, rng())
    assert (figure.value, figure.n) == (0, 1)


def test_a_missing_rating_is_not_background() -> None:
    images = rated_images(*tables({("i", "ann"): [COIN], ("j", "bob"): []}))
    assert images == {}
    assert object_agreement(pair_table(images, 0.5), rng()).reason == "no image was marked by two people"
    assert presence_kappa(images, CLASSES, rng()).value is None
    assert pixel_kappa(images, CLASSES, rng()).value is None


def test_identical_people_agree_fully() -> None:
    answers = {(image, who): [COIN] if image < "c" else [CUP] for image in "abcd" for who in ("ann", "bob", "cat")}
    images = rated_images(*tables(answers))
    assert object_agreement(pair_table(images, 0.5), rng()).value == pytest.approx(1)
    assert presence_kappa(images, CLASSES, rng()).value == pytest.approx(1)
    assert pixel_kappa(images, CLASSES, rng()).value == pytest.approx(1)
    assert presence_alpha(images, CLASSES, rng())["coin"].value == pytest.approx(1)


def test_one_class_everywhere_leaves_presence_undefined() -> None:
    images = rated_images(*tables({(image, who): [COIN] for image in "ab" for who in ("ann", "bob")}))
    assert presence_kappa(images, ["coin"], rng()).value is None
    assert "no variation" in str(presence_alpha(images, ["coin"], rng())["coin"].reason)


def test_another_class_on_the_same_object_costs() -> None:
    images = rated_images(*tables({("i", "ann"): [COIN], ("i", "bob"): [CUP]}))
    assert object_agreement(pair_table(images, 0.5), rng()).value == 0
    assert per_class(images, CLASSES, 0.5, rng())["coin"].value == 0


def test_every_pair_is_listed_and_intervals_hold_the_value() -> None:
    answers = {
        (image, who): [COIN if who != "cat" or image < "e" else NARROW]
        for image in "abcdefgh"
        for who in ("ann", "bob", "cat")
    }
    pairs = pair_table(rated_images(*tables(answers)), 0.5)
    figures = per_pair(pairs, rng())
    assert list(figures) == ["ann | bob", "ann | cat", "bob | cat"]
    figure = figures["ann | cat"]
    assert figure.value == pytest.approx((4 + 4 * 0.75) / 8)
    assert figure.low is not None
    assert figure.high is not None
    assert figure.low < 0.875 < figure.high


def test_same_seed_same_interval() -> None:
    pairs = pair_table(
        rated_images(
            *tables(
                {(i, w): [COIN if i < "c" else NARROW, CUP][: 1 + (w == "bob")] for i in "abcd" for w in ("ann", "bob")}
            )
        ),
        0.5,
    )
    assert object_agreement(pairs, rng()) == object_agreement(pairs, rng())
