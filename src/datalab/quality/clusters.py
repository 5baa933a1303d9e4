"""Which objects of several people are one and the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse.csgraph import connected_components

from datalab.masks import iou_matrix, rle_areas, rle_union
from datalab.quality.matching import match_regions
from datalab.quality.rated import RatedImage

UNKNOWN_SKILL = 0.5
LEAST_SKILL = 1e-6
"""Somebody without any hit still decides where nobody else does."""
TOUCHING = 0.2
"""Outlines of neighbours overlap by a few pixels, of two objects that nobody would take for one."""


@dataclass
class Cluster:
    """One object as different people drew it."""

    members: list[tuple[str, str, str]]
    """(annotator, label, rle), one per annotator, the most skilled first."""
    touching: bool = False
    """Whether the masks overlap too little to say that they are one object."""

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


def join_touching(clusters: Sequence[Cluster], voices: Mapping[str, float], height: int, width: int) -> list[Cluster]:
    """Clusters of one image that share TOUCHING of the smaller one's pixels, directly or through others, as one that is
    `touching`.

    What a person drew in several of them is one mask, of the class they gave first.
    """
    if not clusters:
        return []
    outer = [rle_union(cluster.shapes, height, width) for cluster in clusters]
    count, numbers = connected_components(_shares(outer, height, width) >= TOUCHING, directed=False)
    drawn: list[dict[str, list[tuple[str, str]]]] = [{} for _ in range(count)]
    for cluster, number in zip(clusters, numbers, strict=True):
        for annotator, label, rle in cluster.members:
            drawn[number].setdefault(annotator, []).append((label, rle))
    return [_touching(of_group, voices, height, width) for of_group in drawn]


def _shares(masks: Sequence[str], height: int, width: int) -> npt.NDArray[np.float64]:
    """Of every pair the share of the smaller mask that lies in the other, shape (len(masks), len(masks))."""
    iou, areas = iou_matrix(masks, masks, height, width), rle_areas(masks, height, width)
    shared = iou / (1 + iou) * (areas[:, None] + areas)
    return np.asarray(shared / np.maximum(1, np.minimum(areas[:, None], areas)), dtype=np.float64)


def _touching(
    drawn: Mapping[str, Sequence[tuple[str, str]]], voices: Mapping[str, float], height: int, width: int
) -> Cluster:
    people = sorted(drawn, key=lambda each: (-voices[each], each))
    masks = {each: rle_union([rle for _, rle in drawn[each]], height, width) for each in people}
    return Cluster([(each, drawn[each][0][0], masks[each]) for each in people], touching=True)
