"""The model's prediction beside the consensus of one image: how well they fit, and which objects were predicted."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from datalab.adapters.files import read_label_map
from datalab.adapters.review_figures import map_iou
from datalab.config import Guidelines
from datalab.errors import InputError
from datalab.learning.components import predicted_regions
from datalab.masks import IGNORE_ID, BoolMask, rle_to_crop

LEAST_SHARE = 0.0005
"""Of the image, as for the model as a voter: smaller components of a prediction are specks, 77 pixels of 480x320."""
MOST_OBJECTS = 100
"""Of an image, the largest ones: a prediction that falls to pieces does not stop a review."""
JUDGED_SHARE = 0.5
"""Of an object; with less of it judged, nobody can say whether it is right."""


@dataclass(frozen=True)
class Comparison:
    """How a prediction does on one image."""

    iou: float | None
    """Mean IoU in [0, 1] over the classes in the consensus, background one of them; None where no pixel is judged."""
    objects: list[tuple[str, str]]
    """(class name, rle) of what was predicted, largest first."""


def comparison_digest(consensus: Path, prediction: Path, guidelines: Guidelines) -> str:
    """12 hex digits that change when a comparison of the two label maps may come out otherwise."""
    rules = (LEAST_SHARE, MOST_OBJECTS, JUDGED_SHARE, [(item.id, item.name) for item in guidelines.classes])
    parts = [hashlib.sha256(path.read_bytes()).digest() for path in (consensus, prediction)]
    return hashlib.sha256(b"".join([*parts, repr(rules).encode()])).hexdigest()[:12]


def compare(consensus: Path, prediction: Path, guidelines: Guidelines) -> Comparison:
    """Compare two label maps; pixels of value 255 in the consensus are not judged.

    InputError where the two differ in size or hold an unknown class.
    """
    truth, predicted = read_label_map(consensus), read_label_map(prediction)
    try:
        iou = map_iou(truth, predicted, guidelines)
    except ValueError as exc:
        raise InputError(f"{prediction} does not fit {consensus}: {exc}; run dvc repro") from exc
    return Comparison(iou, predicted_objects(truth, predicted, guidelines))


def predicted_objects(
    truth: npt.NDArray[np.uint8], predicted: npt.NDArray[np.uint8], guidelines: Guidelines
) -> list[tuple[str, str]]:
    """(class name, rle) of the connected parts of a (H, W) map of class ids, largest first.

    Parts that lie mostly on pixels that are not judged, 255 in the (H, W) map `truth`, are left out.
    """
    names = {item.id: item.name for item in guidelines.classes}
    judged = truth != IGNORE_ID
    parts = predicted_regions(predicted, names, LEAST_SHARE, 1.0, MOST_OBJECTS)
    return [(name, rle) for name, rle in parts if _share_inside(judged, rle) >= JUDGED_SHARE]


def _share_inside(area: BoolMask, rle: str) -> float:
    """Share in [0, 1] of a mask's pixels that lie in the (H, W) `area`."""
    top, left, pixels = rle_to_crop(rle, area.shape[0])
    return float(area[top : top + pixels.shape[0], left : left + pixels.shape[1]][pixels].mean())
