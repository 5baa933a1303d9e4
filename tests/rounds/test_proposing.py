"""Classes for proposals, in a workspace with hand-made embeddings: two channels, one per kind of object."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from datalab.adapters.files import read_label_map, write_label_map, write_table
from datalab.config import Guidelines, LabelClass
from datalab.errors import InputError
from datalab.masks import mask_to_rle
from datalab.rounds import proposing
from datalab.rounds.proposing import label_proposals
from datalab.tables import CANDIDATES, GOLD, GOLD_EVENTS
from datalab.workspace import Workspace

SIDE = 8
GUIDELINES = Guidelines((LabelClass(1, "coin", "#000000"), LabelClass(2, "cup", "#ffffff")), (), "v", "o")
QUARTERS = {"coin": (0, 0), "cup": (0, 4), "mixed": (4, 0), "": (4, 4)}


def mask(name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    inside = np.zeros((SIDE, SIDE), dtype=bool)
    top, left = QUARTERS[name]
    inside[top : top + 4, left : left + 4] = True
    return inside


def rle(name: str) -> str:
    return mask_to_rle(mask(name))


def proposals(*rows: tuple[str, str], label: str = "") -> pd.DataFrame:
    table = [(image, f"{image}-{name}", label, rle(name), SIDE, SIDE, 0.9, 0.9, "v", "sam") for image, name in rows]
    return pd.DataFrame(table, columns=list(CANDIDATES))


def named(
    workspace: Workspace,
    asked: pd.DataFrame,
    guidelines: Guidelines,
    least_margin: float,
    groups: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """With the same embedding for each image."""
    embedding = np.zeros((3, 4, 4), dtype=np.float16)
    embedding[0, :2, :2] = 1
    embedding[1, :2, 2:] = 1
    embedding[:2, 2:, :2] = 0.7
    embedding[2, 2:, 2:] = 1
    return label_proposals(workspace, asked, guidelines, least_margin, lambda _: embedding, groups)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Gold images x, y, z with one coin and one cup each; `a` is not gold."""
    place = Workspace(tmp_path)
    gold = [
        (image, f"{image}-{n}", name, rle(name), SIDE, SIDE)
        for image in "xyz"
        for n, name in enumerate(("coin", "cup"))
    ]
    write_table(place.gold, pd.DataFrame(gold, columns=list(GOLD)))
    return place


def test_the_nearest_gold_names_a_region_and_background_is_dropped(workspace: Workspace) -> None:
    found = named(workspace, proposals(("a", "coin"), ("a", "cup"), ("a", "")), GUIDELINES, 0.1)
    assert list(zip(found["region_id"], found["label"], strict=True)) == [("a-coin", "coin"), ("a-cup", "cup")]


def test_background_is_what_no_object_covers() -> None:
    """Half of x, all of y, on which nothing is, and nothing of z."""
    full = mask_to_rle(np.ones((SIDE, SIDE), dtype=bool))
    shapes = [("x", rle("coin")), ("x", rle("cup")), ("y", ""), ("z", full), ("z", rle("cup"))]
    gold = [(image, f"{image}-{n}", "coin", shape, SIDE, SIDE) for n, (image, shape) in enumerate(shapes)]
    embedding = np.zeros((2, 4, 4), dtype=np.float16)
    embedding[0, :2], embedding[1, 2:] = 3, 4
    found = proposing._background_vectors(pd.DataFrame(gold, columns=list(GOLD)), lambda _: embedding)
    assert sorted(found) == ["x", "y"]
    assert found["x"].tolist() == [0, 1]
    assert found["y"] == pytest.approx([0.6, 0.8])


def test_what_lies_between_two_classes_is_left_to_people(workspace: Workspace) -> None:
    assert list(named(workspace, proposals(("a", "mixed")), GUIDELINES, 0.3)["label"]) == [""]
    assert list(named(workspace, proposals(("a", "mixed")), GUIDELINES, 0.0)["label"]) != [""]


def test_a_gold_image_does_not_name_its_own_proposals(workspace: Workspace) -> None:
    gold = pd.DataFrame([("x", "x-0", "coin", rle("coin"), SIDE, SIDE), ("y", "y-0", "cup", rle("cup"), SIDE, SIDE)])
    write_table(workspace.gold, gold.set_axis(list(GOLD), axis=1))
    found = named(workspace, proposals(("x", "cup"), ("x", "coin"), ("a", "coin")), GUIDELINES, 0.0)
    labels = dict(zip(found["region_id"], found["label"], strict=True))
    assert labels["a-coin"] == "coin"
    assert labels["x-cup"] == "cup"
    assert labels.get("x-coin") != "coin"


def test_gold_of_the_same_clip_does_not_name_its_proposals(workspace: Workspace) -> None:
    gold = [("x", "x-0", "cup", rle("coin"), SIDE, SIDE), ("y", "y-0", "coin", rle("coin"), SIDE, SIDE)]
    gold += [("z", "z-0", "coin", rle("coin"), SIDE, SIDE)]
    write_table(workspace.gold, pd.DataFrame(gold, columns=list(GOLD)))
    asked = proposals(("y", "coin"))
    assert list(named(workspace, asked, GUIDELINES, 0.0, {"x": "clip", "y": "clip"})["label"]) == ["coin"]
    assert list(named(workspace, asked, GUIDELINES, 0.0, {"z": "clip", "y": "clip"})["label"]) == ["cup"]


