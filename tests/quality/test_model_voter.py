from typing import Any

import numpy as np
import pytest

from datalab.masks import rle_area
from datalab.quality.model_voter import MODEL, Voter, model_report, predicted_regions, with_model
from datalab.quality.rated import rated_images
from tests.quality.images import HEIGHT, WIDTH, Box, rle, tables

VOTER = Voter({1: "coin", 2: "cup"}, min_area_share=0.05, iou_threshold=0.5)
COIN: Box = ("coin", 0, 0, 4, 4)
NARROW: Box = ("coin", 0, 0, 4, 3)
CUP: Box = ("cup", 4, 5, 6, 8)


def drawn(*boxes: Box) -> tuple[tuple[str, str], ...]:
    return tuple((label, rle(*box)) for label, *box in boxes)


def figures(answers: dict[tuple[str, str], list[Box]], predicted: dict[str, tuple[tuple[str, str], ...]]) -> Any:
    images = with_model(rated_images(*tables(answers), at_least=1), predicted)
    return model_report(images, ["coin", "cup"], VOTER, np.random.default_rng(0))


def test_a_label_map_becomes_its_components_without_the_specks() -> None:
    grid = np.zeros((6, 8), dtype=np.uint8)
    grid[0:2, 0:3], grid[4:6, 0:3], grid[0:3, 5:8], grid[5, 7] = 1, 1, 2, 2
    found = predicted_regions(grid, VOTER)
    assert [(label, rle_area(one, 6, 8)) for label, one in found] == [("coin", 6), ("coin", 6), ("cup", 9)]
    assert predicted_regions(np.zeros((6, 8), dtype=np.uint8), VOTER) == ()


def test_the_model_is_the_last_voter_where_it_predicted() -> None:
    images = rated_images(*tables({("i", "zoe"): [COIN], ("j", "zoe"): []}), at_least=1)
    joined = with_model(images, {"i": drawn(CUP)})
    assert list(joined) == ["i"]
    assert [one.annotator for one in joined["i"]] == ["zoe", MODEL]
    assert (joined["i"][1].height, joined["i"][1].width) == (HEIGHT, WIDTH)


def test_people_among_themselves_beside_people_and_the_model() -> None:
    answers = {("i", "ann"): [COIN], ("i", "bob"): [NARROW], ("j", "ann"): [COIN, CUP], ("k", "ann"): []}
    found = figures(answers, {"i": drawn(COIN), "j": drawn(CUP), "k": ()})
    assert (found["images"], found["double_labelled_images"]) == (3, 1)
    assert found["people"]["agreement"].value == pytest.approx(0.75)
    assert found["model"]["agreement"].value == pytest.approx((1 + 0.75) / 2)
    assert found["per_annotator"]["ann"]["agreement"].value == pytest.approx((1 + 0.5) / 2)
    assert found["per_annotator"]["bob"]["agreement"].value == pytest.approx(0.75)
    assert found["per_class"]["cup"]["f1"].value == 1
    assert found["presence_alpha"]["people"].n == found["presence_alpha"]["people and model"].n == 1


def test_confusions_with_the_model_alone_are_counted() -> None:
    answers: dict[tuple[str, str], list[Box]] = {("i", "ann"): [COIN], ("i", "bob"): [("cup", 0, 0, 4, 4)]}
    assert figures(answers, {"i": drawn(COIN)})["class_confusions"] == {"coin | cup": 1}


def test_images_that_hang_together_are_one_witness() -> None:
    answers = {(image, who): [COIN] for image in "abc" for who in ("ann", "bob")}
    images = rated_images(*tables(answers), at_least=1, groups={"a": "a", "b": "a", "c": "c"})
    voted = with_model(images, {image: drawn(NARROW if image == "c" else COIN) for image in "abc"})
    found = model_report(voted, ["coin"], VOTER, np.random.default_rng(0))
    assert (found["double_labelled_images"], found["double_labelled_groups"]) == (3, 2)
    assert found["model"]["agreement"].value == pytest.approx((1 + 1 + 0.75) / 3)
    assert {found["model"][name].n for name in found["model"]} == {2}
    assert {found["people"][name].n for name in found["people"]} == {2}
    assert found["per_annotator"]["ann"]["f1"].n == found["per_class"]["coin"]["f1"].n == 2
    assert {figure.n for figure in found["presence_alpha"].values()} == {2}


def test_no_prediction_no_figure() -> None:
    found = figures({("i", "ann"): [COIN], ("i", "bob"): [COIN]}, {})
    assert (found["images"], found["model"]["agreement"].value, found["per_annotator"]) == (0, None, {})
    assert {figure.reason for figure in found["presence_alpha"].values()} == {"nothing to count"}
