"""The model's prediction beside the consensus of one image: how well they fit, and which objects were predicted."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from datalab.adapters.files import read_label_map
from datalab.adapters.review_figures import map_iou
from datalab.config import Guidelines
from datalab.errors import InputError
from datalab.masks import IGNORE_ID, BoolMask, connected_crops, crop_to_rle

LEAST_IOU = 0.5
"""Of two masks of one class; with less they are not the same object."""
LEAST_SHARE = 0.0005
"""Of the image, as for the model as a voter: a smaller object, 153 pixels of 640x480, is a speck, which counts where it
has a partner on the other side and for nobody where it has none."""
MOST_OBJECTS = 1000
"""Of an image, the largest of those without a partner: a prediction that falls to pieces stops neither a review nor the
browser that draws them. What has a partner is never left out, or the consensus would seem to be missed."""
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
    limits = (LEAST_IOU, LEAST_SHARE, MOST_OBJECTS, JUDGED_SHARE)
    rules = (*limits, [(item.id, item.name) for item in guidelines.classes])
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

    Parts that have a partner in the (H, W) map `truth` are all there. Of the others, the MOST_OBJECTS largest are,
    without specks and without those that lie mostly on pixels that are not judged, 255 in `truth`.
    """
    judged = truth != IGNORE_ID
    parts = [
        part
        for item in guidelines.classes
        for part in _parts(item.name, truth == item.id, predicted == item.id, judged)
    ]
    parts.sort(key=_falling)
    shared = [part for part in parts if part.has_partner]
    alone = [part for part in parts if not part.has_partner][:MOST_OBJECTS]
    return [(part.name, part.rle) for part in sorted([*shared, *alone], key=_falling)]


@dataclass(frozen=True)
class _Part:
    """A connected part of what was predicted of one class."""

    name: str
    """Of the class."""
    area: int
    rle: str
    has_partner: bool


def _falling(part: _Part) -> int:
    return -part.area


def _parts(name: str, truth: BoolMask, predicted: BoolMask, judged: BoolMask) -> Iterator[_Part]:
    """Of the class of this name, what may count; all masks are (H, W)."""
    _, numbers = cv2.connectedComponents(truth.astype(np.uint8), connectivity=8)
    sizes = np.bincount(numbers.ravel())
    speck = LEAST_SHARE * truth.size
    # nothing smaller can be the partner of the smallest piece, and a prediction may be all specks
    for area, top, left, crop in connected_crops(predicted, min([speck, *LEAST_IOU * sizes[1:]])):
        inside = slice(top, top + crop.shape[0]), slice(left, left + crop.shape[1])
        shared = np.bincount(numbers[inside][crop], minlength=1)
        unions = area + sizes[: len(shared)] - shared
        # the first is what lies outside of every piece
        has_partner = bool((shared[1:] >= LEAST_IOU * unions[1:]).any())
        counts = area >= speck and judged[inside][crop].mean() >= JUDGED_SHARE
        if has_partner or counts:
            yield _Part(name, area, crop_to_rle(crop, top, left, *predicted.shape), has_partner)
