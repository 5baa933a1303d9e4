import shutil
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image

from datalab.adapters.dataset_folder import read_dataset
from datalab.adapters.files import read_json, read_table, write_table
from datalab.errors import InputError
from datalab.stages import leaks
from datalab.stages.leaks import Inputs, Params, run
from datalab.tables import CATALOG, DATASET
from datalab.workspace import Workspace
from tests.learning.test_shared_parts import photograph
from tests.stages.blob_workspace import run_dataset
from tests.stages.vectors_kept import keep_all_vectors

PARAMS = Params(similarity=0.99, shown=3)


def inputs_of(workspace: Workspace) -> Inputs:
    return Inputs(workspace.dataset, workspace.catalog, workspace.images, workspace.embeddings)


@pytest.mark.slow
def test_a_copy_in_another_split_is_reported_and_shown(blobs: Workspace, tmp_path: Path) -> None:
    run_dataset(blobs)
    rng = np.random.default_rng(0)
    for path in blobs.embeddings.glob("*.npy"):
        np.save(path, rng.normal(size=(12, 6, 8)).astype(np.float16))
    run(inputs_of(blobs), tmp_path / "before.json", tmp_path / "before.png", PARAMS, 4)
    before = read_json(tmp_path / "before.json")
    assert before == {"leaks": 0, "judged": before["judged"], "pairs": [], "reason": None}
    assert before["judged"] > 3
    folder = read_dataset(blobs.dataset)
    copied, copy = (folder.split(name)["image_id"].iloc[-1] for name in ("train", "test"))
    shutil.copy(blobs.embeddings / f"{copied}.npy", blobs.embeddings / f"{copy}.npy")
    contents = []
    for name in "ab":
        run(inputs_of(blobs), tmp_path / f"{name}.json", tmp_path / f"{name}.png", PARAMS, 4)
        contents.append([(tmp_path / f"{name}.{kind}").read_bytes() for kind in ("json", "png")])
    report = read_json(tmp_path / "a.json")
    assert report["leaks"] == 1
    pair = report["pairs"][0]
    assert (pair["image_id"], pair["split"], pair["other_id"], pair["similarity"]) == (copy, "test", copied, 1)
    assert pair["file"] == f"{copy}.png"
    assert contents[0] == contents[1]
    with Image.open(tmp_path / "a.png") as shown, Image.open(tmp_path / "before.png") as empty:
        assert np.asarray(shown).std() > np.asarray(empty).std()


@pytest.mark.slow
@pytest.mark.parametrize(("distance", "view"), [(4, "mirrored"), (-1, "in part, mirrored")])
def test_a_mirrored_training_image_is_found_by_its_hash_or_by_its_corners(
    blobs: Workspace, tmp_path: Path, distance: int, view: str
) -> None:
    run_dataset(blobs)
    rng, folder = np.random.default_rng(0), read_dataset(blobs.dataset)
    for path in blobs.embeddings.glob("*.npy"):
        np.save(path, rng.normal(size=(12, 6, 8)).astype(np.float16))
    seen, copy = (folder.split(name)["image_id"].iloc[-1] for name in ("train", "test"))
    pixels = np.asarray(Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)).resize((64, 48)))
    Image.fromarray(pixels).save(blobs.images / f"{seen}.png")
    Image.fromarray(pixels[:, ::-1]).save(blobs.images / f"{copy}.png")
    catalog = read_table(blobs.catalog, CATALOG)
    is_seen = catalog["image_id"] == seen
    catalog.loc[is_seen, "phash"] = str(imagehash.phash(Image.fromarray(pixels)))
    write_table(blobs.catalog, catalog)
    run(inputs_of(blobs), tmp_path / "r.json", tmp_path / "r.png", PARAMS, distance)
    report = read_json(tmp_path / "r.json")
    assert report["leaks"] == 1
    assert [(one["image_id"], one["other_id"], one["view"]) for one in report["pairs"]] == [(copy, seen, view)]


@pytest.mark.slow
def test_a_cut_of_a_training_image_is_found_and_shown(blobs: Workspace, tmp_path: Path) -> None:
    run_dataset(blobs)
    rng, folder = np.random.default_rng(0), read_dataset(blobs.dataset)
    for path in blobs.embeddings.glob("*.npy"):
        np.save(path, rng.normal(size=(12, 6, 8)).astype(np.float16))
    seen, cut = (folder.split(name)["image_id"].iloc[-1] for name in ("train", "test"))
    Image.fromarray(photograph(0)).save(blobs.images / f"{seen}.png")
    Image.fromarray(photograph(0)[100:, :500]).save(blobs.images / f"{cut}.png")
    run(inputs_of(blobs), tmp_path / "r.json", tmp_path / "r.png", PARAMS, -1)
    report = read_json(tmp_path / "r.json")
    assert [(one["image_id"], one["other_id"], one["view"]) for one in report["pairs"]] == [(cut, seen, "in part")]
    assert report["leaks"] == 1


@pytest.mark.slow
def test_kept_vectors_give_the_pairs_that_the_embeddings_do(blobs: Workspace, tmp_path: Path) -> None:
    run_dataset(blobs)
    params = Params(similarity=-1.0, shown=5)
    run(inputs_of(blobs), tmp_path / "computed.json", tmp_path / "computed.png", params, 4)
    assert read_json(tmp_path / "computed.json")["leaks"] > 0
    keep_all_vectors(blobs.catalog, blobs.embeddings)
    run(inputs_of(blobs), tmp_path / "kept.json", tmp_path / "kept.png", params, 4)
    for kind in ("json", "png"):
        assert (tmp_path / f"kept.{kind}").read_bytes() == (tmp_path / f"computed.{kind}").read_bytes()


@pytest.mark.slow
def test_photographs_are_held_as_small_as_they_are_shown(
    blobs: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dataset(blobs)
    for path in blobs.images.glob("*.png"):
        Image.fromarray(np.asarray(Image.open(path).resize((900, 600)))).save(path)
    held = list[tuple[int, ...]]()
    monkeypatch.setattr(
        leaks, "plot_pairs", lambda _, pairs: held.extend(one.shape for pair in pairs for one in pair[1:])
    )
    run(inputs_of(blobs), tmp_path / "r.json", tmp_path / "r.png", Params(similarity=-1.0, shown=2), -1)
    assert held == [(341, 512, 3)] * 4


def test_few_images_are_said(blobs: Workspace, tmp_path: Path) -> None:
    run_dataset(blobs)
    index = read_table(blobs.dataset / "index.parquet", DATASET)
    write_table(blobs.dataset / "index.parquet", index.head(5))
    run(inputs_of(blobs), tmp_path / "few.json", tmp_path / "few.png", PARAMS, 4)
    assert read_json(tmp_path / "few.json")["reason"].startswith("5 labelled images; 10 are needed")


def test_an_image_in_two_splits_is_refused(blobs: Workspace, tmp_path: Path) -> None:
    run_dataset(blobs)
    index = read_table(blobs.dataset / "index.parquet", DATASET)
    index.loc[len(index)] = {**index.iloc[0].to_dict(), "split": "test"}
    write_table(blobs.dataset / "index.parquet", index)
    with pytest.raises(InputError, match=r"is in .*index\.parquet twice \(.*, test\); run dvc repro dataset"):
        run(inputs_of(blobs), tmp_path / "no.json", tmp_path / "no.png", PARAMS, 4)
    assert not (tmp_path / "no.json").exists()
