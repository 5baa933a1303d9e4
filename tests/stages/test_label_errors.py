from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from datalab.adapters.files import read_label_map, read_table, write_label_map, write_table
from datalab.errors import InputError
from datalab.stages import label_errors
from datalab.stages.label_errors import Inputs, Params, run
from datalab.tables import ANNOTATED_REGIONS, LABEL_ERRORS, RATINGS, SUSPECTED
from datalab.workspace import Workspace
from tests.stages.blob_workspace import POLICY, TRAIN, image_ids, run_dataset

PARAMS = Params(seed=1, folds=2, steps=60, imbalance=0.0, least_area=6, least_score=0.3, iou_threshold=0.5)


def suspected(blobs: Workspace) -> Inputs:
    return Inputs(blobs.dataset, blobs.images, blobs.embeddings, blobs.ratings, blobs.regions)


def ask_others(blobs: Workspace, confused: str) -> None:
    """Two more people say what the first says, but for the classes of one image."""
    ratings, regions = read_table(blobs.ratings, RATINGS), read_table(blobs.regions, ANNOTATED_REGIONS)
    swapped = regions["label"].map({"square": "disc", "disc": "square"})
    said = regions.assign(label=swapped.where(regions["image_id"] == confused, regions["label"]))
    for path, table, theirs in ((blobs.ratings, ratings, ratings), (blobs.regions, regions, said)):
        others = [theirs.assign(annotator=who, annotation_id=theirs["annotation_id"] + who) for who in ("bob", "cy")]
        write_table(path, pd.concat([table, *others], ignore_index=True))


@pytest.mark.slow
def test_a_spoiled_label_is_the_worst(blobs: Workspace) -> None:
    run_dataset(blobs)
    # the first image is empty; of the others one with an object loses it and keeps a square elsewhere
    spoiled = image_ids(12)[5]
    confused = image_ids(12)[6]
    ask_others(blobs, confused)
    mask = blobs.dataset / "masks" / f"{spoiled}.png"
    truth = read_label_map(mask)
    assert truth.any()
    write_label_map(mask, np.zeros_like(truth))
    out = blobs.data / "label_errors.parquet"
    run(suspected(blobs), out, PARAMS, TRAIN, POLICY)
    table = read_table(out, LABEL_ERRORS)
    for kind in ("image", "model", "objects"):
        whole = table[table["kind"] == kind]
        assert len(whole) == 12
        assert whole["image_id"].iloc[0] == spoiled
    objects = table[table["kind"].isin(SUSPECTED)]
    first = objects.iloc[0]
    assert (first["image_id"], first["kind"], first["given"]) == (spoiled, "dropped", "background")
    assert 0 <= first["x"] < first["x"] + first["width"] <= 64
    overlooked = table[(table["kind"] == "overlooked") & (table["image_id"] == spoiled)]
    assert (overlooked["given"] == "background").all()
    votes = table[table["kind"] == "votes"]
    assert set(votes["image_id"]) == {confused}
    assert objects["score"].is_monotonic_decreasing
    before = out.read_bytes()
    run(suspected(blobs), out, PARAMS, TRAIN, POLICY)
    assert out.read_bytes() == before


@pytest.mark.slow
def test_a_class_with_one_image_is_no_error(blobs: Workspace) -> None:
    """Every model that may judge it has learned from images without a square."""
    run_dataset(blobs)
    only = image_ids(12)[5]
    for path in (blobs.dataset / "masks").glob("*.png"):
        truth = read_label_map(path)
        assert path.stem != only or (truth == 2).any()
        write_label_map(path, truth if path.stem == only else np.where(truth == 2, 0, truth).astype(np.uint8))
    run(suspected(blobs), blobs.label_errors, PARAMS, TRAIN, POLICY)
    table = read_table(blobs.label_errors, LABEL_ERRORS)
    assert not (table["given"] == "square").any()


def test_a_box_of_the_prediction_lies_where_it_does_in_the_image() -> None:
    assert label_errors._on_image((2, 3, 4, 5), (24, 32), (48, 96)) == (6, 6, 12, 10)


def test_what_no_training_can_use_is_one_line(blobs: Workspace) -> None:
    run_dataset(blobs)
    with pytest.raises(InputError, match=r"train\.loss is 'dise'; known: cross_entropy"):
        run(suspected(blobs), blobs.label_errors, PARAMS, replace(TRAIN, loss="dise"), POLICY)
    assert not blobs.label_errors.exists()
