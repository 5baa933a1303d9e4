"""One set of objects out of several people's: clusters by overlap, class and pixels by skill-weighted vote."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from datalab.masks import BoolMask, iou_matrix, mask_to_rle, rle_box_xywh, rle_to_mask
from datalab.quality.matching import match_regions
from datalab.quality.rated import RatedImage

ADJUDICATION = ("image_id", "region_id", "reason", "kept", "label", "rle", "height", "width", "votes", "raters")
"""Objects that a person has to decide about. `reason`: "existence" (just half of the raters drew it) or "class" (no
class has more than half of those who drew it); `kept`: whether it is in the consensus all the same."""

UNKNOWN_SKILL = 0.5
LEAST_SKILL = 1e-6
"""Somebody without any hit still decides where nobody else does."""
TIE = 1e-9
"""Rounding: equal voices must tie, whatever their sum."""


@dataclass(frozen=True)
class Merged:
    """One object of several people. `agreement`: mean IoU of the members' masks with the result."""

    label: str
    rle: str
    votes: int
    agreement: float
    doubt: str
    """"" or the reason for adjudication."""
    kept: bool


@dataclass
class _Cluster:
    members: list[tuple[str, str, str]]
    """(annotator, label, rle), one per annotator."""


def merge_image(rated: Sequence[RatedImage], skills: dict[str, float], iou_threshold: float) -> list[Merged]:
    """The objects that at least half of the raters drew; the consensus are those that are `kept`.

    More than half must have drawn it: both of two, two of three. Just half is left out, with a doubt. One rater is
    taken as is. The class is voted by skill; a tie is left out, with a doubt. A pixel is inside where the skill of
    those who drew it exceeds half of the cluster's, so a tie is background; where nothing is left of it, the mask of
    the most skilled member stands.
    """
    weights = {one.annotator: max(skills.get(one.annotator, UNKNOWN_SKILL), LEAST_SKILL) for one in rated}
    clusters = _clusters(sorted(rated, key=lambda one: (-weights[one.annotator], one.annotator)), iou_threshold)
    seconded = [cluster for cluster in clusters if 2 * len(cluster.members) >= len(rated)]
    return [_merge(cluster, len(rated), weights, rated[0].height, rated[0].width) for cluster in seconded]


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


def _merge(cluster: _Cluster, raters: int, weights: dict[str, float], height: int, width: int) -> Merged:
    shapes = [rle for _, _, rle in cluster.members]
    voices = [weights[annotator] for annotator, _, _ in cluster.members]
    rle = shapes[0] if len(shapes) == 1 else mask_to_rle(_vote(shapes, voices, height, width))
    overlap = iou_matrix([rle], shapes, height, width)
    label, tied = _label(cluster, voices)
    undecided = 2 * len(shapes) == raters
    doubt = "existence" if undecided else "class" if tied or _contested(cluster) else ""
    return Merged(label, rle, len(shapes), float(overlap.mean()), doubt, kept=not (undecided or tied))


def _vote(shapes: Sequence[str], voices: Sequence[float], height: int, width: int) -> BoolMask:
    """Weighed pixel by pixel inside the box around all shapes; outside of it nobody says anything."""
    boxes = np.array([rle_box_xywh(rle, height, width) for rle in shapes])
    x, y = boxes[:, :2].min(axis=0)
    right, bottom = (boxes[:, :2] + boxes[:, 2:]).max(axis=0)
    cuts = np.stack([rle_to_mask(rle, height, width)[y:bottom, x:right] for rle in shapes])
    inside = np.tensordot(np.array(voices), cuts, axes=1) / sum(voices) > 0.5 + TIE
    mask = np.zeros((height, width), dtype=np.bool_)
    mask[y:bottom, x:right] = inside if inside.any() else cuts[int(np.argmax(voices))]
    return mask


def _label(cluster: _Cluster, voices: Sequence[float]) -> tuple[str, bool]:
    """The class with most skill behind it (the first of the alphabet in a tie), and whether there was a tie."""
    tally: dict[str, float] = {}
    for (_, label, _), voice in zip(cluster.members, voices, strict=True):
        tally[label] = tally.get(label, 0.0) + voice
    ranked = sorted(tally, key=lambda label: (-tally[label], label))
    tied = len(ranked) > 1 and tally[ranked[0]] - tally[ranked[1]] <= TIE * sum(voices)
    return ranked[0], tied


def _contested(cluster: _Cluster) -> bool:
    """Whether no class has more than half of the heads: skill alone decided, or nothing did."""
    most = Counter(label for _, label, _ in cluster.members).most_common(1)[0][1]
    return 2 * most <= len(cluster.members)
