"""One set of objects out of several people's: clusters by overlap, then class and pixels by vote."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from datalab.masks import crop_to_rle, iou_matrix, rle_area, rles_to_cuts
from datalab.progress import Progress, unseen
from datalab.quality.class_votes import vote_classes
from datalab.quality.clusters import Cluster, cluster_objects, join_touching, voices_of
from datalab.quality.pixel_votes import TIE, vote_pixels
from datalab.quality.rated import RatedImage, RatedImages


@dataclass(frozen=True)
class Rules:
    """How many become one."""

    iou_threshold: float
    """Masks that overlap less are different objects."""
    outline_iou: float
    """Two people whose masks of one object overlap less draw different outlines: no vote, somebody decides."""
    pixels: str
    """Name of a vote in `pixel_votes`, for three masks and more."""
    classes: str
    """Name of a vote in `class_votes`, for three classes and more."""


@dataclass(frozen=True)
class Merged:
    """One object of several people."""

    label: str
    rle: str
    votes: int
    agreement: float
    """Mean IoU of the members' masks with the result."""
    doubt: str
    """"" or the reason for adjudication: "existence", "class" or "outline"."""
    kept: bool
    """Whether it is in the consensus."""
    disputed: str
    """RLE of the pixels that are in no training mask until somebody has decided; "" where there are none."""
    method: str
    """Which vote made the mask: "single" for one mask, "two" for two, else the name of the pixel vote."""
    contributors: tuple[str, ...]
    """Who drew it, sorted."""


def merge_images(
    images: RatedImages, skills: Mapping[str, float], rules: Rules, progress: Progress = unseen
) -> dict[str, list[Merged]]:
    """image_id to the objects that at least half of its raters drew; the consensus are those that are `kept`.

    More than half must have drawn it: both of two, two of three; just half is not kept, with doubt "existence". The
    same doubt has what fewer drew, where half of the raters marked the same pixels all the same: those are disputed.
    One rater is taken as is. Two masks are never put to the vote: of different classes it is not kept (doubt "class");
    the more skilled one's outline stands, of equal skill what both drew; and where they overlap less than `outline_iou`
    what only one drew is disputed (doubt "outline"). Three and more vote. A tie between classes is not kept, of the
    vote or of the heads; a class that wins otherwise without more than half of the heads is kept, with a doubt.
    InputError for a vote of unknown name.
    """
    voices = {image_id: voices_of(rated, skills) for image_id, rated in images.items()}
    found = [
        (image_id, cluster)
        for image_id, rated in progress("find objects", images.items())
        for cluster in _seconded(rated, voices[image_id], rules.iou_threshold)
    ]
    everybody = {name: voice for each in voices.values() for name, voice in each.items()}
    merged: dict[str, list[Merged]] = {image_id: [] for image_id in images}
    # masks that merely touch may be of two objects: they must not teach a vote who confuses which classes
    for touching, vote in ((False, rules.classes), (True, "skill_weighted")):
        chosen = [pair for pair in found if pair[1].touching is touching]
        shares = vote_classes(vote, [cluster.ballot for _, cluster in chosen], everybody)
        what = "merge what touches" if touching else "merge objects"
        for (image_id, cluster), share in progress(what, list(zip(chosen, shares, strict=True))):
            merged[image_id].append(_merge(cluster, images[image_id], voices[image_id], share, rules))
    return merged


def _seconded(rated: Sequence[RatedImage], voices: Mapping[str, float], iou_threshold: float) -> list[Cluster]:
    """What at least half of the raters drew: first as one object, then as masks that share some of their pixels."""
    half = len(rated) / 2
    clusters = _without_copies(cluster_objects(rated, voices, iou_threshold), rated, iou_threshold)
    left = [cluster for cluster in clusters if len(cluster.members) < half]
    people = {annotator for cluster in left for annotator, *_ in cluster.members}
    found = [cluster for cluster in clusters if len(cluster.members) >= half]
    if len(people) < half:  # most often, and then nothing has to be compared
        return found
    height, width = rated[0].height, rated[0].width
    touching = [one for one in join_touching(left, voices, height, width) if len(one.members) >= half]
    return [*found, *(one for one in touching if rle_area(_shared(one.shapes, half, height, width), height, width))]


