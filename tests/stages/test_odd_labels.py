"""Labels that are few, alike or wrong, through dataset, train and evaluate: an answer, or a refusal with the reason."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from datalab.adapters.dataset_folder import read_dataset
from datalab.adapters.files import read_json, read_label_map, read_table, write_label_map, write_table
from datalab.errors import InputError
from datalab.stages import evaluate
from datalab.tables import ANNOTATED_REGIONS, CONSENSUS
from datalab.workspace import Workspace
from tests.stages.blob_workspace import run_dataset, run_train
from tests.stages.test_evaluate import PARAMS, SAM, inputs_of, outputs_in
from tests.stages.test_train import SHORT


def keep(workspace: Workspace, which: Callable[[pd.DataFrame], "pd.Series[bool]"]) -> None:
    """Leave these of the objects that were drawn."""
    for path, columns in ((workspace.regions, ANNOTATED_REGIONS), (workspace.consensus, CONSENSUS)):
        table = read_table(path, columns)
        write_table(path, table[which(table)])


def run_evaluate(workspace: Workspace) -> dict[str, Any]:
    out = workspace.root / "evaluated"
    evaluate.run(inputs_of(workspace), outputs_in(out), PARAMS, SAM)
    report: dict[str, Any] = read_json(out / "metrics.json")
    return report


def learn(workspace: Workspace) -> dict[str, Any]:
    run_dataset(workspace)
    run_train(workspace, SHORT)
    return run_evaluate(workspace)


@pytest.mark.slow
def test_an_ontology_of_one_class(blobs: Workspace) -> None:
    keep(blobs, lambda table: table["label"] == "disc")
    classes = [{"id": 1, "name": "disc", "color": "#10a0f0"}]
    (blobs.guidelines / "classes.yaml").write_text(yaml.safe_dump({"classes": classes}))
    report = learn(blobs)
    assert list(report["iou"]) == ["background", "disc"]
    assert report["iou"]["disc"]["value"] is not None


@pytest.mark.slow
def test_a_class_on_one_image_trains_and_is_not_scored(blobs: Workspace) -> None:
    """Stratified, the only image of a class goes to training; the test images say nothing about it."""
    drawn = read_table(blobs.consensus, CONSENSUS)
    only = drawn.loc[drawn["label"] == "square", "image_id"].iloc[0]
    keep(blobs, lambda table: (table["label"] == "disc") | (table["image_id"] == only))
    report = learn(blobs)
    assert only in set(read_dataset(blobs.dataset).split("train")["image_id"])
    square = report["iou"]["square"]
    assert (square["value"], square["reason"]) == (None, "no pixel of this class in the images")
    assert report["miou"]["value"] == pytest.approx(
        (report["iou"]["background"]["value"] + report["iou"]["disc"]["value"]) / 2, abs=2e-6
    )


@pytest.mark.slow
def test_a_class_that_no_training_image_shows_scores_nothing_and_says_why(blobs: Workspace) -> None:
    run_dataset(blobs)
    dataset = read_dataset(blobs.dataset)
    for row in dataset.split("train").itertuples():
        mask = dataset.mask(str(row.image_id))
        painted = read_label_map(mask)
        write_label_map(mask, np.where(painted == 2, 0, painted).astype(np.uint8))
    run_train(blobs, SHORT)
    iou = run_evaluate(blobs)["iou"]
    assert iou["square"]["value"] == 0
    assert iou["square"]["reason"].split("; ")[0] == "no training image shows it"
    assert "no training image shows it" not in iou["disc"].get("reason", "")


@pytest.mark.slow
def test_nobody_drew_anything(blobs: Workspace) -> None:
    keep(blobs, lambda table: table["label"] == "none of them")
    report = learn(blobs)
    assert report["iou"]["background"]["value"] == 1
    assert report["miou_objects"]["value"] is None
    assert report["objects"]["truth"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_label_outside_the_ontology_names_the_image(blobs: Workspace, split: str) -> None:
    run_dataset(blobs)
    dataset = read_dataset(blobs.dataset)
    image_id = dataset.split(split)["image_id"].iloc[0]
    if split == "test":
        run_train(blobs, SHORT)
    label_map = read_label_map(dataset.mask(image_id)).copy()
    label_map[0, 0] = 9
    write_label_map(dataset.mask(image_id), label_map)
    with pytest.raises(InputError, match=rf"{image_id}\.png has the pixel value\(s\) \[9\], known are \[0, 1, 2\]"):
        if split == "test":
            run_evaluate(blobs)
        else:
            run_train(blobs, SHORT)
