"""Labels that are probably wrong, judged by a model that has not seen them.

A label map is (h, w) of class positions, 0 background, 255 not judged. `probabilities` is (K, h, w) of a model that was
trained without this image (out of fold); K counts background. Objects are connected pixels of one class.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from datalab.masks import IGNORE_ID, BoolMask

Labels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

LEAST_OBJECTS = 30
CALIBRATION_FOLDS = 5
LEAST_CHANCE = 1e-3
"""Added before the logarithm: what the model is surer about than this is the same to us."""
SEEN = 0.25
"""Share of an object that the model has to see as what it is called; then at most its outline is wrong."""
MOSTLY = 0.5
"""Share of an object."""
NEIGHBOURS = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class Suspect:
    """One object of the labels or of the model, and how wrong its label looks."""

    kind: str
    """"swapped": of another class; "spurious": nothing is there; "dropped": the object is not in the labels; "outline":
    the outline lies elsewhere."""
    given: int
    """Class position in the labels."""
    suggested: int
    """Class position the model sees."""
    score: float
    """In [0, 1], larger = more surely wrong."""
    where: tuple[slice, slice]
    """The tight box of the object: rows, columns."""
    mask: BoolMask
    """(height, width) of that box: of thousands of images only the objects are kept."""
    seen: Floats
    """(K,): the mean probability of each class on the object."""

    @property
    def box_xywh(self) -> tuple[int, int, int, int]:
        """The tight box in pixels of the label map."""
        rows, columns = self.where
        return columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start


def image_quality(labels: Labels, probabilities: npt.NDArray[np.floating]) -> float:
    """cleanlab's score of an image in [0, 1], low = suspicious: softmin over its pixels' own probabilities.

    Pixels that are not judged count as right, since cleanlab knows no such label.
    """
    from cleanlab.segmentation.rank import get_label_quality_scores  # noqa: PLC0415  (keeps the stages' imports quick)

    known = np.where(labels == IGNORE_ID, probabilities.argmax(axis=0), labels).astype(np.int64)
    scores, _ = get_label_quality_scores(known[None], probabilities[None].astype(np.float64), verbose=False)
    return float(scores[0])


def object_disagreement(labels: Labels, probabilities: npt.NDArray[np.floating]) -> float:
    """The `disagreement` of labels and model."""
    return disagreement(labels, probabilities.argmax(axis=0))


def disagreement(labels: Labels, predicted: npt.NDArray[np.integer]) -> float:
    """Share, in [0, 1], of the pixels that labels or model give to an object and on whose class they differ.

    `predicted`: (h, w) in the numbers of the labels, class ids or positions, 0 background. 0 where neither sees an
    object. Pixels that are not judged do not count.
    """
    either = ((labels > 0) | (predicted > 0)) & (labels != IGNORE_ID)
    return float(np.mean(labels[either] != predicted[either])) if either.any() else 0.0


def of_known_classes(labels: Labels, known: Collection[int]) -> Labels:
    """The labels, not judged where their class is none of `known`: a model that never saw it could only deny it."""
    return np.where(np.isin(labels, list(known)), labels, IGNORE_ID).astype(np.uint8)


def find_suspects(labels: Labels, probabilities: npt.NDArray[np.floating], least_area: int) -> list[Suspect]:
    """Every object of `labels` with how wrong it looks, and every object the model sees that `labels` lacks.

    Objects of fewer than `least_area` pixels are left out: at the model's resolution they are noise. What the model
    sees mostly where an object is suspected to be just that is the same doubt, and not told twice.
    """
    given = list(_given(labels, probabilities, least_area))
    swapped = [one for one in given if one.kind == "swapped"]
    lacking = [one for one in _lacking(labels, probabilities, least_area) if not _told(one, swapped, labels.shape)]
    return sorted([*given, *lacking], key=lambda suspect: -suspect.score)


def calibrate(suspects: Sequence[Sequence[Suspect]]) -> list[list[Suspect]]:
    """The suspects of every image with scores that know what the model is usually wrong about, worst first.

    A model sees many a pole as a building. So a logistic regression learns, over all objects, which label goes with
    what the model sees on an object (`seen`), leaving the object's own image out; the score of a doubt about the class
    is 1 - the probability of the given label. Doubts about outlines stay as they are, and so does what the images
    outside of a fold say nothing about. With fewer than LEAST_OBJECTS objects, or one label alone, everything stays.
    """
    flat = [(place, one) for place, found in enumerate(suspects) for one in found]
    given = np.array([one.given for _, one in flat])
    images = np.array([place for place, _ in flat])
    if len(flat) < LEAST_OBJECTS or len(set(given.tolist())) < 2 or len(set(images.tolist())) < CALIBRATION_FOLDS:
        return [list(found) for found in suspects]
    chances = _label_given_seen(np.stack([one.seen for _, one in flat]), given, images)
    scored: list[list[Suspect]] = [[] for _ in suspects]
    for (place, one), chance in zip(flat, chances.tolist(), strict=True):
        stays = one.kind == "outline" or math.isnan(chance)
        scored[place].append(one if stays else replace(one, score=1 - chance))
    return [sorted(found, key=lambda one: -one.score) for found in scored]


def _label_given_seen(seen: Floats, given: npt.NDArray[np.int64], images: npt.NDArray[np.int64]) -> Floats:
    """(objects,): the probability of each object's own label, by regressions that have not seen its image.

    NaN where they have seen no object of that label, or no other label.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415  (a second)
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    features = np.log(seen + LEAST_CHANCE)
    own = np.full(len(given), np.nan)
    folds = images % CALIBRATION_FOLDS
    for fold in range(CALIBRATION_FOLDS):
        inside, others = folds == fold, folds != fold
        if not inside.any() or len(set(given[others].tolist())) < 2:
            continue
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(features[others], given[others])
        columns = {int(label): column for column, label in enumerate(model[-1].classes_)}
        found = model.predict_proba(features[inside])
        own[inside] = [
            row[columns[int(label)]] if int(label) in columns else np.nan
            for row, label in zip(found, given[inside], strict=True)
        ]
    return own


