"""What gold says of proposals: examples, as many as they count for, and how far a mean over their images may be off.

Gold images that hang together (near duplicates, frames of a clip, images of a patient) are one witness: they vary
together, and where a number is asked for they count for as many proposals as one of them has.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, sqrt

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from datalab.resampling import places_of, sum_units

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Examples:
    """Proposals on gold images, n of them."""

    scores: Floats
    """`gate_scores` of each."""
    true_iou: Floats
    """IoU with the gold object it fits best, 0 where it fits none."""
    named_iou: Floats
    """IoU with the gold object of its own class it fits best, 0 where there is none: what it is worth unchanged."""
    labels: tuple[str, ...]
    """The class each was given when it was proposed, "" for none."""
    image_ids: tuple[str, ...]
    groups: tuple[str, ...]
    """What the image of each hangs together with; an image that does with no other is a group by itself."""

    @property
    def counted(self) -> int:
        """As many as they count for: of every group the mean of its images, rounded down; frames repeat each other."""
        image_groups = dict(zip(self.image_ids, self.groups, strict=True))
        images, examples = Counter(image_groups.values()), Counter(self.groups)
        return floor(round(sum(examples[group] / images[group] for group in images), 6))

    def chosen(self, which: npt.NDArray[np.bool_]) -> "Examples":
        """Those of which (n,) `which` is true."""
        places = np.flatnonzero(which).tolist()
        return Examples(
            self.scores[which],
            self.true_iou[which],
            self.named_iou[which],
            tuple(self.labels[place] for place in places),
            tuple(self.image_ids[place] for place in places),
            tuple(self.groups[place] for place in places),
        )

    def of_class(self, label: str) -> "Examples":
        """Those that were given this class."""
        return self.chosen(are(self.labels, label))


def are(labels: Sequence[str], label: str) -> npt.NDArray[np.bool_]:
    """(n,) which of n classes are this one."""
    return np.array([one == label for one in labels], dtype=bool)


def mean_over_images(values: Floats, examples: Examples) -> tuple[float, Floats]:
    """The mean of the images' means of (n,) values, and its pseudo-values over groups (Tukey 1958).

    They vary as the mean does: (groups,), n times it less n - 1 times it without that group, which are the groups' own
    means where all have as many images. The mean alone of a single group.
    """
    images = dict(zip(examples.image_ids, examples.groups, strict=True))
    sums = sum_units(np.stack([values, np.ones(len(values))], axis=1), places_of(examples.image_ids))
    means = np.stack([sums[:, 0] / sums[:, 1], np.ones(len(sums))], axis=1)
    tops, bottoms = sum_units(means, places_of([images[image_id] for image_id in sorted(images)])).T
    groups, mean = len(tops), float(means[:, 0].mean()) if len(means) else 0.0
    if groups == 1:
        return mean, np.array([mean])
    return mean, groups * mean - (groups - 1) * (tops.sum() - tops) / (bottoms.sum() - bottoms)


def reach(values: Floats, level: float) -> float:
    """From the mean of two values or more to the end of Student's interval at this level, one side alone."""
    return float(stdtrit(len(values) - 1, level) * values.std(ddof=1) / sqrt(len(values)))


def on_gold(examples: int, counted: int, groups: int) -> str:
    """So many examples, which count for so many, in words."""
    if examples == counted:
        return f"{examples} proposals on {groups} gold images"
    return f"{examples} proposals (worth {counted}) on {groups} groups of gold images"
