"""A task as the server hands it out, and the annotation that a simulated annotator gives: JSON in, JSON out."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from datalab.adapters.label_studio.results import region_to_result, results_to_regions
from datalab.errors import InputError
from datalab.simulate.labeling import Annotator, Region
from datalab.simulate.profile import Profile
from datalab.tables import known_objects

GLANCE_S = 1.0
"""Time noted for a task that is skipped."""


def answer_task(
    task: dict[str, Any], truth: Mapping[str, pd.DataFrame], classes: Sequence[str], profile: Profile, seed: int
) -> dict[str, Any]:
    """What to submit for a task: `result`, `lead_time` in seconds, `was_cancelled` and `parent_prediction`.

    It depends on (seed, annotator, image) and the proposals only, in whatever order tasks arrive. `truth`: image_id to
    rows of table GOLD; a task whose image is not among them is skipped. InputError where a proposal and the truth of an
    image differ in size.
    """
    image_id = str(task["data"].get("image_id", ""))
    if image_id not in truth:
        return {"result": [], "lead_time": GLANCE_S, "was_cancelled": True}
    rows = truth[image_id]
    height, width = int(rows["height"].iloc[0]), int(rows["width"].iloc[0])
    prediction = _latest(task)
    annotator = Annotator(profile, classes, height, width, _rng(seed, profile.name, image_id))
    labeled = annotator.label(_truth_regions(rows), _proposals(prediction, image_id, height, width))
    result = [region_to_result(one.region_id, one.label, one.rle, height, width, one.origin) for one in labeled.regions]
    answer = {"result": result, "lead_time": labeled.seconds, "was_cancelled": False}
    return {**answer, "parent_prediction": prediction["id"]} if prediction else answer


def _latest(task: dict[str, Any]) -> dict[str, Any]:
    """The newest prediction; empty where there is none."""
    newest: dict[str, Any] = max(task.get("predictions") or [{}], key=lambda one: int(one.get("id", 0)))
    return newest


def _truth_regions(rows: pd.DataFrame) -> list[Region]:
    return [Region(row["region_id"], row["label"], row["rle"]) for row in known_objects(rows).to_dict("records")]


def _proposals(prediction: dict[str, Any], image_id: str, height: int, width: int) -> list[Region]:
    proposed = results_to_regions(prediction.get("result", []))
    for row in proposed:
        if (row["height"], row["width"]) != (height, width):
            raise InputError(
                f"image {image_id}: the proposals are for {row['width']} x {row['height']} pixels, the truth for "
                f"{width} x {height}; give masks of the images' size"
            )
    return [Region(row["region_id"], row["label"], row["rle"]) for row in proposed]


def _rng(seed: int, name: str, image_id: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{name}/{image_id}".encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])
