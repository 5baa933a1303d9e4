"""ObjectLab's three doubts about the objects of an image, on masks: overlooked, swapped, badly located.

Tkachenko, Thyagarajan & Mueller 2023, as cleanlab has it for boxes (`cleanlab.object_detection.rank`). Here the overlap
is that of masks, and an object is what is connected. A label map is (h, w) of class positions, 0 background, 255 not
judged; `probabilities` is (K, h, w) of a model that has not seen the labels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.special import softmax

from datalab.masks import IGNORE_ID, BoolMask

Labels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

SUBTYPES = ("overlooked", "swap", "badloc")
OVERLAP_WEIGHT = 0.9
"""Of the overlap in a similarity; the rest is nearness. This and the numbers below are cleanlab's."""
NEARNESS = 0.1
"""exp(-this * pixels between the centres of two boxes)."""
SURE = 0.95
"""A predicted object counts as evidence of an overlooked or swapped one from this mean probability on."""
LIKELY = 0.5
"""The same of a badly located one."""
TEMPERATURE = 0.1
NEIGHBOURS = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class Doubt:
    """How doubtful one object is."""

    subtype: str
    """One of SUBTYPES; "overlooked" is about a predicted object, the others about a labelled one."""
    label: int
    """Class position of the object."""
    score: float
    """1 - ObjectLab's score, in [0, 1], larger = more surely wrong."""
    box_xywh: tuple[int, int, int, int]


@dataclass(frozen=True)
class Objects:
    """Connected pixels of one class, of labels or prediction."""

    labels: npt.NDArray[np.int64]
    chances: Floats
    """Mean probability of the own class; 1 for labels."""
    boxes: npt.NDArray[np.int64]
    """(n, 4): x, y, width, height."""


@dataclass(frozen=True)
class Pairing:
    """Labelled objects of an image against predicted ones, (labelled, predicted)."""

    given: Objects
    predicted: Objects
    overlap: Floats
    similarity: Floats


def pair_objects(labels: Labels, probabilities: npt.NDArray[np.floating], least_area: int) -> Pairing:
    """The labelled objects of one image against the predicted ones, those below `least_area` pixels left out."""
    judged = labels != IGNORE_ID
    given, where_given = _objects(np.where(judged, labels, 0), None, least_area)
    predicted, where_predicted = _objects(np.where(judged, probabilities.argmax(axis=0), 0), probabilities, least_area)
    rows, columns = len(given.labels) + 1, len(predicted.labels) + 1
    cells = np.bincount((where_given * columns + where_predicted).ravel(), minlength=rows * columns)
    shared = cells.reshape(rows, columns)
    union = shared.sum(axis=1)[1:, None] + shared.sum(axis=0)[None, 1:] - shared[1:, 1:]
    overlap = np.asarray(shared[1:, 1:] / np.maximum(union, 1), dtype=np.float64)
    centres = [one.boxes[:, :2] + one.boxes[:, 2:] / 2 for one in (given, predicted)]
    apart = np.linalg.norm(centres[0][:, None] - centres[1][None], axis=2)
    return Pairing(
        given, predicted, overlap, OVERLAP_WEIGHT * overlap + (1 - OVERLAP_WEIGHT) * np.exp(-NEARNESS * apart)
    )


def object_lab(pairs: Sequence[Pairing]) -> list[list[Doubt]]:
    """The doubts of every image, given the objects of each (`pair_objects`).

    A labelled object is doubted twice, once as swapped and once as badly located, and a predicted one as overlooked
    where it is SURE and touches no labelled object.
    """
    least = min((float(pair.similarity[pair.similarity > 0].min(initial=1.0)) for pair in pairs), default=1.0)
    return [[*_overlooked(pair, least), *_swapped(pair, least), *_badly_located(pair)] for pair in pairs]


def image_doubt(doubts: Sequence[Doubt]) -> float:
    """Of a whole image, in [0, 1]: 1 - the geometric mean of the subtypes' softmin, as ObjectLab pools them."""
    pooled = [_softmin(np.array([1 - one.score for one in doubts if one.subtype == name])) for name in SUBTYPES]
    return 1 - float(np.prod(pooled) ** (1 / len(SUBTYPES)))


def _softmin(scores: Floats) -> float:
    return float(scores @ softmax((1 - scores) / TEMPERATURE)) if len(scores) else 1.0


def _overlooked(pair: Pairing, least: float) -> Iterator[Doubt]:
    for place, label in enumerate(pair.predicted.labels.tolist()):
        chance = float(pair.predicted.chances[place])
        if chance < SURE or (pair.overlap[:, place] > 0).any():
            continue
        near = pair.similarity[pair.given.labels == label, place]
        yield _doubt("overlooked", pair.predicted, place, float(near.max()) if len(near) else least * (1 - chance))


def _swapped(pair: Pairing, least: float) -> Iterator[Doubt]:
    for place, label in enumerate(pair.given.labels.tolist()):
        rivals = (pair.predicted.labels != label) & (pair.predicted.chances > SURE)
        closest = float(pair.similarity[place, rivals].max()) if rivals.any() else 0.0
        yield _doubt("swap", pair.given, place, max(least, 1 - closest) if rivals.any() else 1.0)


def _badly_located(pair: Pairing) -> Iterator[Doubt]:
    for place, label in enumerate(pair.given.labels.tolist()):
        like = (pair.predicted.labels == label) & (pair.predicted.chances > LIKELY) & (pair.overlap[place] > 0)
        yield _doubt("badloc", pair.given, place, float(pair.similarity[place, like].max()) if like.any() else 1.0)


def _doubt(subtype: str, objects: Objects, place: int, quality: float) -> Doubt:
    x, y, width, height = objects.boxes[place].tolist()
    return Doubt(subtype, int(objects.labels[place]), 1 - quality, (x, y, width, height))


def _objects(
    classes: npt.NDArray[np.integer], probabilities: npt.NDArray[np.floating] | None, least: int
) -> tuple[Objects, npt.NDArray[np.int32]]:
    """And (h, w) which object each pixel is of: 0 for none, else place + 1."""
    numbered = np.zeros(classes.shape, dtype=np.int32)
    labels, chances, boxes = [], [], []
    for label in sorted(set(np.unique(classes).tolist()) - {0}):
        parts, _ = ndimage.label(classes == label, structure=NEIGHBOURS)
        for number, where in enumerate(ndimage.find_objects(parts), start=1):
            mask: BoolMask = parts[where] == number
            if mask.sum() < least:
                continue
            labels.append(label)
            numbered[where][mask] = len(labels)
            chances.append(1.0 if probabilities is None else float(probabilities[label][where][mask].mean()))
            boxes.append((where[1].start, where[0].start, mask.shape[1], mask.shape[0]))
    found = Objects(
        np.array(labels, dtype=np.int64),
        np.array(chances, dtype=np.float64),
        np.array(boxes, dtype=np.int64).reshape(-1, 4),
    )
    return found, numbered
