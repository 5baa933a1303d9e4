from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from datalab.adapters.files import read_json, write_label_map, write_table
from datalab.errors import InputError
from datalab.learning.splits import GroupRules
from datalab.stages.agree_model import Inputs, Params, run
from datalab.tables import DATASET
from tests.quality.images import HEIGHT, WIDTH, Box
from tests.stages.rated_folder import ALONE, write_catalog, write_metadata, write_rated

COIN: Box = ("coin", 0, 0, 4, 4)
PATIENTS = {"a": {"patient": "7"}, "b": {"patient": "8"}, "c": {"patient": "7.0"}}


def report(
    folder: Path,
    predicted: dict[str, tuple[int, int]],
    splits: dict[str, str],
    people: tuple[str, ...] = ("ann", "bob"),
    rules: GroupRules = ALONE,
) -> Any:
    """`people` draw a coin on a, b and c; the model one of this (height, width), or nothing."""
    ratings, regions = write_rated(folder, {(image, who): [COIN] for image in "abc" for who in people})
    for image, (height, width) in predicted.items():
        grid = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
        grid[:height, :width] = 1
        write_label_map(folder / "predictions" / f"{image}.png", grid)
    index = pd.DataFrame([(image, "", split, image, 2) for image, split in splits.items()], columns=list(DATASET))
    write_table(folder / "dataset" / "index.parquet", index)
    known = write_catalog(folder, {image: f"{image}.png" for image in "abc"}), write_metadata(folder, PATIENTS)
    inputs = Inputs(ratings, regions, folder / "dataset", folder / "predictions", *known, folder / "guidelines")
    run(inputs, folder / "model.json", Params(seed=1, iou_threshold=0.5, min_area_share=0.01), rules)
    return read_json(folder / "model.json")


def test_what_the_model_learned_from_is_kept_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predicted = {"a": (4, 4), "b": (4, 3), "c": (0, 0)}
    found = report(tmp_path, predicted, {"a": "train", "b": "test"})
    assert (found["learned_from"]["images"], found["unseen"]["images"]) == (1, 2)
    assert found["learned_from"]["model"]["agreement"]["value"] == 1
    assert found["unseen"]["model"]["agreement"]["value"] == pytest.approx(0.75 / 2)
    assert found["unseen"]["people"]["agreement"]["value"] == 1
    assert "agree with model 0/3\n" in capsys.readouterr().err


def test_validation_images_are_learned_from(tmp_path: Path) -> None:
    found = report(tmp_path, dict.fromkeys("abc", (4, 4)), {"a": "train", "b": "validation", "c": "test"})
    assert (found["learned_from"]["images"], found["unseen"]["images"]) == (2, 1)


@pytest.mark.slow
def test_gold_that_hangs_together_with_a_learned_image_is_not_unseen(tmp_path: Path) -> None:
    """c is gold, of the patient of a, which was learned from."""
    splits = {"a": "train", "b": "test"}
    found = report(tmp_path, dict.fromkeys("abc", (4, 4)), splits, rules=GroupRules("", "patient", -1))
    counted = found["unseen"]["images"], found["learned_from"]["images"], found["left_out"]
    assert counted == (1, 1, 1)
    alone = report(tmp_path, dict.fromkeys("abc", (4, 4)), splits)
    assert (alone["unseen"]["images"], alone["left_out"]) == (2, 0)
    copies = report(tmp_path, dict.fromkeys("abc", (4, 4)), {"a": "train"}, rules=GroupRules("", "", 0))
    assert (copies["unseen"]["images"], copies["left_out"]) == (0, 2)


def test_unseen_images_of_one_group_are_one_witness(tmp_path: Path) -> None:
    rules = GroupRules("", "patient", -1)
    found = report(tmp_path, dict.fromkeys("abc", (4, 4)), {"b": "train"}, rules=rules)["unseen"]
    assert (found["double_labelled_images"], found["double_labelled_groups"]) == (2, 1)
    assert found["model"]["agreement"]["reason"] == "no interval: all 2 images are of one group"


def test_images_without_a_prediction_do_not_count(tmp_path: Path) -> None:
    found = report(tmp_path, {"a": (4, 4)}, {"a": "test"})
    assert found["unseen"]["images"] == 1
    assert found["learned_from"]["model"]["agreement"]["value"] is None


def test_an_image_of_one_person_counts(tmp_path: Path) -> None:
    found = report(tmp_path, {"a": (4, 4)}, {"a": "test"}, people=("ann",))["unseen"]
    assert (found["images"], found["per_annotator"]["ann"]["agreement"]["value"]) == (1, 1)


def test_a_prediction_of_another_size_is_named(tmp_path: Path) -> None:
    write_label_map(tmp_path / "predictions" / "b.png", np.zeros((3, 3), dtype=np.uint8))
    with pytest.raises(InputError, match="prediction of image b is 3 x 3, labelled at 8 x 6 pixels"):
        report(tmp_path, {"a": (4, 4)}, {"a": "test"})
