import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from datalab.adapters.dataset_folder import read_dataset
from datalab.adapters.embedding_cache import embedded_by
from datalab.adapters.files import read_json, read_label_map, write_json, write_table
from datalab.adapters.segmenter import Segmenter, load_segmenter, save_segmenter
from datalab.rounds.closing import keep_champion
from datalab.stages import evaluate
from datalab.stages.compare import Inputs, Outputs, Params, run
from datalab.workspace import Workspace
from tests.stages.test_evaluate import PARAMS as EVALUATE
from tests.stages.test_evaluate import SAM, copy_of_dataset, inputs_of, outputs_in

PARAMS = Params(seed=0, resamples=100, flip=True)


def inputs(trained: Workspace, folder: Path, champion: bool = True) -> Inputs:
    """The challenger is the model of `trained`; the champion the same one."""
    (folder / "champion").mkdir()
    write_json(folder / "champion" / "round.json", {"compared_in": 2})
    if champion:
        shutil.copyfile(trained.model, folder / "champion" / "segmenter.safetensors")
    evaluate.run(inputs_of(trained), outputs_in(folder), EVALUATE, SAM)
    return Inputs(
        folder / "champion", trained.dataset, trained.images, trained.embeddings, folder / "confusions.parquet"
    )


def outputs(folder: Path) -> Outputs:
    return Outputs(folder / "maps", folder / "comparison.json")


@pytest.mark.slow
def test_a_model_against_itself_is_no_better(trained: Workspace, tmp_path: Path) -> None:
    run(inputs(trained, tmp_path), outputs(tmp_path), PARAMS)
    report = read_json(tmp_path / "comparison.json")
    assert report["champion"] == report["challenger"]
    alike = "no interval: one test image decides, or a few that are all alike"
    assert report["difference"] == {"value": 0, "low": None, "high": None, "reason": alike}
    assert (report["better"], report["worse"]) == (0, 0)
    test = read_dataset(trained.dataset).split("test")
    assert sorted(path.stem for path in (tmp_path / "maps").iterdir()) == test["image_id"].tolist()
    for image_id in test["image_id"]:
        assert set(read_label_map(tmp_path / "maps" / f"{image_id}.png").flat) <= {0, 1, 2}


@pytest.mark.slow
def test_a_champion_that_sees_background_everywhere_is_worse(trained: Workspace, tmp_path: Path) -> None:
    files = inputs(trained, tmp_path)
    champion = load_segmenter(trained.model)
    for parameter in champion.network.parameters():
        parameter.data.zero_()
    save_segmenter(files.champion / "segmenter.safetensors", champion)
    run(files, outputs(tmp_path), PARAMS)
    report = read_json(tmp_path / "comparison.json")
    assert report["champion"]["value"] < 0.5 < report["challenger"]["value"]
    assert report["difference"]["value"] > 0.3
    assert report["better"] > report["worse"] == 0


def test_the_first_round_has_nothing_to_compare(trained: Workspace, tmp_path: Path) -> None:
    (tmp_path / "champion").mkdir()
    files = Inputs(tmp_path / "champion", trained.dataset, trained.images, trained.embeddings, tmp_path / "none")
    run(files, outputs(tmp_path), PARAMS)
    assert read_json(tmp_path / "comparison.json")["reason"] == "there is no model of an earlier round"
    assert list((tmp_path / "maps").iterdir()) == []


def reason_for(champion: Segmenter, trained: Workspace, folder: Path) -> str | None:
    (folder / "champion").mkdir()
    save_segmenter(folder / "champion" / "segmenter.safetensors", champion)
    files = Inputs(folder / "champion", trained.dataset, trained.images, trained.embeddings, folder / "none")
    run(files, outputs(folder), PARAMS)
    reason: str | None = read_json(folder / "comparison.json")["reason"]
    return reason


