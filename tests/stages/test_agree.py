from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from datalab.adapters.files import read_json, read_table, write_table
from datalab.errors import InputError
from datalab.learning.splits import GroupRules
from datalab.quality.agreement import PAIRS
from datalab.stages import agree
from datalab.stages.agree import Inputs, Params, run, slices
from datalab.tables import ATTRIBUTES, empty
from tests.quality.images import Box
from tests.stages.rated_folder import ALONE, CLASSES, write_catalog, write_metadata, write_rated

COIN: Box = ("coin", 0, 0, 4, 4)
NARROW: Box = ("coin", 0, 0, 4, 3)
CUP: Box = ("cup", 4, 5, 6, 8)
PARAMS = Params(
    seed=1, iou_threshold=0.5, least_images=4, least_of_class=2, reliable=0.8, small_share=0.1, large_share=0.3
)


MANY = "abcdefghijklmnop"


def report(
    folder: Path,
    answers: dict[tuple[str, str], list[Box]],
    said: pd.DataFrame | None = None,
    classes: str = CLASSES,
    rules: GroupRules = ALONE,
) -> Any:
    ratings, regions = write_rated(folder, answers)
    (folder / "guidelines" / "classes.yaml").write_text(classes)
    catalog = write_catalog(folder, {image: f"{'day' if image < 'c' else 'night'}/{image}.png" for image, _ in answers})
    write_table(folder / "attributes.parquet", empty(ATTRIBUTES) if said is None else said)
    known = catalog, write_metadata(folder, {})
    inputs = Inputs(ratings, regions, folder / "attributes.parquet", *known, folder / "guidelines")
    run(inputs, folder / "pairs.parquet", folder / "agreement.json", PARAMS, rules)
    return read_json(folder / "agreement.json")


def pair_of(box: Box, images: str = "abcd") -> dict[tuple[str, str], list[Box]]:
    """Two people, one of whom draws a coin as `box`; a cup on every second image."""
    cups = {image: [CUP] if number % 2 else [] for number, image in enumerate(images)}
    return {(image, who): [COIN if who == "ann" else box, *cups[image]] for image in images for who in ("ann", "bob")}


@pytest.mark.slow
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
    assert found["per_origin"]["somebody drew it"]["value"] == pytest.approx((0.75 + 0.875) / 2)
    assert len(read_table(tmp_path / "pairs.parquet", PAIRS)) == 4


@pytest.mark.slow
def test_it_says_how_far_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report(tmp_path, pair_of(NARROW))
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if line.endswith(" 0/4")] == [
        "compare objects 0/4",
        "compare boundaries 0/4",
        "compare pixels 0/4",
    ]
    assert {"figures of classes 0/2", "figures of pairs 0/1", "figures of parts 0/1", "figures of parts 0/2"} <= {*said}


def test_of_many_folders_those_with_the_most_shared_images_are_slices() -> None:
    catalog = pd.DataFrame([(f"{n}", f"clip{n // 2:03d}/{n}.png") for n in range(120)], columns=["image_id", "source"])
    rated = pd.DataFrame({"image_id": [f"{n}" for n in range(100, 120) for _ in range(2)] + ["1", "3"]})
    found = slices(catalog, rated)
    assert len(set(found.values())) == 50
    assert {found[f"{n}"] for n in range(100, 120)} <= set(found.values())
    assert found["119"] == "clip059"


def test_figures_per_size_round_and_slice(tmp_path: Path) -> None:
    found = report(tmp_path, pair_of(NARROW))
    assert {name: one["f1"]["n"] for name, one in found["per_size"].items()} == {"small": 0, "medium": 4, "large": 0}
    assert {name: one["images"] for name, one in found["per_slice"].items()} == {"day": 2, "night": 2}
    assert found["per_slice"]["night"]["agreement"]["value"] == pytest.approx((0.75 + 0.875) / 2)
    assert set(found["per_round"]) == {"0001"}
    assert found["figures"]["objects (panoptic quality)"]["value"] == pytest.approx((0.75 + 1) / 2)
    assert found["figures"]["outlines (Dice)"]["value"] == pytest.approx((4 * 6 / 7 + 2) / 6, abs=1e-6)
    assert found["figures"]["pixels (quantity disagreement)"]["value"] == pytest.approx(4 / 48, abs=1e-6)
    assert found["figures"]["pixels (allocation disagreement)"]["value"] == 0
    assert found["per_class"]["cup"]["presence"]["prevalence"]["value"] == 0.5


def test_the_size_of_an_object_is_the_mean_of_those_who_drew_it(tmp_path: Path) -> None:
    high = report(tmp_path, pair_of(("coin", 0, 0, 6, 4), "ab"))["per_size"]
    assert high["large"]["mean_iou"]["value"] == pytest.approx(16 / 24, abs=1e-6)
    assert (high["large"]["mean_iou"]["n"], high["medium"]["mean_iou"]["n"]) == (2, 1)


