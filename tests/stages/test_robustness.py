from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from datalab.adapters.dataset_folder import read_dataset
from datalab.adapters.files import read_json, read_rgb, write_table
from datalab.adapters.sam import load_sam
from datalab.adapters.sam_embed import embed_image
from datalab.adapters.segmenter import Segmenter, save_segmenter
from datalab.adapters.segmenter_models import new_network
from datalab.adapters.segmenter_network import NetworkSize
from datalab.errors import InputError
from datalab.learning.corruptions import CORRUPTIONS
from datalab.learning.evaluation import ONE_IMAGE
from datalab.learning.metrics import confusion_matrix
from datalab.stages.robustness import ASKED, Inputs, Params, figures, run
from datalab.workspace import Workspace
from tests.adapters.test_plots import count_of
from tests.stages.bars import check_bars
from tests.stages.blob_workspace import blob_workspace, run_dataset, run_train

PARAMS = Params(seed=0, images=2, resamples=50)
EMBED = partial(load_sam, "small")
LIGHT = "lraspp_mobilenet_v3_large"


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Blobs as the small SAM sees them, and a model trained on that."""
    workspace = blob_workspace(tmp_path_factory.mktemp("robust") / "world", images=26, labelled=24)
    sam = load_sam("small")
    for path in workspace.images.glob("*.png"):
        np.save(workspace.embeddings / f"{path.stem}.npy", embed_image(sam, read_rgb(path)))
    run_dataset(workspace)
    run_train(workspace)
    return workspace


def inputs_of(workspace: Workspace) -> Inputs:
    return Inputs(workspace.model, workspace.dataset, workspace.images, workspace.embeddings)


@pytest.mark.slow
def test_damage_costs_and_the_same_seed_gives_the_same_bytes(embedded: Workspace, tmp_path: Path) -> None:
    for name in "ab":
        run(inputs_of(embedded), tmp_path / name / "r.json", tmp_path / name, PARAMS, EMBED)
    report = read_json(tmp_path / "a" / "r.json")
    assert report["images"] == 2
    assert report["undamaged"] > 0.7
    assert set(report) == {"images", "undamaged", "mean_drop", *CORRUPTIONS}
    assert report["noise"]["3"]["miou"] < report["undamaged"] - 0.1
    for kind in CORRUPTIONS:
        for one in report[kind].values():
            assert one["drop"] == pytest.approx(report["undamaged"] - one["miou"], abs=2e-6)
    drops = [one["drop"] for kind in CORRUPTIONS for one in report[kind].values()]
    assert report["mean_drop"]["drop"] == pytest.approx(np.mean(drops), abs=2e-6)
    table = pd.read_csv(tmp_path / "a" / "robustness.csv")
    assert table.columns.tolist() == ["damage", "corruption", "severity", "miou"]
    assert table["damage"].tolist()[:4] == ["noise 1", "noise 2", "noise 3", "blur 1"]
    assert len(table) == 21
    assert count_of(tmp_path / "a" / "robustness.png", (0x08, 0x3E, 0x81)) > 50
    for name in ("r.json", "robustness.csv", "robustness.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.slow
def test_a_model_without_embeddings_asks_no_sam(blobs: Workspace, tmp_path: Path) -> None:
    run_dataset(blobs)
    network = new_network(NetworkSize(6, 3, 16, 2, LIGHT), 0, []).eval()
    save_segmenter(blobs.model, Segmenter(network, (0, 1, 2), ("background", "disc", "square"), 64))
    none = partial(load_sam, "no such file")
    run(inputs_of(blobs), tmp_path / "r.json", tmp_path, replace(PARAMS, images=99), none)
    check_bars(tmp_path / "robustness.csv")
    report = read_json(tmp_path / "r.json")
    assert report["images"] == len(read_dataset(blobs.dataset).split("test"))
    assert 0 <= report["fog"]["2"]["miou"] <= 1


def test_hand_typed_figures() -> None:
    """Eight images of four pixels, two classes; at every severity of noise one more pixel of each is wrong."""
    truth = np.array([[0, 0, 1, 1]])

    def counts(wrong: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        return confusion_matrix(truth, np.where(np.arange(4) < wrong, 1 - truth, truth), 2)

    one = np.stack([counts(severity if kind == "noise" else 0) for kind, severity in ASKED])
    report = figures(np.stack([one] * 8), np.random.default_rng(0), 20)
    assert report["undamaged"] == 1
    # one wrong: background 1 of 2, object 2 of 3; two wrong: 0 of 2, 2 of 4; three: 0 of 3, 1 of 4
    assert [report["noise"][level]["miou"] for level in "123"] == pytest.approx([7 / 12, 1 / 4, 1 / 8], abs=1e-6)
    assert report["noise"]["1"]["low"] == report["noise"]["1"]["high"] == report["noise"]["1"]["drop"]
    assert report["blur"]["3"] == {"miou": 1.0, "drop": 0.0, "low": 0.0, "high": 0.0}
    assert report["mean_drop"]["drop"] == pytest.approx((3 - 7 / 12 - 1 / 4 - 1 / 8) / 21, abs=1e-6)
    nothing = figures(np.zeros_like(one)[None], np.random.default_rng(0), 20)
    assert nothing["undamaged"] is None
    assert nothing["mean_drop"] == {
        "drop": None,
        "low": None,
        "high": None,
        "reason": "no pixel of this class in the images",
    }


def test_one_image_has_no_interval_and_the_reason_says_so() -> None:
    truth = np.array([[0, 0, 1, 1]])
    rows = [confusion_matrix(truth, np.array([[int(kind == "noise"), 0, 1, 1]]), 2) for kind, _ in ASKED]
    report = figures(np.stack([np.stack(rows)]), np.random.default_rng(0), 20)
    drop, miou = pytest.approx(5 / 12, abs=1e-6), pytest.approx(7 / 12, abs=1e-6)
    assert report["noise"]["1"] == {"miou": miou, "drop": drop, "low": None, "high": None, "reason": ONE_IMAGE}
    enough = figures(np.stack([np.stack(rows)] * 8), np.random.default_rng(0), 20)
    assert enough["noise"]["1"]["low"] == enough["noise"]["1"]["drop"]
    assert "reason" not in enough["noise"]["1"]


def test_bad_input_is_one_line(trained: Workspace, tmp_path: Path) -> None:
    out = (tmp_path / "r.json", tmp_path)
    with pytest.raises(InputError, match="wants embeddings of 6 channels, got 128"):
        run(inputs_of(trained), *out, PARAMS, EMBED)
    index = read_dataset(trained.dataset).index
    write_table(tmp_path / "index.parquet", index[index["split"] != "test"])
    (tmp_path / "classes.json").write_bytes((trained.dataset / "classes.json").read_bytes())
    with pytest.raises(InputError, match="no test image"):
        run(replace(inputs_of(trained), dataset=tmp_path), *out, PARAMS, EMBED)
    assert not out[0].exists()
