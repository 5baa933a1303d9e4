from pathlib import Path

import numpy as np
import pytest

from datalab.adapters.files import read_label_map, read_table, write_json, write_label_map
from datalab.errors import InputError
from datalab.stages.surprise import run
from datalab.tables import SURPRISE
from datalab.workspace import Workspace
from tests.stages.blob_workspace import image_ids, run_dataset

CLASSES = [{"id": 0, "name": "background"}, {"id": 1, "name": "disc"}, {"id": 2, "name": "square"}]


def predict(workspace: Workspace, round_id: str, image_id: str, right: float) -> float:
    """Predict so much of an image's objects rightly, and the rest as background; returns what that leaves wrong."""
    truth = read_label_map(workspace.data / "masks" / f"{image_id}.png")
    objects = np.flatnonzero(truth)
    lost = objects[round(right * len(objects)) :]
    predicted = truth.copy()
    predicted.ravel()[lost] = 0
    folder = workspace.rounds / round_id / "predicted"
    write_label_map(folder / f"{image_id}.png", predicted)
    write_json(folder / "classes.json", CLASSES)
    return len(lost) / max(1, len(objects))


def test_what_each_model_got_wrong_on_what_it_chose(blobs: Workspace, tmp_path: Path) -> None:
    run_dataset(blobs)
    empty_one, *ids = image_ids(30)
    wrong = [predict(blobs, "0002", ids[0], 1.0), predict(blobs, "0002", ids[1], 0.25)]
    wrong += [predict(blobs, "0003", ids[1], 0.75)]  # asked again
    predict(blobs, "0003", ids[15], 0.5)  # nobody has labelled it
    write_label_map(blobs.rounds / "0003" / "predicted" / f"{empty_one}.png", np.zeros((48, 64), dtype=np.uint8))
    (blobs.rounds / "0001").mkdir()  # a cold start
    run(blobs.rounds, blobs.dataset, tmp_path / "surprise.parquet")
    found = read_table(tmp_path / "surprise.parquet", SURPRISE)
    rows = list(zip(found["round_id"], found["image_id"], strict=True))
    assert rows == [("0002", ids[0]), ("0002", ids[1]), ("0003", empty_one), ("0003", ids[1])]
    assert found["surprise"].tolist() == pytest.approx([wrong[0], wrong[1], 0.0, wrong[2]])
    assert wrong[1] > 0.7


def test_classes_that_have_other_numbers_now_are_the_same_classes(blobs: Workspace, tmp_path: Path) -> None:
    run_dataset(blobs)
    for image_id in image_ids(12):
        predict(blobs, "0002", image_id, 1.0)
    swapped = [CLASSES[0], {"id": 2, "name": "disc"}, {"id": 1, "name": "square"}]
    write_json(blobs.rounds / "0002" / "predicted" / "classes.json", swapped)
    run(blobs.rounds, blobs.dataset, tmp_path / "swapped.parquet")
    assert read_table(tmp_path / "swapped.parquet", SURPRISE)["surprise"].mean() > 0.7
    for path in blobs.rounds.glob("*/predicted/*.png"):
        write_label_map(path, np.array([0, 2, 1], dtype=np.uint8)[read_label_map(path)])
    run(blobs.rounds, blobs.dataset, tmp_path / "same.parquet")
    assert set(read_table(tmp_path / "same.parquet", SURPRISE)["surprise"]) == {0.0}
    write_json(blobs.rounds / "0002" / "predicted" / "classes.json", [CLASSES[0], {"id": 2, "name": "cone"}])
    run(blobs.rounds, blobs.dataset, tmp_path / "gone.parquet")
    assert read_table(tmp_path / "gone.parquet", SURPRISE)["surprise"].max() == 1.0


def test_what_nobody_decided_is_no_surprise(blobs: Workspace, tmp_path: Path) -> None:
    run_dataset(blobs)
    image_id = image_ids(2)[1]
    predict(blobs, "0002", image_id, 0.0)
    truth = read_label_map(blobs.dataset / "masks" / f"{image_id}.png")
    write_label_map(blobs.dataset / "masks" / f"{image_id}.png", np.where(truth > 0, 255, truth).astype(np.uint8))
    run(blobs.rounds, blobs.dataset, tmp_path / "surprise.parquet")
    assert read_table(tmp_path / "surprise.parquet", SURPRISE)["surprise"].tolist() == [0.0]


def test_without_a_round_that_a_model_chose_there_is_a_table_without_rows(blobs: Workspace, tmp_path: Path) -> None:
    run_dataset(blobs)
    run(blobs.rounds, blobs.dataset, tmp_path / "surprise.parquet")
    found = read_table(tmp_path / "surprise.parquet", SURPRISE)
    assert found.empty
    assert found["surprise"].dtype == np.float64
    with pytest.raises(InputError):
        run(blobs.rounds, tmp_path / "nothing", tmp_path / "other.parquet")
    assert not (tmp_path / "other.parquet").exists()
