import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datalab.adapters.dataset_folder import read_dataset
from datalab.adapters.files import read_json, read_table, write_table
from datalab.errors import InputError
from datalab.stages.leaks import Inputs, Params, run
from datalab.tables import DATASET
from datalab.workspace import Workspace
from tests.stages.blob_workspace import run_dataset
from tests.stages.vectors_kept import keep_all_vectors

PARAMS = Params(similarity=0.99, shown=3)


def inputs_of(workspace: Workspace) -> Inputs:
    return Inputs(workspace.dataset, workspace.catalog, workspace.images, workspace.embeddings)


def test_a_copy_in_another_split_is_reported_and_shown(blobs: Workspace, tmp_path: Path) -> None:
    run_dataset(blobs)
    rng = np.random.default_rng(0)
    for path in blobs.embeddings.glob("*.npy"):
        np.save(path, rng.normal(size=(12, 6, 8)).astype(np.float16))
    run(inputs_of(blobs), tmp_path / "before.json", tmp_path / "before.png", PARAMS)
    before = read_json(tmp_path / "before.json")
    assert before == {"leaks": 0, "judged": before["judged"], "pairs": [], "reason": None}
    assert before["judged"] > 3
    folder = read_dataset(blobs.dataset)
    copied, copy = (folder.split(name)["image_id"].iloc[-1] for name in ("train", "test"))
    shutil.copy(blobs.embeddings / f"{copied}.npy", blobs.embeddings / f"{copy}.npy")
    contents = []
    for name in "ab":
        run(inputs_of(blobs), tmp_path / f"{name}.json", tmp_path / f"{name}.png", PARAMS)
        contents.append([(tmp_path / f"{name}.{kind}").read_bytes() for kind in ("json", "png")])
    report = read_json(tmp_path / "a.json")
    assert report["leaks"] == 1
    pair = report["pairs"][0]
    assert (pair["image_id"], pair["split"], pair["other_id"], pair["similarity"]) == (copy, "test", copied, 1)
    assert pair["file"] == f"{copy}.png"
    assert contents[0] == contents[1]
    with Image.open(tmp_path / "a.png") as shown, Image.open(tmp_path / "before.png") as empty:
        assert np.asarray(shown).std() > np.asarray(empty).std()


def test_kept_vectors_give_the_pairs_that_the_embeddings_do(blobs: Workspace, tmp_path: Path) -> None:
    run_dataset(blobs)
    params = Params(similarity=-1.0, shown=5)
    run(inputs_of(blobs), tmp_path / "computed.json", tmp_path / "computed.png", params)
    assert read_json(tmp_path / "computed.json")["leaks"] > 0
    keep_all_vectors(blobs.catalog, blobs.embeddings)
    run(inputs_of(blobs), tmp_path / "kept.json", tmp_path / "kept.png", params)
    for kind in ("json", "png"):
        assert (tmp_path / f"kept.{kind}").read_bytes() == (tmp_path / f"computed.{kind}").read_bytes()


def test_few_images_are_said(blobs: Workspace, tmp_path: Path) -> None:
    run_dataset(blobs)
    index = read_table(blobs.dataset / "index.parquet", DATASET)
    write_table(blobs.dataset / "index.parquet", index.head(5))
    run(inputs_of(blobs), tmp_path / "few.json", tmp_path / "few.png", PARAMS)
    assert read_json(tmp_path / "few.json")["reason"].startswith("5 labelled images; 10 are needed")


def test_an_image_in_two_splits_is_refused(blobs: Workspace, tmp_path: Path) -> None:
    run_dataset(blobs)
    index = read_table(blobs.dataset / "index.parquet", DATASET)
    index.loc[len(index)] = {**index.iloc[0].to_dict(), "split": "test"}
    write_table(blobs.dataset / "index.parquet", index)
    with pytest.raises(InputError, match=r"is in .*index\.parquet twice \(.*, test\); run dvc repro dataset"):
        run(inputs_of(blobs), tmp_path / "no.json", tmp_path / "no.png", PARAMS)
    assert not (tmp_path / "no.json").exists()
