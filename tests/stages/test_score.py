from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datalab.adapters.files import read_label_map, read_table
from datalab.adapters.segmenter import Prediction
from datalab.errors import InputError
from datalab.stages.score import Inputs, Params, run, score_of
from datalab.tables import SCORES
from datalab.workspace import Workspace
from tests.stages.blob_workspace import image_ids, label

PARAMS = Params(measure="mutual_information", flip=True, band=2, elsewhere=0.3, window=5, top=0.05)


def inputs_of(workspace: Workspace) -> Inputs:
    return Inputs(
        workspace.model,
        workspace.catalog,
        workspace.images,
        workspace.embeddings,
        workspace.ratings,
        workspace.gold,
    )


def test_every_image_is_predicted_and_only_the_pool_is_scored(trained: Workspace, tmp_path: Path) -> None:
    run(inputs_of(trained), tmp_path / "scores.parquet", tmp_path / "predictions", PARAMS)
    assert sorted(path.stem for path in (tmp_path / "predictions").iterdir()) == image_ids(40)
    scores = read_table(tmp_path / "scores.parquet", SCORES)
    assert list(scores["image_id"]) == image_ids(38)[26:]
    assert scores["uncertainty"].between(0, 1).all()
    for image_id, share in zip(scores["image_id"], scores["predicted_foreground"], strict=True):
        predicted = read_label_map(tmp_path / "predictions" / f"{image_id}.png")
        assert predicted.shape == (48, 64)
        assert (predicted > 0).mean() == pytest.approx(share)
    truth = [(read_label_map(trained.data / "masks" / f"{name}.png") > 0).mean() for name in scores["image_id"]]
    assert np.corrcoef(truth, scores["predicted_foreground"])[0, 1] > 0.8


def test_an_empty_pool_gives_an_empty_table_with_its_types(
    blobs: Workspace, trained: Workspace, tmp_path: Path
) -> None:
    label(blobs, image_ids(24))
    inputs = replace(inputs_of(blobs), model=trained.model)
    run(inputs, tmp_path / "scores.parquet", tmp_path / "predictions", PARAMS)
    scores = read_table(tmp_path / "scores.parquet", SCORES)
    assert scores.empty
    assert scores["uncertainty"].dtype == np.float64


def test_an_unknown_measure_lists_the_known_ones(trained: Workspace, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="known: mutual_information, entropy"):
        run(inputs_of(trained), tmp_path / "s.parquet", tmp_path / "p", replace(PARAMS, measure="luck"))


def test_disagreement_scores_higher_than_agreement_and_nan_is_refused() -> None:
    def prediction(*objects: float) -> Prediction:
        share = np.array(objects, dtype=np.float32)[:, None, None] * np.ones((8, 8), dtype=np.float32)
        return Prediction(np.stack([1 - share, share], axis=1), np.zeros((16, 16), dtype=np.uint8))

    assert score_of(prediction(0.9, 0.2), PARAMS) > score_of(prediction(0.6, 0.6), PARAMS)
    entropy = replace(PARAMS, measure="entropy")
    assert score_of(prediction(0.5, 0.5), entropy) > score_of(prediction(0.95, 0.95), entropy)
    with pytest.raises(InputError, match="not finite"):
        score_of(prediction(float("nan"), 0.5), PARAMS)


def test_an_interrupted_run_leaves_the_old_predictions(trained: Workspace, tmp_path: Path) -> None:
    old = tmp_path / "predictions"
    old.mkdir()
    (old / "kept.png").write_bytes(b"old")
    missing = replace(inputs_of(trained), embeddings=tmp_path)
    with pytest.raises(InputError, match="run dvc repro embed"):
        run(missing, tmp_path / "scores.parquet", old, PARAMS)
    assert [path.name for path in old.iterdir()] == ["kept.png"]
    assert not (tmp_path / "scores.parquet").exists()
