"""One set of objects out of several people's: clusters by overlap, class and pixels by skill-weighted vote."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from datalab.masks import BoolMask, iou_matrix, mask_to_rle, rle_to_mask
from datalab.quality.agreement import RatedImage
from datalab.quality.matching import match_regions


@dataclass(frozen=True)
class Merged:
    """One object of the consensus. `agreement`: mean IoU of the members' masks with the result."""

    label: str
    rle: str
    votes: int
    agreement: float


@dataclass
class _Cluster:
    members: list[tuple[str, str, str]]
    """(annotator, label, rle), one per annotator."""


def merge_image(rated: Sequence[RatedImage], skills: dict[str, float], iou_threshold: float) -> list[Merged]:
    """The objects that more than half of the raters drew.

    One rater: taken as is. Two: both must have drawn it. The class is voted by skill; a pixel is inside where the
    skill of those who drew it exceeds half of the cluster's, so a tie is background; where nothing is left of it, the
    mask of the most skilled member stands.
    """
    weights = {one.annotator: max(skills.get(one.annotator, 0.5), 1e-6) for one in rated}
    clusters = _clusters(sorted(rated, key=lambda one: (-weights[one.annotator], one.annotator)), iou_threshold)
    kept = [cluster for cluster in clusters if 2 * len(cluster.members) > len(rated)]
    return [_merge(cluster, weights, rated[0].height, rated[0].width) for cluster in kept]


def _clusters(rated: Sequence[RatedImage], iou_threshold: float) -> list[_Cluster]:
    """Objects of the most skilled first; every further person's objects join the cluster whose first mask they fit."""
    clusters: list[_Cluster] = []
    for one in rated:
        seeds = [cluster.members[0][1:] for cluster in clusters]
        matching = match_regions(seeds, one.regions, one.height, one.width, iou_threshold)
        for match in (*matching.matches, *matching.confusions):
            clusters[match.left].members.append((one.annotator, *one.regions[match.right]))
        clusters += [_Cluster([(one.annotator, *one.regions[place])]) for place in matching.only_right]
    return clusters


def _merge(cluster: _Cluster, weights: dict[str, float], height: int, width: int) -> Merged:
    masks = [rle_to_mask(rle, height, width) for _, _, rle in cluster.members]
    voices = [weights[annotator] for annotator, _, _ in cluster.members]
    mask = _vote(masks, voices)
    rle = mask_to_rle(mask)
    overlap = iou_matrix([rle], [member for _, _, member in cluster.members], height, width)
    return Merged(_label(cluster, voices), rle, len(cluster.members), float(overlap.mean()))


def _vote(masks: Sequence[BoolMask], voices: Sequence[float]) -> BoolMask:
    share = np.tensordot(np.array(voices), np.stack(masks), axes=1) / sum(voices)
    # rounding: equal voices must tie, whatever their sum
    inside: BoolMask = share > 0.5 + 1e-9
    return inside if inside.any() else masks[int(np.argmax(voices))]


def _label(cluster: _Cluster, voices: Sequence[float]) -> str:
    tally: dict[str, float] = {}
    for (_, label, _), voice in zip(cluster.members, voices, strict=True):
        tally[label] = tally.get(label, 0.0) + voice
    return max(tally, key=lambda label: tally[label])
