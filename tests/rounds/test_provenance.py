from pathlib import Path

import pandas as pd
import pytest

from datalab.adapters.files import write_table, write_text
from datalab.errors import InputError
from datalab.rounds.provenance import made_of
from datalab.tables import DATASET
from datalab.workspace import Workspace
from tests.quality.images import tables

LOCK = """\
stages:
  dataset: {outs: [{path: data/dataset, md5: d1.dir}]}
  train: {outs: [{path: reports/train.json, md5: t1}, {path: models/segmenter.safetensors, md5: m1}]}
"""


def learned_workspace(folder: Path) -> Workspace:
    """Images a and b are learned from, c is rated alone; ann rated a anew in the second round."""
    workspace = Workspace(folder)
    ratings, _ = tables({("a", "ann"): [], ("a", "bob"): [], ("b", "ann"): [], ("c", "ann"): []})
    rounds, versions = ["0002", "0001", "0001", "0001"], ["v2", "v1", "v1", "v1"]
    write_table(workspace.ratings, ratings.assign(round_id=rounds, guideline_version=versions))
    index = pd.DataFrame([(one, f"{one}.png", "train", one, 1) for one in "ab"], columns=list(DATASET))
    write_table(workspace.dataset / "index.parquet", index)
    return workspace


def test_a_model_is_told_by_its_labels(tmp_path: Path) -> None:
    workspace = learned_workspace(tmp_path)
    write_text(tmp_path / "dvc.lock", LOCK)
    assert made_of(workspace) == {
        "model": "m1",
        "dataset": "d1.dir",
        "images": 2,
        "rounds": {"0001": 2, "0002": 1},
        "annotators": {"ann": 2, "bob": 1},
        "guidelines": {"v1": 2, "v2": 1},
    }


def test_a_model_that_dvc_does_not_know_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no models/segmenter\.safetensors of stage train; run dvc repro train"):
        made_of(learned_workspace(tmp_path))
