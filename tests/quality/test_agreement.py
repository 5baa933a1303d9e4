from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from datalab.quality.agreement import (
    class_confusions,
    object_agreement,
    object_table,
    of_class,
    pair_table,
)
from datalab.quality.matching import match_regions
from datalab.quality.object_figures import object_figures
from datalab.quality.rated import pairs_of, rated_images
from tests.quality.images import HEIGHT, WIDTH, Box, tables

COIN: Box = ("coin", 0, 0, 4, 4)
NARROW: Box = ("coin", 0, 0, 4, 3)
CUP: Box = ("cup", 0, 0, 4, 4)
CORNER: Box = ("coin", 4, 5, 6, 8)


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def both(answers: dict[tuple[str, str], list[Box]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables OBJECTS and PAIRS."""
    images = rated_images(*tables(answers))
    objects = object_table(images, 0.5)
    return objects, pair_table(images, objects)


def test_pairs_by_hand() -> None:
    objects, pairs = both({("i", "ann"): [COIN], ("i", "bob"): [NARROW, CORNER], ("j", "ann"): [COIN]})
    row = pairs.iloc[0]
    assert len(pairs) == 1
    assert (row["annotator_a"], row["annotator_b"], row["matched"], row["only_b"]) == ("ann", "bob", 1, 1)
    assert row["agreement"] == pytest.approx(0.75 / 2)
    assert objects["outcome"].tolist() == ["matched", "only_b"]
    assert objects["area_a"].tolist() == pytest.approx([16 / 48, 0])
    assert objects["area_b"].tolist() == pytest.approx([12 / 48, 6 / 48])
    assert objects["origin_b"].tolist() == ["manual", "manual"]
    assert objects["label_a"].tolist() == ["coin", ""]


def test_empty_against_empty_is_undefined_and_against_something_nothing() -> None:
    objects, pairs = both({("i", "ann"): [], ("i", "bob"): [], ("j", "ann"): [COIN], ("j", "bob"): []})
    assert np.isnan(pairs["agreement"].iloc[0])
    assert pairs["objects"].tolist() == [0, 1]
    assert pairs["agreement"].iloc[1] == 0
    figure = object_agreement(objects, rng())
    assert (figure.value, figure.n) == (0, 1)


def test_nobody_shares_an_image() -> None:
    objects, pairs = both({("i", "ann"): [COIN], ("j", "bob"): []})
    assert pairs.empty
    assert str(object_agreement(objects, rng()).reason).startswith("no object was marked")
    assert object_figures(objects, rng())["f1"].value is None
    assert class_confusions(objects) == {}


def test_identical_people_agree_fully() -> None:
    objects, _ = both({(image, who): [COIN, CORNER] for image in "abcd" for who in ("ann", "bob", "cat")})
    assert object_agreement(objects, rng()).value == pytest.approx(1)
    found = {name: figure.value for name, figure in object_figures(objects, rng()).items()}
    assert found.pop("mean_boundary_iou") is None
    assert list(found.values()) == pytest.approx([1] * len(found))


def test_another_class_on_the_same_object_costs_and_is_counted() -> None:
    objects, pairs = both({("i", "ann"): [COIN], ("i", "bob"): [CUP]})
    assert pairs["confused"].tolist() == [1]
    assert object_agreement(objects, rng()).value == 0
    assert object_figures(objects, rng())["f1"].value == 0
    assert class_confusions(objects) == {"coin | cup": 1}


def test_one_class_at_a_time_sees_a_confused_object_as_missed() -> None:
    answers = {("i", "ann"): [COIN, CORNER], ("i", "bob"): [CUP, CORNER], ("j", "ann"): [COIN], ("j", "bob"): []}
    objects, _ = both(answers)
    coins, cups = of_class(objects, "coin"), of_class(objects, "cup")
    assert sorted(coins["outcome"]) == ["matched", "only_a", "only_a"]
    assert cups["outcome"].tolist() == ["only_b"]
    assert cups[["label_a", "label_b", "iou"]].to_numpy().tolist() == [["", "cup", 0.0]]
    assert object_agreement(coins, rng()).value == pytest.approx((1 / 2 + 0) / 2)
    assert object_figures(coins, rng())["f1"].value == pytest.approx(2 / (3 + 1))
    assert of_class(objects, "plate").empty


def test_rates_read_the_first_as_the_truth() -> None:
    objects, _ = both({("i", "ann"): [COIN], ("i", "bob"): [COIN, CORNER]})
    rates = object_figures(objects, rng())
    assert (rates["precision"].value, rates["recall"].value) == (0.5, 1)
    assert rates["f1"].value == pytest.approx(2 / 3)


def test_the_table_is_the_matching() -> None:
    answers: dict[tuple[str, str], list[Box]] = {
        ("i", "ann"): [COIN, CORNER, CUP],
        ("i", "bob"): [NARROW, ("cup", 4, 5, 6, 8)],
        ("i", "cat"): [],
    }
    images = rated_images(*tables(answers))
    pairs = pair_table(images, object_table(images, 0.5))
    for (a, b), row in zip(pairs_of(images), pairs.to_dict("records"), strict=True):
        matching = match_regions(a.regions, b.regions, HEIGHT, WIDTH, 0.5)
        assert (row["objects"], row["iou_sum"]) == (matching.objects, pytest.approx(matching.iou_sum))
        assert (row["only_a"], row["only_b"]) == (len(matching.only_left), len(matching.only_right))


def test_swapping_two_people_changes_nothing_but_the_sides() -> None:
    answers: dict[tuple[str, str], list[Box]] = {("i", "ann"): [COIN, CORNER], ("i", "bob"): [NARROW, CUP]}
    images = rated_images(*tables(answers))
    ann, bob = images["i"]
    turned = {"i": [replace(bob, annotator="ann"), replace(ann, annotator="bob")]}
    there, back = (pair_table(one, object_table(one, 0.5)).iloc[0] for one in (images, turned))
    assert there["agreement"] == back["agreement"]
    assert (there["only_a"], there["only_b"]) == (back["only_b"], back["only_a"])


def test_same_seed_same_interval_that_holds_the_value() -> None:
    answers = {
        (image, who): [COIN if who == "ann" or image < "e" else NARROW]
        for image in "abcdefgh"
        for who in ("ann", "bob")
    }
    objects, _ = both(answers)
    figure = object_agreement(objects, rng())
    assert figure == object_agreement(objects, rng())
    assert figure.low is not None
    assert figure.high is not None
    assert figure.low < 0.875 < figure.high