@pytest.mark.parametrize("changed", [{"class_ids": (0, 5, 6)}, {"class_names": ("background", "disc", "bowl")}])
def test_a_champion_of_other_classes_is_not_asked(trained: Workspace, tmp_path: Path, changed: dict[str, Any]) -> None:
    other = replace(load_segmenter(trained.model), **changed)
    assert reason_for(other, trained, tmp_path) == "the model before knows other classes"


def test_a_champion_of_another_sam_is_not_asked(trained: Workspace, tmp_path: Path) -> None:
    """Official SAMs of all sizes have as many channels, so that their embeddings look alike."""
    champion = load_segmenter(trained.model)
    assert champion.encoder == embedded_by(trained.embeddings) != ""
    found = reason_for(replace(champion, encoder="vit_l-0b3195"), trained, tmp_path)
    assert found == "the model before was trained on embeddings of another SAM checkpoint"


def test_a_champion_from_before_this_was_kept_is_not_asked(trained: Workspace, tmp_path: Path) -> None:
    found = reason_for(replace(load_segmenter(trained.model), encoder=""), trained, tmp_path)
    assert found == "the model before was trained on embeddings of an unknown SAM checkpoint"


def test_the_champion_is_the_model_from_before_the_round(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    kept = workspace.champion / "segmenter.safetensors"
    keep_champion(workspace, 1)
    assert not kept.exists()
    workspace.model.parent.mkdir()
    workspace.model.write_bytes(b"first")
    keep_champion(workspace, 2)
    workspace.model.write_bytes(b"second")
    keep_champion(workspace, 2)  # killed after training, and run again
    assert kept.read_bytes() == b"first"
    keep_champion(workspace, 3)
    assert kept.read_bytes() == b"second"


def champion_of(trained: Workspace, root: Path, learned: list[str]) -> Path:
    """Folder of a champion: the model of `trained`, when its dataset still had these images for training."""
    old = Workspace(root)
    old.model.parent.mkdir(parents=True)
    shutil.copyfile(trained.model, old.model)
    index = read_dataset(trained.dataset).index
    was = index["split"].mask(index["image_id"].isin(learned), "train")
    write_table(old.dataset / "index.parquet", index.assign(split=was))
    keep_champion(old, 2)
    return old.champion


@pytest.mark.slow
def test_what_the_champion_learned_from_is_not_judged(trained: Workspace, tmp_path: Path) -> None:
    """Images change sides when a rating is taken back, or shares and seed are changed; copies go with them."""
    dataset = copy_of_dataset(trained, tmp_path)
    index = read_dataset(dataset).index
    first, copy, *others = read_dataset(dataset).split("test")["image_id"]
    write_table(dataset / "index.parquet", index.assign(group=index["group"].mask(index["image_id"] == copy, first)))
    files = replace(
        inputs(trained, tmp_path), dataset=dataset, champion=champion_of(trained, tmp_path / "old", [first])
    )
    run(files, outputs(tmp_path), PARAMS)
    report = read_json(tmp_path / "comparison.json")
    assert (report["left_out"], report["test_images"], report["reason"]) == (2, len(others), None)
    assert sorted(path.stem for path in (tmp_path / "maps").iterdir()) == others
    run(replace(files, champion=tmp_path / "champion"), outputs(tmp_path), PARAMS)  # kept by an earlier version
    report = read_json(tmp_path / "comparison.json")
    assert (report["left_out"], report["test_images"]) == (0, len(others) + 2)


def test_a_champion_that_learned_from_all_test_images_is_not_asked(trained: Workspace, tmp_path: Path) -> None:
    test = read_dataset(trained.dataset).split("test")["image_id"].tolist()
    champion = champion_of(trained, tmp_path / "old", test)
    files = Inputs(champion, trained.dataset, trained.images, trained.embeddings, tmp_path / "none")
    run(files, outputs(tmp_path), PARAMS)
    assert read_json(tmp_path / "comparison.json") == {
        "reason": "the model before learned from every test image",
        "test_images": 0,
        "left_out": len(test),
    }
