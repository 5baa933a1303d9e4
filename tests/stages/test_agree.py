from pathlib import Path
from typing import Any

import pytest

from datalab.adapters.files import read_json, read_table
from datalab.errors import InputError
from datalab.quality.agreement import PAIRS
from datalab.stages.agree import Params, run
from tests.quality.images import Box
from tests.stages.rated_folder import write_rated

COIN: Box = ("coin", 0, 0, 4, 4)
NARROW: Box = ("coin", 0, 0, 4, 3)
CUP: Box = ("cup", 4, 5, 6, 8)
PARAMS = Params(seed=1, iou_threshold=0.5, least_images=4, reliable=0.8)


def report(folder: Path, answers: dict[tuple[str, str], list[Box]]) -> Any:
    ratings, regions = write_rated(folder, answers)
    run(ratings, regions, folder / "guidelines", folder / "pairs.parquet", folder / "agreement.json", PARAMS)
    return read_json(folder / "agreement.json")


def pair_of(box: Box, images: str = "abcd") -> dict[tuple[str, str], list[Box]]:
    """Two people, one of whom draws a coin as `box`; a cup on every second image."""
    cups = {image: [CUP] if number % 2 else [] for number, image in enumerate(images)}
    return {(image, who): [COIN if who == "ann" else box, *cups[image]] for image in images for who in ("ann", "bob")}


def test_all_figures_are_there(tmp_path: Path) -> None:
    found = report(tmp_path, pair_of(NARROW))
    assert found["figures"]["objects (matched IoU)"]["value"] == pytest.approx((0.75 + 0.875) / 2)
    assert found["figures"]["class presence (kappa)"]["value"] == 1
    assert 0 < found["figures"]["pixels (kappa)"]["value"] < 1
    coin = found["per_class"]["coin"]
    assert coin["objects"]["value"] == coin["pixels"]["iou"]["value"] == 0.75
    assert (coin["f1"]["value"], coin["presence"]["positive"]["value"]) == (1, 1)
    assert coin["presence"]["alpha"]["reason"] == "only one category was seen"
    assert found["per_class"]["cup"]["presence"]["alpha"]["value"] == 1
    pair = found["per_pair"]["ann | bob"]
    assert (pair["images"], pair["f1"]["value"], pair["class_confusions"]) == (4, 1, {})
    assert found["per_origin"]["both kept the proposal"]["value"] is None
    assert len(read_table(tmp_path / "pairs.parquet", PAIRS)) == 4


def test_the_verdict_needs_images_and_the_lower_end(tmp_path: Path) -> None:
    assert report(tmp_path, pair_of(COIN))["verdict"] == {"value": "reliable", "reason": None}
    assert report(tmp_path, pair_of(NARROW))["verdict"]["value"] == "not yet reliable"
    few = report(tmp_path, pair_of(COIN, "abc"))["verdict"]
    assert few == {"value": None, "reason": "3 double-labelled images; a verdict needs 4"}
    nothing: dict[tuple[str, str], list[Box]] = {(image, who): [] for image in "abcd" for who in ("ann", "bob")}
    assert "no object was marked" in report(tmp_path, nothing)["verdict"]["reason"]


def test_a_single_annotator_has_no_agreement(tmp_path: Path) -> None:
    found = report(tmp_path, {("a", "ann"): [COIN], ("b", "ann"): []})
    assert {figure["value"] for figure in found["figures"].values()} == {None}
    assert all(figure["reason"] for figure in found["figures"].values())
    assert (found["per_pair"], found["double_labelled_images"], found["annotators"]) == ({}, 0, ["ann"])


def test_nobody_labelled_anything(tmp_path: Path) -> None:
    assert report(tmp_path, {})["annotators"] == []


def test_a_confusion_of_classes_is_named(tmp_path: Path) -> None:
    found = report(tmp_path, pair_of(("cup", 0, 0, 4, 4)))
    assert found["class_confusions"] == {"coin | cup": 4}
    assert found["per_class"]["coin"]["objects"]["value"] == 0


def test_an_unknown_class_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="bob used the class 'plate' on image a; add it to"):
        report(tmp_path, {("a", "ann"): [COIN], ("a", "bob"): [("plate", 0, 0, 2, 2)]})
