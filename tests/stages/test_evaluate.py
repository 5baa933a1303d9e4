import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from datalab.adapters.dataset_folder import read_dataset
from datalab.adapters.files import read_json, read_label_map, read_table, write_json, write_label_map
from datalab.adapters.plots import Tile
from datalab.adapters.sam import load_sam
from datalab.adapters.segmenter import Prediction, Segmenter, load_segmenter, predict, save_segmenter
from datalab.adapters.segmenter_samples import Sample
from datalab.errors import InputError
from datalab.stages import evaluate
from datalab.stages.evaluate import Candidate, Inputs, Judged, Outputs, Params, confusion_rows, run
from datalab.tables import CONFUSIONS
from datalab.workspace import Workspace
from tests.stages.bars import check_bars
from tests.stages.blob_workspace import enlarge

PARAMS = Params(seed=0, resamples=100, flip=True, sheet=3, bins=10, min_area_share=0.001)
SAM = partial(load_sam, "small")
NAMES = ("background", "leaf", "rust")


def inputs_of(workspace: Workspace) -> Inputs:
    return Inputs(workspace.model, workspace.dataset, workspace.images, workspace.embeddings, workspace.guidelines)


def outputs_in(folder: Path) -> Outputs:
    tables = (folder / "judged.parquet", folder / "confusions.parquet")
    return Outputs(folder / "metrics.json", *tables, folder / "plots", folder / "model_cost.json")


@pytest.mark.slow
def test_an_easy_world_scores_high_and_leaves_pictures(trained: Workspace, tmp_path: Path) -> None:
    run(inputs_of(trained), outputs_in(tmp_path), PARAMS, SAM)
    report = read_json(tmp_path / "metrics.json")
    assert report["miou"]["value"] > 0.8
    assert report["miou"]["low"] <= report["miou"]["value"] <= report["miou"]["high"]
    assert set(report["iou"]) == {"background", "disc", "square"}
    assert report["test_images"] == len(read_dataset(trained.dataset).split("test"))
    errors = report["calibration"]
    assert errors["temperature"] == read_json(trained.reports / "train.json")["temperature"]
    for name in ("ece", "ece_before"):
        assert 0 <= errors[name]["low"] <= errors[name]["value"] <= errors[name]["high"] < 0.5
    bins = pd.read_csv(tmp_path / "plots" / "reliability.csv")
    gaps = (bins["confidence"] - bins["accuracy"]).abs() * bins["share"]
    assert gaps.sum() == pytest.approx(errors["ece"]["value"], abs=1e-4)
    objects = report["objects"]
    assert objects["truth"] > 0
    assert 0.3 < objects["ap"]["value"] < objects["ap50"]["value"] <= 1
    each = [one["value"] for one in objects["ap_per_class"].values()]
    assert objects["ap"]["value"] == pytest.approx(sum(each) / 2, abs=1e-6)
    for name in ("ap", "precision", "recall", "f1"):
        assert 0.3 < objects[name]["value"] <= 1
    assert objects["ap"]["low"] < objects["ap"]["value"] < objects["ap"]["high"]
    assert 0.3 < report["boundary_iou"]["low"] <= report["boundary_iou"]["value"] < report["miou"]["value"]
    cost = read_json(tmp_path / "model_cost.json")
    assert report["model"]["file_bytes"] == trained.model.stat().st_size > 4 * report["model"]["parameters"] > 10_000
    assert not set(cost) & set(report["model"])
    # a new image is embedded first, by 3 million weights in place of the decoder's few
    assert 0 < cost["seconds_embedding"] < cost["seconds_per_image"] < 60
    assert cost["parameters_embedding"] > 1_000_000 > report["model"]["parameters"]
    assert cost["images"] == report["test_images"]
    assert 50 < cost["peak_memory_mb"] < 50_000
    cells = read_table(tmp_path / "confusions.parquet", CONFUSIONS)
    right = cells.loc[cells["truth"] == cells["predicted"], "pixels"].sum() / cells["pixels"].sum()
    assert right == pytest.approx(report["pixel_accuracy"]["value"], abs=1e-6)
    check_bars(tmp_path / "plots" / "iou.csv")
    table = pd.read_csv(tmp_path / "plots" / "iou.csv")
    assert list(table["iou"]) == [figure["value"] for figure in report["iou"].values()]
    for name in ("iou", "confusion", "reliability", "contact_sheet"):
        with Image.open(tmp_path / "plots" / f"{name}.png") as picture:
            assert min(picture.size) > 100


@pytest.mark.slow
def test_the_same_inputs_give_the_same_bytes(trained: Workspace, tmp_path: Path) -> None:
    contents = []
    for name in "ab":
        run(inputs_of(trained), outputs_in(tmp_path / name), PARAMS, SAM)
        files = [path for path in (tmp_path / name).rglob("*") if path.is_file() and path.name != "model_cost.json"]
        contents.append({path.name: path.read_bytes() for path in files})
    assert contents[0] == contents[1]
    assert len(contents[0]) == 9


