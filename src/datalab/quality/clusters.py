"""Which objects of several people are one and the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from datalab.quality.matching import match_regions
from datalab.quality.rated import RatedImage

UNKNOWN_SKILL = 0.5
LEAST_SKILL = 1e-6
"""Somebody without any hit still decides where nobody else does."""


@dataclass
class Cluster:
    """One object as different people drew it."""

    members: list[tuple[str, str, str]]
    """(annotator, label, rle), one per annotator, the most skilled first."""

    @property
    def ballot(self) -> list[tuple[str, str]]:
        """(annotator, label) of every member."""
        return [(annotator, label) for annotator, label, _ in self.members]

    @property
    def shapes(self) -> list[str]:
        """The members' masks (RLE)."""
        return [rle for _, _, rle in self.members]


def voices_of(rated: Sequence[RatedImage], skills: Mapping[str, float]) -> dict[str, float]:
    """The weight of everybody who rated the image: their skill, one half where it is unknown, never 0."""
    return {one.annotator: max(skills.get(one.annotator, UNKNOWN_SKILL), LEAST_SKILL) for one in rated}


def cluster_objects(rated: Sequence[RatedImage], voices: Mapping[str, float], iou_threshold: float) -> list[Cluster]:
    """Objects of the most skilled first; every further person's objects join the cluster whose first mask they fit."""
    clusters: list[Cluster] = []
    for one in sorted(rated, key=lambda each: (-voices[each.annotator], each.annotator)):
        seeds = [cluster.members[0][1:] for cluster in clusters]
        matching = match_regions(seeds, one.regions, one.height, one.width, iou_threshold)
        for match in (*matching.matches, *matching.confusions):
            clusters[match.left].members.append((one.annotator, *one.regions[match.right]))
        clusters += [Cluster([(one.annotator, *one.regions[place])]) for place in matching.only_right]
    return clusters
