from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from datalab.adapters.review_content import read_content
from datalab.adapters.review_figures import gold_iou, image_figures, image_tags, is_own_tag, label_map_paths
from datalab.tables import GOLD
from tests.adapters.review_example import after_round, before_labels, box_mask


def test_tags_are_role_rounds_and_split(tmp_path: Path) -> None:
    assert image_tags(after_round(tmp_path)) == {
        "a1": {"batch", "round-0001", "round-0002", "train"},
        "b2": {"gold", "round-0001", "test", "slice: dark"},
        "c3": set(),
    }
    assert image_tags(before_labels(tmp_path)) == {"a1": set(), "b2": set(), "c3": set()}


@pytest.mark.parametrize(
    ("tag", "own"),
    [
        ("batch", True),
        ("round-0012", True),
        ("validation", True),
        ("slice: dark", True),
        ("round-two", False),
        ("wrong label", False),
    ],
)
def test_other_tags_belong_to_people(tag: str, own: bool) -> None:
    assert is_own_tag(tag) is own


def test_figures_without_the_undefined_ones(tmp_path: Path) -> None:
    figures = image_figures(after_round(tmp_path))
    assert figures.pop("agreement") == {"a1": pytest.approx(0.6)}
    assert figures == {
        "duplicate_group": {"a1": "a1", "b2": "b2", "c3": "c3"},
        "round": {"a1": "0002", "b2": "0001"},
        "uncertainty": {"c3": 0.25},
        "next_batch": {"c3": 0},
        "label_error": {"a1": 0.75},
        "surprise": {"a1": 0.25},
        "contested": {"a1": 1},
        "gold_iou": {"b2": 1.0},
        "review": {"a1": "relabel"},
        "review_comment": {"a1": "a coin is missing"},
        "reviewer": {"a1": "rita"},
        "reviewed_at": {"a1": "2026-01-02"},
        "review_outcome": {"a1": "sent in round 0002"},
    }
    assert type(figures["next_batch"]["c3"]) is int


def test_people_are_held_against_gold_as_models_against_the_consensus(tmp_path: Path) -> None:
    inputs = after_round(tmp_path)
    gold = pd.DataFrame([("a1", "g", "coin", box_mask(0, 0, 4, 2), 4, 6)], columns=list(GOLD))
    # anna is right; ben has 6 of 8 pixels of the coin, and 16 of 18 of the background are his
    ben = (6 / 8 + 16 / 18) / 2
    assert gold_iou(replace(inputs, gold=gold)) == {"a1": pytest.approx((1 + ben) / 2)}
    assert gold_iou(replace(inputs, gold=None)) == {}
    # of the row in which ben has none of the coin nobody knows the class
    void = pd.DataFrame([("a1", "v", "", box_mask(0, 0, 1, 6), 4, 6)], columns=list(GOLD))
    known = gold_iou(replace(inputs, gold=pd.concat([gold, void], ignore_index=True)))
    assert known == {"a1": 1.0}
    # whose answer made it gold is not held against it
    assert inputs.ratings is not None
    judging = inputs.ratings[inputs.ratings["annotator"].str.startswith("ben")]
    assert gold_iou(replace(inputs, gold=gold, judging=judging)) == {"a1": pytest.approx(ben)}


def test_content_before_any_label(tmp_path: Path) -> None:
    content = read_content(before_labels(tmp_path), lambda share, doing: None)
    filled = {field for field, marks in content.marks.items() if marks}
    assert filled == {"filepath", "image_id", "duplicate_group"}


def test_iou_and_maps_of_the_labelled_images(tmp_path: Path) -> None:
    content = read_content(after_round(tmp_path), lambda share, doing: None)
    # coin 8 / 12, background 12 / 16; an empty image that is seen as empty is right
    assert content.marks["iou"] == {"a1": pytest.approx((8 / 12 + 12 / 16) / 2), "b2": 1.0}
    assert content.marks["prediction"].keys() == {"a1", "b2", "c3"}
    assert content.marks["consensus_map"]["a1"] == str(tmp_path / "masks" / "a1.png")


def test_maps_of_images_that_left_the_catalog_are_left_out(tmp_path: Path) -> None:
    after_round(tmp_path)
    assert label_map_paths(tmp_path / "predictions", ["a1", "zz"]) == {"a1": tmp_path / "predictions" / "a1.png"}
    assert label_map_paths(None, ["a1"]) == {}


def test_ratings_of_images_that_left_the_catalog_give_no_tags(tmp_path: Path) -> None:
    inputs = after_round(tmp_path)
    assert image_tags(replace(inputs, catalog=inputs.catalog.iloc[1:])).keys() == {"b2", "c3"}
