"""Everything the selection wants to know about one image, from the committee's probabilities."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from datalab.errors import InputError
from datalab.learning.uncertainty import (
    Map,
    boundary_focused,
    committee_votes,
    entropy,
    expected_wrong_pixels,
    focus,
    image_score,
    least_confidence,
    margin,
    mutual_information,
    objects_in,
    per_region,
    top_share,
    view_disagreement,
)

Floats = npt.NDArray[np.float64]
LEAST_REGION = 4
"""Pixels; smaller pieces of a prediction are specks."""


@dataclass(frozen=True)
class Lens:
    """What counts as unsure, and where."""

    measure: str
    """One of MEASURES."""
    reduce: str
    """One of REDUCTIONS."""
    views: int
    """Ways in which the image was shown; members are ordered view by view."""
    band: int
    """How far beyond a predicted object, or off a boundary, still counts in full, in pixels of the probabilities."""
    elsewhere: float
    """Weight of the rest, 0 to 1."""
    window: int
    """Side of the square over which uncertainty is averaged, in pixels of the probabilities."""
    top: float
    """Share of the windows or pixels whose mean is the image's score."""


@dataclass(frozen=True)
class Evidence:
    """One image."""

    uncertainty: float
    """The acquisition score, in [0, 1]; larger = less sure."""
    margin: float
    """How far the two best classes are apart where they are closest, in [0, 1]."""
    wrong_pixels: float
    """Expected share of wrong pixels, in [0, 1]."""
    objects: int
    """Connected pieces of the prediction."""
    class_scores: Floats
    """(K,) how much there is to learn about each class; 0 for background."""
    residual: Floats
    """(K,) mean of probability - predicted class over the unsure pixels: the gradient of the last layer's bias."""


Measure = Callable[[Map, Lens], Map]
MEASURES: dict[str, Measure] = {
    "mutual_information": lambda members, lens: mutual_information(members),
    "entropy": lambda members, lens: entropy(members.mean(axis=0)),
    "margin": lambda members, lens: margin(members.mean(axis=0)),
    "least_confidence": lambda members, lens: least_confidence(members.mean(axis=0)),
    "committee": lambda members, lens: committee_votes(members),
    "augmentation": lambda members, lens: view_disagreement(members, lens.views),
    "boundary": lambda members, lens: boundary_focused(members.mean(axis=0), lens.band),
}
"""(M, K, H, W) probabilities to an uncertainty (H, W) in [0, 1]. "mutual_information" is BALD: over heads and views."""

Reduction = Callable[[Map, Map, Lens], float]
REDUCTIONS: dict[str, Reduction] = {
    "top_windows": lambda unsure, mean, lens: image_score(
        unsure, focus(mean, lens.band, lens.elsewhere), lens.window, lens.top
    ),
    "mean": lambda unsure, mean, lens: float(unsure.mean()),
    "top_share": lambda unsure, mean, lens: top_share(unsure * focus(mean, lens.band, lens.elsewhere), lens.top),
    "region": lambda unsure, mean, lens: per_region(unsure, mean.argmax(axis=0), LEAST_REGION),
    "wrong_pixels": lambda unsure, mean, lens: expected_wrong_pixels(mean),
}
"""Uncertainty (H, W) and mean probabilities (K, H, W) to one number; "wrong_pixels" looks at the latter alone."""


OF_A_COMMITTEE = ("mutual_information", "committee")
"""Measures of how far members disagree, which one alone cannot."""


def check_lens(lens: Lens) -> None:
    """InputError where a name is unknown or a number out of range."""
    for kind, name, known in (("measure", lens.measure, MEASURES), ("reduce", lens.reduce, REDUCTIONS)):
        if name not in known:
            raise InputError(f"score.{kind} is {name!r}; known: {', '.join(known)}")
    if lens.measure == "augmentation" and lens.views < 2:
        raise InputError("score.measure augmentation needs score.flip: true, else there is one view of each image")
    for name, least in (("band", 0), ("window", 1)):
        if getattr(lens, name) < least:
            raise InputError(f"score.{name} must be {least} or more, got {getattr(lens, name)}")
    for name in ("elsewhere", "top"):
        if not 0 <= getattr(lens, name) <= 1:
            raise InputError(f"score.{name} must be within 0 and 1, got {getattr(lens, name)}")


def evidence_of(members: Map, lens: Lens) -> Evidence:
    """What the committee's probabilities (M, K, H, W) say about an image.

    InputError where they are not finite, or where one member is to disagree with itself.
    """
    if len(members) < 2 and lens.measure in OF_A_COMMITTEE:
        raise InputError(
            f"score.measure {lens.measure} needs two members that can disagree: set score.flip: true or train.members "
            "to 2 or more (Mask R-CNN has but one); or take score.measure: entropy"
        )
    if not np.isfinite(members).all():
        raise InputError("the model gives probabilities that are not finite; train again with a lower learning rate")
    mean = members.mean(axis=0)
    predicted = mean.argmax(axis=0)
    unsure = MEASURES[lens.measure](members, lens)
    everywhere = np.ones_like(unsure)
    by_class = [
        0.0,
        *(image_score(mean[one] * unsure, everywhere, lens.window, lens.top) for one in range(1, len(mean))),
    ]
    weights = unsure / max(float(unsure.sum()), 1e-9)
    gap = mean - (predicted[None] == np.arange(len(mean))[:, None, None])
    return Evidence(
        uncertainty=REDUCTIONS[lens.reduce](unsure, mean, lens),
        margin=1 - image_score(margin(mean), everywhere, lens.window, lens.top),
        wrong_pixels=expected_wrong_pixels(mean),
        objects=objects_in(predicted, LEAST_REGION),
        class_scores=np.asarray(by_class, dtype=np.float64),
        residual=np.asarray((gap * weights).sum(axis=(1, 2)), dtype=np.float64),
    )
