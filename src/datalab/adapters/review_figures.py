"""What a review says about each image in plain values: tags, figures, and which label maps there are."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from datalab.adapters.review_inputs import REVIEW_FIELDS, ReviewInputs
from datalab.adapters.review_views import SLICE_TAG
from datalab.config import Guidelines
from datalab.learning.metrics import confusion_matrix, mean_iou
from datalab.masks import IGNORE_ID, label_map

ByImage = dict[str, Any]
"""image_id -> value; images without a value are left out."""

ROUND_TAG = "round-"
OWN_TAGS = frozenset({"batch", "gold", "train", "validation", "test"})


def is_own_tag(tag: str) -> bool:
    """Whether `image_tags` may give this tag; any other one was put there by a person."""
    return (
        tag in OWN_TAGS
        or tag.startswith(SLICE_TAG)
        or (tag.startswith(ROUND_TAG) and tag.removeprefix(ROUND_TAG).isdigit())
    )


def image_tags(inputs: ReviewInputs) -> dict[str, set[str]]:
    """Role, rounds and split of every catalog image, e.g. {"batch", "round-0001", "train"}."""
    tags: dict[str, set[str]] = {image_id: set() for image_id in inputs.catalog["image_id"]}
    pairs: list[tuple[str, str]] = []
    if inputs.ratings is not None:
        pairs += zip(inputs.ratings["image_id"], inputs.ratings["role"], strict=True)
        pairs += zip(inputs.ratings["image_id"], ROUND_TAG + inputs.ratings["round_id"], strict=True)
    if inputs.index is not None:
        pairs += zip(inputs.index["image_id"], inputs.index["split"], strict=True)
    if inputs.slices is not None:
        pairs += zip(inputs.slices["image_id"], SLICE_TAG + inputs.slices["slice"], strict=True)
    for image_id, tag in pairs:
        if image_id in tags:
            tags[image_id].add(tag)
    return tags


def image_figures(inputs: ReviewInputs) -> dict[str, ByImage]:
    """Field name -> values by image, `iou` apart; undefined values (NaN) are left out."""
    figures = {"duplicate_group": _by_image(inputs.catalog.set_index("image_id")["duplicate_group"])}
    if inputs.ratings is not None:
        figures["round"] = _by_image(inputs.ratings.groupby("image_id")["round_id"].max())
    if inputs.agreement is not None:
        figures["agreement"] = _by_image(inputs.agreement.groupby("image_id")["agreement"].mean())
    if inputs.scores is not None:
        figures["uncertainty"] = _by_image(inputs.scores.set_index("image_id")["uncertainty"])
    if inputs.next_batch is not None:
        figures["next_batch"] = _by_image(inputs.next_batch.set_index("image_id")["rank"])
    if inputs.label_errors is not None:
        whole = inputs.label_errors[inputs.label_errors["kind"] == "image"]
        figures["label_error"] = _by_image(whole.groupby("image_id")["score"].max())
    if inputs.surprise is not None:
        figures["surprise"] = _by_image(inputs.surprise.sort_values("round_id").groupby("image_id")["surprise"].last())
    if inputs.doubts is not None:
        figures["contested"] = _by_image(inputs.doubts.groupby("image_id").size())
    figures["gold_iou"] = gold_iou(inputs)
    if inputs.reviews is not None:
        reviewed = inputs.reviews.set_index("image_id")
        figures.update({field: _by_image(reviewed[field]) for field in REVIEW_FIELDS})
    return figures


def gold_iou(inputs: ReviewInputs) -> ByImage:
    """image_id -> mean over the people whom it judges of the mean IoU of their label map with gold, as `map_iou`."""
    if inputs.gold is None or inputs.ratings is None or inputs.regions is None:
        return {}
    drawn = dict(iter(inputs.regions.groupby("annotation_id")))
    truth = {image_id: rows[rows["rle"] != ""] for image_id, rows in inputs.gold.groupby("image_id")}
    found: dict[str, list[float]] = {}
    judging = inputs.ratings if inputs.judging is None else inputs.judging
    for row in judging[judging["image_id"].isin(list(truth))].to_dict("records"):
        size = (int(row["height"]), int(row["width"]))
        true = _painted(truth[row["image_id"]], size, inputs.guidelines)
        theirs = _painted(drawn.get(row["annotation_id"]), size, inputs.guidelines)
        value = map_iou(true, theirs, inputs.guidelines)
        if value is not None:
            found.setdefault(row["image_id"], []).append(value)
    return {image_id: float(np.mean(values)) for image_id, values in found.items()}


def _painted(regions: pd.DataFrame | None, size: tuple[int, int], guidelines: Guidelines) -> npt.NDArray[np.uint8]:
    # where gold does not know the class it has no label
    known = {"": IGNORE_ID, **{item.name: item.id for item in guidelines.classes}}
    rows = [] if regions is None else zip(regions["label"], regions["rle"], strict=True)
    return label_map([(known[label], rle) for label, rle in rows if label in known], *size)


def label_map_paths(folder: Path | None, image_ids: Iterable[str]) -> dict[str, Path]:
    """Absolute path of <image_id>.png of every image that has one in `folder`."""
    if folder is None:
        return {}
    present = {path.stem: path.absolute() for path in folder.glob("*.png")}
    return {image_id: present[image_id] for image_id in image_ids if image_id in present}


def map_iou(truth: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8], guidelines: Guidelines) -> float | None:
    """Mean IoU of a (H, W) map of class ids with the truth, in [0, 1], over the classes in the truth.

    Background is one of the classes, as in the reports; pixels of value 255 in the truth are not judged. None where no
    pixel is. ValueError where the two maps differ in shape or hold an unknown class.
    """
    positions = _class_positions(guidelines)
    value = float(mean_iou(confusion_matrix(positions[truth], positions[other], len(guidelines.classes) + 1)))
    return None if np.isnan(value) else value


def _class_positions(guidelines: Guidelines) -> npt.NDArray[np.int64]:
    """(256,) place of each pixel value: 0 background, then the classes; 255 stays, unknown values get -1."""
    positions = np.full(256, -1, dtype=np.int64)
    positions[0] = 0
    for place, item in enumerate(guidelines.classes, start=1):
        positions[item.id] = place
    positions[IGNORE_ID] = IGNORE_ID
    return positions


def _by_image(column: "pd.Series[Any]") -> ByImage:
    """Plain Python values, which is what a database wants, of a column with image_id as its index."""
    known = column.dropna()
    return dict(zip(known.index, known.tolist(), strict=True))