@pytest.mark.slow
@pytest.mark.parametrize("flip", [True, False])
def test_the_mirrored_image_is_asked_as_params_say(
    trained: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flip: bool
) -> None:
    asked: list[bool] = []

    def watched(segmenter: Segmenter, sample: Sample, mirrored: bool) -> Prediction:
        asked.append(mirrored)
        return predict(segmenter, sample, mirrored)

    monkeypatch.setattr(evaluate, "predict", watched)
    run(inputs_of(trained), outputs_in(tmp_path), replace(PARAMS, flip=flip), SAM)
    assert set(asked) == {flip}


@pytest.mark.slow
def test_photographs_are_shrunk_before_they_are_held_for_the_sheet(
    trained: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, images = copy_of_dataset(trained, tmp_path), tmp_path / "images"
    shutil.copytree(trained.images, images)
    enlarge(images, other / "masks", (900, 1200))
    held: list[tuple[int, ...]] = []

    def judged_all(found: Iterator[tuple[Judged, Candidate]], most: int) -> tuple[list[Judged], list[Tile]]:
        judged, worst = all_judged(found, most)
        held.extend(part.shape for tile in worst for part in (tile.image, tile.truth, tile.predicted))
        return judged, worst

    all_judged = evaluate._all_judged
    monkeypatch.setattr(evaluate, "_all_judged", judged_all)
    run(replace(inputs_of(trained), dataset=other, images=images), outputs_in(tmp_path), PARAMS, SAM)
    assert held == [(384, 512, 3), (384, 512), (384, 512)] * PARAMS.sheet


def test_the_worst_images_are_shown_first_and_only_they_are_read_for_it(tmp_path: Path) -> None:
    labels = np.zeros((2, 2), dtype=np.uint8)
    counts = np.zeros((2, 2), dtype=np.int64)
    nothing = Judged(counts, counts, {}, np.zeros((2, 1, 3)), 0.0)
    scored = (("a", 0.9), ("b", 0.2), ("c", np.nan), ("d", 0.5))
    for value, name in enumerate("abd"):
        Image.new("RGB", (2, 2), (value, 0, 0)).save(tmp_path / f"{name}.png")
    candidates = [Candidate(name, tmp_path / f"{name}.png", labels, labels, iou) for name, iou in scored]
    _, worst = evaluate._all_judged(iter([(nothing, one) for one in candidates]), 3)
    assert [(tile.image_id, tile.image[0, 0, 0]) for tile in worst] == [("b", 1), ("d", 2), ("a", 0)]


def test_the_cells_of_every_image_are_kept_by_name() -> None:
    counts = np.zeros((2, 3, 3), dtype=np.int64)
    counts[0, 0, 0], counts[0, 1, 2], counts[1, 2, 0] = 7, 3, 5
    rows = confusion_rows(["a", "b"], counts, NAMES)
    assert rows.to_numpy().tolist() == [
        ["a", "background", "background", 7],
        ["a", "leaf", "rust", 3],
        ["b", "rust", "background", 5],
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("share", "objects"), [(0.0, 2), (0.5, 0)])
def test_small_pieces_are_no_objects(trained: Workspace, tmp_path: Path, share: float, objects: int) -> None:
    other = copy_of_dataset(trained, tmp_path)
    for row in read_dataset(other).split("test").itertuples():
        truth = np.zeros((48, 64), dtype=np.uint8)
        truth[0, 0], truth[10:20, 10:20], truth[40:, :] = 1, 2, 255
        write_label_map(other / "masks" / f"{row.image_id}.png", truth)
    inputs = replace(inputs_of(trained), dataset=other)
    params = replace(PARAMS, min_area_share=share)
    run(inputs, outputs_in(tmp_path), params, SAM)
    report = read_json(tmp_path / "metrics.json")
    assert report["objects"]["truth"] == objects * report["test_images"]
    assert (report["objects"]["ap"]["value"] is None) == (objects == 0)


@pytest.mark.slow
def test_who_finds_a_piece_that_is_too_small_is_not_wrong(
    trained: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A blob of 64 pixels, and 77 make an object; the model finds two rows more."""
    other = copy_of_dataset(trained, tmp_path)
    truth = np.zeros((48, 64), dtype=np.uint8)
    truth[10:18, 10:18], truth[30:40, 30:40] = 1, 2
    answer = truth.copy()
    answer[10:20, 10:18] = 1
    for row in read_dataset(other).split("test").itertuples():
        write_label_map(other / "masks" / f"{row.image_id}.png", truth)
    monkeypatch.setattr(evaluate, "predict", lambda *asked: replace(predict(*asked), label_map=answer))
    run(replace(inputs_of(trained), dataset=other), outputs_in(tmp_path), replace(PARAMS, min_area_share=0.025), SAM)
    objects = read_json(tmp_path / "metrics.json")["objects"]
    assert (objects["truth"], objects["found"]) == (len(read_dataset(other).split("test")),) * 2
    assert objects["precision"]["value"] == objects["ap"]["value"] == 1


@pytest.mark.slow
def test_objects_on_pixels_that_nobody_judges_do_not_count(trained: Workspace, tmp_path: Path) -> None:
    other = copy_of_dataset(trained, tmp_path)
    for row in read_dataset(other).split("test").itertuples():
        truth = np.full((48, 64), 255, dtype=np.uint8)
        truth[0] = 0
        write_label_map(other / "masks" / f"{row.image_id}.png", truth)
    run(replace(inputs_of(trained), dataset=other), outputs_in(tmp_path), PARAMS, SAM)
    assert read_json(tmp_path / "metrics.json")["objects"]["found"] == 0


@pytest.mark.slow
def test_the_temperature_changes_the_calibration_error_and_no_bins_are_one_line(
    trained: Workspace, tmp_path: Path
) -> None:
    hot = replace(load_segmenter(trained.model), temperature=4.0)
    save_segmenter(tmp_path / "hot.safetensors", hot)
    inputs = replace(inputs_of(trained), model=tmp_path / "hot.safetensors")
    run(inputs, outputs_in(tmp_path), PARAMS, SAM)
    errors = read_json(tmp_path / "metrics.json")["calibration"]
    assert errors["ece"]["value"] > 2 * errors["ece_before"]["value"]


@pytest.mark.parametrize("classes", [{0: "background", 5: "star"}, {0: "background", 1: "ring", 2: "square"}])
def test_other_classes_than_the_dataset_are_told_apart(
    trained: Workspace, tmp_path: Path, classes: dict[int, str]
) -> None:
    other = copy_of_dataset(trained, tmp_path)
    write_json(other / "classes.json", [{"id": key, "name": name} for key, name in classes.items()])
    changed = Inputs(trained.model, other, trained.images, trained.embeddings, trained.guidelines)
    with pytest.raises(InputError, match="trained for other classes"):
        run(changed, outputs_in(tmp_path), PARAMS, SAM)
    assert not (tmp_path / "metrics.json").exists()


def test_a_model_of_another_sam_is_told(trained: Workspace, tmp_path: Path) -> None:
    model = tmp_path / "model.safetensors"
    save_segmenter(model, replace(load_segmenter(trained.model), encoder="sam-of-old"))
    with pytest.raises(InputError, match="on embeddings of sam-of-old, these are of sam-of-blobs; the SAM check"):
        run(replace(inputs_of(trained), model=model), outputs_in(tmp_path), PARAMS, SAM)


def test_a_mask_of_another_size_is_one_line(trained: Workspace, tmp_path: Path) -> None:
    other = copy_of_dataset(trained, tmp_path)
    for row in read_dataset(other).split("test").itertuples():
        write_label_map(other / "masks" / f"{row.image_id}.png", np.zeros((5, 5), dtype=np.uint8))
    changed = Inputs(trained.model, other, trained.images, trained.embeddings, trained.guidelines)
    with pytest.raises(InputError, match=r"is \(5, 5\), its image \(64, 48\); run dvc repro dataset"):
        run(changed, outputs_in(tmp_path), PARAMS, SAM)


def copy_of_dataset(workspace: Workspace, tmp_path: Path) -> Path:
    other = tmp_path / "dataset"
    (other / "masks").mkdir(parents=True)
    for name in ("index.parquet", "classes.json"):
        (other / name).write_bytes((workspace.dataset / name).read_bytes())
    for path in (workspace.dataset / "masks").glob("*.png"):
        write_label_map(other / "masks" / path.name, read_label_map(path))
    return other


def test_wrong_numbers_of_the_last_part_are_told_before_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("robustness: {seed: 1, images: 2, resamples: 0}\n")
    names = ("model", "dataset", "images", "embeddings", "guidelines", "out", "judged", "confusions", "robustness",
             "plots", "cost")  # fmt: skip
    given = [part for name in names for part in (f"--{name}", str(tmp_path / name))]
    monkeypatch.setattr("sys.argv", ["evaluate", *given, "--params", str(params)])
    with pytest.raises(InputError, match=r"robustness\.resamples is 0; it has to be at least 1"):
        evaluate.main()


def test_what_differs_from_run_to_run_is_no_metric() -> None:
    """DVC shows a metric as changed after each run where it has seconds in it."""
    stage = yaml.safe_load((Path(__file__).parents[2] / "dvc.yaml").read_text())["stages"]["evaluate"]
    cost = {"reports/model_cost.json": {"cache": False}}
    assert cost in stage["outs"]
    assert cost not in stage["metrics"]
