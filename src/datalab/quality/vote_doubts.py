"""Objects whose class the votes of several people and a model together leave in doubt: CROWDLAB, by cleanlab.

Goh, Tkachenko & Mueller 2022. Annotators and model are weighed by how well they agree with one another.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from datalab.masks import rle_to_mask
from datalab.quality.clusters import cluster_objects, voices_of
from datalab.quality.rated import RatedImage

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Voted:
    """One object as several people and the model see it."""

    votes: Mapping[str, int]
    """Annotator to class position; 0, background, of somebody who looked and did not draw it."""
    seen: npt.NDArray[np.float64]
    """(K,): the model's mean probability of each class on the object, background first; the model has not seen it."""


@dataclass(frozen=True)
class VoteDoubt:
    """What CROWDLAB makes of one object."""

    given: int
    """Class position that most people say; of a tie the one that the model finds more likely."""
    suggested: int
    """The most probable one."""
    score: float
    """1 - the probability of `given`, in [0, 1]."""


def voted_objects(
    rated: Sequence[RatedImage],
    positions: Mapping[str, int],
    probabilities: npt.NDArray[np.floating],
    iou_threshold: float,
) -> Iterator[tuple[Box, Voted]]:
    """(box in pixels of the prediction, votes) of every object that somebody drew on an image.

    `positions`: class name to its position in the (K, h, w) `probabilities`. Whoever rated the image and did not draw
    the object votes for background. Objects that no pixel of the prediction lies in are left out.
    """
    for cluster in cluster_objects(rated, voices_of(rated, {}), iou_threshold):
        mask = rle_to_mask(cluster.shapes[0], rated[0].height, rated[0].width).astype(np.float32)
        small = cv2.resize(mask, probabilities.shape[:0:-1], interpolation=cv2.INTER_AREA) >= 0.5
        if small.any():
            votes = {**dict.fromkeys((one.annotator for one in rated), 0), **_positions(cluster.ballot, positions)}
            x, y, width, height = cv2.boundingRect(small.astype(np.uint8))
            yield (
                (int(x), int(y), int(width), int(height)),
                Voted(votes, np.asarray(probabilities[:, small].mean(axis=1), dtype=np.float64)),
            )


def vote_doubts(objects: Sequence[Voted]) -> list[VoteDoubt]:
    """One per object, in order; none at all where no object has two votes, or where only one class was ever named."""
    table = pd.DataFrame([dict(one.votes) for one in objects]).astype("float64")
    if not (table.notna().sum(axis=1) > 1).any() or table.stack().nunique() < 2:
        return []
    from cleanlab.multiannotator import get_label_quality_multiannotator  # noqa: PLC0415  (seconds)

    found = get_label_quality_multiannotator(
        table[sorted(table.columns)],
        np.stack([one.seen / one.seen.sum() for one in objects]),
        consensus_method=["majority_vote", "best_quality"],
        return_detailed_quality=False,
        return_annotator_stats=False,
        verbose=False,
    )["label_quality"]
    columns = ("consensus_label", "consensus_label_best_quality", "consensus_quality_score")
    rows = zip(*(found[name].tolist() for name in columns), strict=True)
    return [VoteDoubt(int(given), int(suggested), 1 - float(quality)) for given, suggested, quality in rows]


def _positions(ballot: Sequence[tuple[str, str]], positions: Mapping[str, int]) -> dict[str, int]:
    return {annotator: positions[label] for annotator, label in ballot}