@pytest.mark.slow
def test_a_class_needs_images_with_and_without_it(tmp_path: Path) -> None:
    classes = report(tmp_path, pair_of(COIN, MANY))["per_class"]
    assert classes["cup"]["verdict"] == {"value": "reliable", "reason": None}
    assert classes["coin"]["verdict"]["reason"] == "16 images with coin and 0 without; a verdict needs 2 of each"


@pytest.mark.slow
def test_the_verdict_needs_images_and_the_lower_end(tmp_path: Path) -> None:
    assert report(tmp_path, pair_of(COIN, MANY))["verdict"] == {"value": "reliable", "reason": None}
    alike = report(tmp_path, pair_of(COIN))["verdict"]
    assert alike == {"value": None, "reason": "no interval: all images are alike"}
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


@pytest.mark.slow
def test_images_that_hang_together_are_counted_as_one(tmp_path: Path) -> None:
    """a and b were taken in from one folder, c and d from another; all four have the same hash."""
    alone = report(tmp_path, pair_of(NARROW))
    found = report(tmp_path, pair_of(NARROW), rules=GroupRules("^[^/]+", "", -1))
    assert (alone["double_labelled_images"], alone["double_labelled_groups"]) == (4, 4)
    assert (found["double_labelled_images"], found["double_labelled_groups"]) == (4, 2)
    assert {one["n"] for one in alone["figures"].values()} == {4}
    assert {one["n"] for one in found["figures"].values()} == {2}
    for section in ("figures", "per_class", "per_pair", "per_size", "per_slice"):
        assert values(found[section]) == values(alone[section])
    assert found["verdict"]["reason"] == "4 double-labelled images in 2 groups; a verdict needs 8"
    near = report(tmp_path, pair_of(NARROW), rules=GroupRules("", "", 0))
    assert near["figures"]["objects (matched IoU)"]["reason"] == "no interval: all 4 images are of one group"


def values(content: Any) -> Any:
    """The report without its intervals and what they rest on."""
    if not isinstance(content, dict):
        return content
    left_out = ("n", "low", "high", "reason", "verdict")
    return {name: values(inner) for name, inner in content.items() if name not in left_out}


def test_nobody_labelled_anything(tmp_path: Path) -> None:
    assert report(tmp_path, {})["annotators"] == []


@pytest.mark.slow
def test_a_confusion_of_classes_is_named(tmp_path: Path) -> None:
    found = report(tmp_path, pair_of(("cup", 0, 0, 4, 4)))
    assert found["class_confusions"] == {"coin | cup": 4}
    assert found["per_class"]["coin"]["objects"]["value"] == 0


def test_an_unknown_class_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="bob used the class 'plate' on image a; add it to"):
        report(tmp_path, {("a", "ann"): [COIN], ("a", "bob"): [("plate", 0, 0, 2, 2)]})


@pytest.mark.slow
def test_answers_to_a_question_of_the_class_are_compared(tmp_path: Path) -> None:
    ratings, _ = write_rated(tmp_path, pair_of(COIN))
    rows = read_table(ratings, ("annotation_id", "annotator", "image_id")).to_dict("records")
    values = {"ann": "abcd", "bob": "abca"}
    said = pd.DataFrame(
        [
            (
                row["annotation_id"],
                row["annotator"],
                row["image_id"],
                f"{row['annotation_id']}-0",
                "coin",
                1,
                "side",
                one,
            )
            for row in rows
            for one in values[row["annotator"]]["abcd".index(row["image_id"])]
        ],
        columns=list(ATTRIBUTES),
    )
    assert report(tmp_path, pair_of(COIN), said)["per_attribute"] == {}
    asks = 'color: "#ff0000", attributes: [{name: side, values: [a, b, c, d]}]'
    with_question = CLASSES.replace('color: "#ff0000"', asks)
    found = report(tmp_path, pair_of(COIN), said, with_question)["per_attribute"]["coin: side"]
    assert (found["observed"]["value"], found["answered"]["value"]) == (0.75, 1)
    # of a class that had this id before
    was_cup = report(tmp_path, pair_of(COIN), said.assign(class_id=2), with_question)["per_attribute"]["coin: side"]
    assert (was_cup["observed"]["value"], was_cup["answered"]["value"]) == (None, 0)


def test_answers_of_one_person_do_not_make_a_folder_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agree, "MOST_SLICES", 1)
    catalog = pd.DataFrame(
        [(f"s{n}", f"single/{n}.png") for n in range(9)] + [("p", "pair/p.png")], columns=["image_id", "source"]
    )
    rated = pd.DataFrame({"image_id": [*(f"s{n}" for n in range(9)), "p", "p"]})
    assert slices(catalog, rated) == {"p": "pair"}
