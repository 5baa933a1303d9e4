"""Which labels made the model: what the report of a round keeps, and the commit with it."""

from typing import Any

import yaml

from datalab.adapters.files import read_table
from datalab.errors import InputError
from datalab.tables import DATASET, RATING_PROVENANCE, RATINGS
from datalab.workspace import Workspace

LOCK = "dvc.lock"


def made_of(workspace: Workspace) -> dict[str, Any]:
    """The model's and the dataset's MD5 as DVC keeps them, and of the dataset's images how many are of what.

    `images`: in the dataset; `rounds`, `annotators`, `guidelines` (their version): name to images with a rating of it,
    which may be several. InputError where dvc.lock has no such stage.
    """
    index = read_table(workspace.dataset / "index.parquet", DATASET)
    ratings = read_table(workspace.ratings, (*RATINGS, *RATING_PROVENANCE))
    learned = ratings[ratings["image_id"].isin(index["image_id"]) & (ratings["role"] != "gold")]
    columns = {"rounds": "round_id", "annotators": "annotator", "guidelines": "guideline_version"}
    counts = {name: learned.groupby(column)["image_id"].nunique() for name, column in columns.items()}
    return {
        "model": _md5(workspace, "train", str(workspace.model.relative_to(workspace.root))),
        "dataset": _md5(workspace, "dataset", str(workspace.dataset.relative_to(workspace.root))),
        "images": len(index),
        **{name: {str(key): int(count) for key, count in found.items()} for name, found in counts.items()},
    }


def _md5(workspace: Workspace, stage: str, out: str) -> str:
    path = workspace.root / LOCK
    content = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    for one in content.get("stages", {}).get(stage, {}).get("outs", []):
        if one["path"] == out:
            return str(one["md5"])
    raise InputError(f"{path} has no {out} of stage {stage}; run dvc repro {stage} first")
