"""Labels that are probably wrong, judged by a model that has not seen them.

A label map is (h, w) of class positions, 0 background, 255 not judged. `probabilities` is (K, h, w) of a model that was
trained without this image (out of fold); K counts background. Objects are connected pixels of one class.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from datalab.masks import IGNORE_ID, BoolMask

Labels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

SEEN = 0.25
"""Share of an object that the model has to see as what it is called; then at most its outline is wrong."""
NEIGHBOURS = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class Suspect:
    """One object that may be wrong."""

    kind: str
    """"swapped": of another class; "spurious": nothing is there; "dropped": the object is not in the labels; "outline":
    the outline lies elsewhere."""
    given: int
    """Class position in the labels."""
    suggested: int
    """Class position the model sees."""
    score: float
    """In [0, 1], larger = more surely wrong."""
    mask: BoolMask
    """(h, w)."""

    @property
    def box_xywh(self) -> tuple[int, int, int, int]:
        """The tight box of the mask in its own pixels."""
        rows, columns = np.flatnonzero(self.mask.any(axis=1)), np.flatnonzero(self.mask.any(axis=0))
        return int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1


def class_confidence(labels: Sequence[Labels], probabilities: Sequence[npt.NDArray[np.floating]]) -> Floats:
    """(K,): the mean probability of a class on the pixels that carry its label, over all images; 1 where it has none.

    Confident learning's thresholds (Northcutt, Jiang & Chuang 2021): a class the model is modest about needs less.
    """
    classes = probabilities[0].shape[0]
    sums, counts = np.zeros(classes), np.zeros(classes)
    for each, chances in zip(labels, probabilities, strict=True):
        judged = each != IGNORE_ID
        own = np.take_along_axis(chances, np.where(judged, each, 0)[None].astype(np.intp), axis=0)[0]
        sums += np.bincount(each[judged], weights=own[judged], minlength=classes)
        counts += np.bincount(each[judged], minlength=classes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), 1.0)


def adjust(probabilities: npt.NDArray[np.floating], confidence: Floats) -> Floats:
    """Probabilities (K, h, w) in proportion to what each class usually gets, summing to 1."""
    raised = probabilities / np.maximum(confidence, 0.05)[:, None, None]
    return np.asarray(raised / raised.sum(axis=0), dtype=np.float64)


def image_quality(labels: Labels, probabilities: npt.NDArray[np.floating]) -> float:
    """cleanlab's score of an image in [0, 1], low = suspicious: softmin over its pixels' own probabilities.

    Pixels that are not judged count as right, since cleanlab knows no such label.
    """
    from cleanlab.segmentation.rank import get_label_quality_scores  # noqa: PLC0415  (keeps the stages' imports quick)

    known = np.where(labels == IGNORE_ID, probabilities.argmax(axis=0), labels).astype(np.int64)
    scores, _ = get_label_quality_scores(known[None], probabilities[None].astype(np.float64), verbose=False)
    return float(scores[0])


def object_disagreement(labels: Labels, probabilities: npt.NDArray[np.floating]) -> float:
    """Share, in [0, 1], of the pixels that labels or model give to an object and on whose class they differ.

    0 where neither sees an object. Pixels that are not judged do not count.
    """
    predicted = probabilities.argmax(axis=0)
    either = ((labels > 0) | (predicted > 0)) & (labels != IGNORE_ID)
    return float(np.mean(labels[either] != predicted[either])) if either.any() else 0.0


def find_suspects(labels: Labels, probabilities: npt.NDArray[np.floating], least_area: int) -> list[Suspect]:
    """Every object of `labels` with how wrong it looks, and every object the model sees that `labels` lacks.

    Objects of fewer than `least_area` pixels are left out: at the model's resolution they are noise.
    """
    found = [*_given(labels, probabilities, least_area), *_lacking(labels, probabilities, least_area)]
    return sorted(found, key=lambda suspect: -suspect.score)


def _given(labels: Labels, probabilities: npt.NDArray[np.floating], least_area: int) -> Iterator[Suspect]:
    predicted = probabilities.argmax(axis=0)
    for given in sorted(set(np.unique(labels).tolist()) - {0, IGNORE_ID}):
        same = labels == given
        for mask in _objects(same, least_area):
            mean = probabilities[:, mask].mean(axis=1)
            others = np.delete(np.arange(len(mean)), given)
            rival = int(others[mean[others].argmax()])
            if mean[rival] > mean[given] and np.mean(predicted[mask] == given) < SEEN:
                score = (1 + mean[rival] - mean[given]) / 2
                yield Suspect("swapped" if rival else "spurious", given, rival, float(score), mask)
            else:
                yield Suspect("outline", given, given, 1 - _fit(mask, same, probabilities[given]), mask)


def _fit(mask: BoolMask, same: BoolMask, chance: npt.NDArray[np.floating]) -> float:
    """Soft IoU of an object and its class's probability nearby, other objects of the class left out."""
    reach = max(2, round(np.sqrt(mask.sum()) / 3))
    near = ndimage.binary_dilation(mask, NEIGHBOURS, iterations=reach) & ~(same & ~mask)
    inside, around = float(chance[mask].sum()), float(chance[near].sum())
    return inside / (float(mask.sum()) + around - inside)


def _lacking(labels: Labels, probabilities: npt.NDArray[np.floating], least_area: int) -> Iterator[Suspect]:
    predicted = probabilities.argmax(axis=0)
    judged = labels != IGNORE_ID
    for suggested in range(1, len(probabilities)):
        for mask in _objects((predicted == suggested) & (labels != suggested) & judged, least_area):
            given = int(np.bincount(labels[mask]).argmax())
            margin = probabilities[suggested][mask].mean() - probabilities[given][mask].mean()
            yield Suspect("swapped" if given else "dropped", given, suggested, float((1 + margin) / 2), mask)


def _objects(inside: BoolMask, least_area: int) -> Iterator[BoolMask]:
    numbered, count = ndimage.label(inside, structure=NEIGHBOURS)
    areas = np.bincount(numbered.ravel(), minlength=count + 1)
    for number in range(1, count + 1):
        if areas[number] >= least_area:
            yield numbered == number
