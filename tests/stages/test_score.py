from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datalab.adapters.files import read_label_map, read_table
from datalab.adapters.segmenter import load_segmenter, save_segmenter
from datalab.errors import InputError
from datalab.learning.evidence import MEASURES, REDUCTIONS
from datalab.stages.score import Inputs, Outputs, Params, run
from datalab.tables import CLASS_SCORES, EVIDENCE, SCORES
from datalab.workspace import Workspace
from tests.stages.blob_workspace import image_ids, label

PARAMS = Params(
    measure="mutual_information", reduce="top_windows", flip=True, band=2, elsewhere=0.3, window=5, top=0.05
)


def inputs_of(workspace: Workspace) -> Inputs:
    return Inputs(
        workspace.model,
        workspace.catalog,
        workspace.images,
        workspace.embeddings,
        workspace.ratings,
        workspace.gold,
    )


def outputs_in(folder: Path) -> Outputs:
    return Outputs(folder / "scores.parquet", folder / "classes.parquet", folder / "maps", folder / "predictions")


PAIRS = [*((one, "top_share") for one in MEASURES), *(("entropy", one) for one in REDUCTIONS)]


def test_every_image_is_predicted_and_only_the_pool_is_scored(trained: Workspace, tmp_path: Path) -> None:
    run(inputs_of(trained), outputs_in(tmp_path), PARAMS)
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
    run(inputs, outputs_in(tmp_path), PARAMS)
    scores = read_table(tmp_path / "scores.parquet", SCORES)
    assert scores.empty
    assert scores["uncertainty"].dtype == np.float64


@pytest.mark.parametrize(("name", "value"), [("measure", "luck"), ("reduce", "worst")])
def test_an_unknown_name_lists_the_known_ones(trained: Workspace, tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(InputError, match=f"score.{name} is '{value}'; known: "):
        run(inputs_of(trained), outputs_in(tmp_path), replace(PARAMS, **{name: value}))  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize(("measure", "reduce"), PAIRS)
def test_every_measure_and_reduction_scores_the_pool(
    trained: Workspace, tmp_path: Path, measure: str, reduce: str
) -> None:
    run(inputs_of(trained), outputs_in(tmp_path), replace(PARAMS, measure=measure, reduce=reduce))
    scores = read_table(tmp_path / "scores.parquet", (*SCORES, *EVIDENCE))
    assert scores["uncertainty"].between(0, 1).all()
    assert scores["uncertainty"].nunique() > 1
    assert scores["margin"].between(0, 1).all()
    assert scores["wrong_pixels"].between(0, 1).all()
    by_class = read_table(tmp_path / "classes.parquet", CLASS_SCORES)
    assert by_class["label"].tolist() == ["background", "disc", "square"] * len(scores)
    assert (by_class.loc[by_class["label"] == "background", "score"] == 0).all()
    assert by_class.groupby("image_id")["residual"].sum().abs().max() < 1e-5
    assert sorted(path.stem for path in (tmp_path / "maps").iterdir()) == list(scores["image_id"])


@pytest.mark.slow
def test_the_temperature_changes_the_scores(trained: Workspace, tmp_path: Path) -> None:
    """Hot, all members say the same of everything: there is nothing to disagree about."""
    means = []
    for heat in (1.0, 100.0):
        save_segmenter(tmp_path / "model.safetensors", replace(load_segmenter(trained.model), temperature=heat))
        run(replace(inputs_of(trained), model=tmp_path / "model.safetensors"), outputs_in(tmp_path), PARAMS)
        means.append(read_table(tmp_path / "scores.parquet", SCORES)["uncertainty"].mean())
    assert means[1] < 0.1 * means[0]


def test_a_model_of_another_sam_is_told(trained: Workspace, tmp_path: Path) -> None:
    model = tmp_path / "model.safetensors"
    save_segmenter(model, replace(load_segmenter(trained.model), encoder="sam-of-old"))
    with pytest.raises(InputError, match="on embeddings of sam-of-old, these are of sam-of-blobs; the SAM check"):
        run(replace(inputs_of(trained), model=model), outputs_in(tmp_path), PARAMS)


def test_an_interrupted_run_leaves_the_old_predictions(trained: Workspace, tmp_path: Path) -> None:
    old = tmp_path / "predictions"
    old.mkdir()
    (old / "kept.png").write_bytes(b"old")
    missing = replace(inputs_of(trained), embeddings=tmp_path)
    with pytest.raises(InputError, match="run dvc repro embed"):
        run(missing, outputs_in(tmp_path), PARAMS)
    assert [path.name for path in old.iterdir()] == ["kept.png"]
    assert not (tmp_path / "scores.parquet").exists()