def test_gold_that_somebody_contests_names_nothing(workspace: Workspace) -> None:
    gold = pd.DataFrame([("x", "x-0", "cup", rle("coin"), SIDE, SIDE), ("y", "y-0", "coin", rle("coin"), SIDE, SIDE)])
    write_table(workspace.gold, gold.set_axis(list(GOLD), axis=1))
    event = ("x", "contested", "these are coins", "ann", "0001", "2026-01-01")
    write_table(workspace.gold_events, pd.DataFrame([event], columns=list(GOLD_EVENTS)))
    assert list(named(workspace, proposals(("a", "coin")), GUIDELINES, 0.0)["label"]) == ["coin"]


def test_the_model_names_regions_by_their_pixels(workspace: Workspace) -> None:
    predicted = np.zeros((SIDE, SIDE), dtype=np.uint8)
    predicted[mask("coin")] = 2
    predicted[4:7, 0:4] = 1
    predicted[7, 0:4] = 2
    predicted[0:2, 4:8] = 1
    write_label_map(workspace.predictions / "a.png", predicted)
    asked = proposals(("a", "coin"), ("a", "mixed"), ("a", "cup"), ("a", ""))
    found = named(workspace, asked, GUIDELINES, 0.2)
    assert dict(zip(found["region_id"], found["label"], strict=True)) == {
        "a-coin": "cup",
        "a-mixed": "coin",
        "a-cup": "",
    }


def test_what_sam_made_of_a_rim_is_named_by_what_the_model_sees_inside(workspace: Workspace) -> None:
    """A cup with a rim that the model takes for a coin; and a coin of which it saw a quarter."""
    predicted = np.zeros((SIDE, SIDE), dtype=np.uint8)
    predicted[mask("coin")], predicted[0, :4] = 2, 1
    predicted[4:6, :2] = 1
    write_label_map(workspace.predictions / "a.png", predicted)
    asked = proposals(("a", "coin"), ("a", "mixed"), ("a", "cup"), label="coin").assign(source="refined")
    found = named(workspace, asked, GUIDELINES, 0.2)
    assert dict(zip(found["region_id"], found["label"], strict=True)) == {
        "a-coin": "cup",
        "a-mixed": "coin",
        "a-cup": "",  # the model sees nothing there
    }
    assert list(named(workspace, asked.assign(source="model"), GUIDELINES, 0.2)["label"]) == ["coin"] * 3


def test_a_prediction_of_another_size_names_nothing(workspace: Workspace) -> None:
    write_label_map(workspace.predictions / "a.png", np.zeros((SIDE, 6), dtype=np.uint8))
    with pytest.raises(InputError, match=r"a\.png has 6 x 8 pixels, its image 8 x 8; run dvc repro"):
        named(workspace, proposals(("a", "coin")), GUIDELINES, 0.2)


def test_a_prediction_is_read_once_and_its_regions_may_lie_apart(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    predicted = np.zeros((SIDE, SIDE), dtype=np.uint8)
    predicted[mask("coin")], predicted[mask("cup")] = 1, 2
    for image in "xa":
        write_label_map(workspace.predictions / f"{image}.png", predicted)
    read: list[str] = []

    def counted(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        read.append(path.stem)
        return read_label_map(path)

    monkeypatch.setattr(proposing, "read_label_map", counted)
    asked = proposals(("x", "coin"), ("a", "cup"), ("x", "cup"), ("a", "coin"))
    asked.index = pd.Index([9, 4, 6, 1])
    found = named(workspace, asked, GUIDELINES, 0.2)
    assert list(found["label"]) == ["coin", "cup", "cup", "coin"]
    assert sorted(read) == ["a", "x"]


def test_gold_names_the_regions_of_an_image_that_the_model_has_not_seen(workspace: Workspace) -> None:
    predicted = np.full((SIDE, SIDE), 2, dtype=np.uint8)
    write_label_map(workspace.predictions / "x.png", predicted)
    asked = proposals(("a", "coin"), ("x", "coin"), ("a", ""), ("a", "mixed"), ("x", "mixed"), ("a", "cup"))
    asked.index = pd.Index([3, 8, 1, 2, 9, 0])
    found = named(workspace, asked, GUIDELINES, 0.3)
    assert list(zip(found["region_id"], found["label"], strict=True)) == [
        ("a-coin", "coin"), ("x-coin", "cup"), ("a-mixed", ""), ("x-mixed", "cup"), ("a-cup", "cup"),
    ]  # fmt: skip


def test_regions_that_have_a_class_keep_it(workspace: Workspace) -> None:
    asked = proposals(("a", "cup"), label="coin")
    pd.testing.assert_frame_equal(named(workspace, asked, GUIDELINES, 0.9), asked)


def test_without_gold_nothing_tells_a_class_but_that_there_is_one_alone(workspace: Workspace) -> None:
    write_table(workspace.gold, pd.DataFrame(columns=list(GOLD)))
    assert list(named(workspace, proposals(("a", "cup")), GUIDELINES, 0.9)["label"]) == [""]
    one = replace(GUIDELINES, classes=GUIDELINES.classes[:1])
    assert list(named(workspace, proposals(("a", "cup")), one, 0.9)["label"]) == ["coin"]