def _given(labels: Labels, probabilities: npt.NDArray[np.floating], least_area: int) -> Iterator[Suspect]:
    predicted = probabilities.argmax(axis=0)
    for given in sorted(set(np.unique(labels).tolist()) - {0, IGNORE_ID}):
        same = labels == given
        for where, mask in _objects(same, least_area):
            mean = np.asarray(probabilities[:, mask].mean(axis=1), dtype=np.float64)
            others = np.delete(np.arange(len(mean)), given)
            rival = int(others[mean[others].argmax()])
            if mean[rival] > mean[given] and np.mean(predicted[mask] == given) < SEEN:
                kind, score = "swapped" if rival else "spurious", (1 + mean[rival] - mean[given]) / 2
                yield Suspect(kind, given, rival, float(score), where, mask[where].copy(), mean)
            else:
                misfit = 1 - _fit(mask, same, probabilities[given])
                yield Suspect("outline", given, given, misfit, where, mask[where].copy(), mean)


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
        for where, mask in _objects((predicted == suggested) & (labels != suggested) & judged, least_area):
            given = int(np.bincount(labels[mask]).argmax())
            mean = np.asarray(probabilities[:, mask].mean(axis=1), dtype=np.float64)
            score = (1 + mean[suggested] - mean[given]) / 2
            kind = "swapped" if given else "dropped"
            yield Suspect(kind, given, suggested, float(score), where, mask[where].copy(), mean)


def _told(lacking: Suspect, swapped: Sequence[Suspect], shape: tuple[int, ...]) -> bool:
    covered = np.zeros(shape, dtype=bool)
    for one in swapped:
        if (one.given, one.suggested) == (lacking.given, lacking.suggested):
            covered[one.where] |= one.mask
    return bool(covered[lacking.where][lacking.mask].mean() > MOSTLY)


def _objects(inside: BoolMask, least_area: int) -> Iterator[tuple[tuple[slice, slice], BoolMask]]:
    """(tight box, (h, w) mask) of each."""
    numbered, count = ndimage.label(inside, structure=NEIGHBOURS)
    areas = np.bincount(numbered.ravel(), minlength=count + 1)
    for number, (rows, columns) in enumerate(ndimage.find_objects(numbered), start=1):
        if areas[number] >= least_area:
            yield (rows, columns), numbered == number