def _without_copies(clusters: list[Cluster], rated: Sequence[RatedImage], iou_threshold: float) -> list[Cluster]:
    """Less the second masks of what more than half of the raters drew: of the same people, in the same class.

    Who leaves a proposal in place and draws its object anew has drawn one object, and no second one that others missed.
    """

    def has_most(cluster: Cluster) -> bool:
        return 2 * len(cluster.members) > len(rated)

    kept = [cluster for cluster in clusters if has_most(cluster)]

    def copied(cluster: Cluster) -> bool:
        same = [one.shapes[0] for one in kept if set(cluster.ballot) <= set(one.ballot)]
        overlap = iou_matrix(cluster.shapes[:1], same, rated[0].height, rated[0].width) if same else np.zeros(0)
        return bool((overlap >= iou_threshold).any())

    return [cluster for cluster in clusters if has_most(cluster) or not copied(cluster)]


def _merge(
    cluster: Cluster, rated: Sequence[RatedImage], voices: Mapping[str, float], share: Mapping[str, float], rules: Rules
) -> Merged:
    height, width = rated[0].height, rated[0].width
    shapes, weights = cluster.shapes, [voices[annotator] for annotator, *_ in cluster.members]
    method = {1: "single", 2: "two"}.get(len(shapes), rules.pixels)
    rle = vote_pixels("skill_weighted" if method == "two" else rules.pixels, shapes, weights, height, width)
    label, tied = _winner(share)
    doubt, kept = _judge(cluster, len(rated), label)
    if tied and doubt != "existence":
        doubt, kept = "class", False
    disputed = "" if kept else _shared(shapes, 1, height, width)
    if cluster.touching:
        # all of it is asked about; what few marked is background until then, for such masks may reach far
        rle, disputed = disputed, _shared(shapes, len(rated) / 2, height, width)
    if not doubt and method == "two" and iou_matrix(shapes[:1], shapes[1:], height, width)[0, 0] < rules.outline_iou:
        rle = _shared(shapes, 2, height, width)
        doubt, disputed = "outline", _shared(shapes, 1, height, width, most=1)
    agreement = float(iou_matrix([rle], shapes, height, width).mean())
    people = tuple(sorted(annotator for annotator, *_ in cluster.members))
    return Merged(label, rle, len(shapes), agreement, doubt, kept, disputed, method, people)


def _judge(cluster: Cluster, raters: int, label: str) -> tuple[str, bool]:
    """Doubt and whether the object is kept, as far as its existence and its class `label` are concerned."""
    if cluster.touching or 2 * len(cluster.members) == raters:
        return "existence", False
    heads = Counter(name for _, name in cluster.ballot)
    most = max(heads.values())
    if sum(count == most for count in heads.values()) > 1:
        return "class", False
    return ("class", True) if 2 * heads[label] <= len(cluster.members) else ("", True)


def _winner(share: Mapping[str, float]) -> tuple[str, bool]:
    """The class with the largest share (the first of the alphabet in a tie), and whether there was a tie."""
    ranked = sorted(share, key=lambda label: (-share[label], label))
    return ranked[0], len(ranked) > 1 and share[ranked[0]] - share[ranked[1]] <= TIE


def _shared(shapes: Sequence[str], least: float, height: int, width: int, most: float = np.inf) -> str:
    """RLE of the pixels of at least and at most so many of the masks."""
    top, left, cuts = rles_to_cuts(shapes, height)
    covered = cuts.sum(axis=0, dtype=np.int32)
    return crop_to_rle((covered >= least) & (covered <= most), top, left, height, width)
