"""All figures of agreement of a set of images: together, per class, pair, size, round, slice and origin."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from datalab.figure import Figure
from datalab.progress import Progress, unseen
from datalab.quality.agreement import class_confusions, object_agreement, object_table, of_class, pair_table
from datalab.quality.bootstrap import bootstrap_statistic
from datalab.quality.kappa import both_ways, cohen_kappa, kappa_of_margins, margins_both_ways
from datalab.quality.object_figures import boundary_ious, mean_panoptic_quality, object_figures
from datalab.quality.pixels import Margins, pixel_disagreement, pixel_overlap, pixel_tables
from datalab.quality.presence import class_presence, examples_of, presence_alpha, presence_fleiss, presence_tables
from datalab.quality.rated import RatedImages, groups_of
from datalab.quality.student import sum_groups

OBJECTS = "objects (matched IoU)"
SIDED = ("precision", "recall", "precision_50_95", "recall_50_95")
"""Figures that depend on who of a pair comes first; given for pairs only."""
LEAST_GROUPS = 8
"""Of fewer an interval says too little for a verdict: what sets a group apart from all others may not be among them."""


@dataclass(frozen=True)
class Limits:
    """When a figure is judged, and where objects change size."""

    least_images: int
    """Double-labelled images below which there is no verdict."""
    least_of_class: int
    """Images with a class, and without it, below which there is no verdict on the class."""
    reliable: float
    """Lower end of the objects' interval from which labels can be relied on."""
    small_share: float
    """Objects below this share of the image are small."""
    large_share: float
    """From this share on they are large."""


@dataclass(frozen=True)
class Measured:
    """What people said about the images that two or more of them rated."""

    images: RatedImages
    classes: Sequence[str]
    objects: pd.DataFrame
    """Table OBJECTS with `boundary_iou`."""
    pairs: pd.DataFrame
    """Table PAIRS; the two arrays below have its rows."""
    presence: npt.NDArray[np.int64]
    """(pairs, 2, 2): summed over classes, in or not in the image."""
    pixels: Margins
    """(pairs, K, 3): background and classes."""

    @cached_property
    def groups(self) -> dict[str, str]:
        """image_id to the group of images that hang together, in the order of the images."""
        return groups_of(self.images)

    @cached_property
    def pixels_by_image(self) -> npt.NDArray[np.float64]:
        """(images, K, 3)."""
        return sum_groups(self.pixels, self.pairs["image_id"].tolist())


def measure(images: RatedImages, classes: Sequence[str], iou_threshold: float, progress: Progress = unseen) -> Measured:
    """Count everything once; all figures are sums over choices of these rows."""
    objects = object_table(images, iou_threshold, progress)
    return Measured(
        images,
        classes,
        objects.assign(boundary_iou=boundary_ious(images, objects, progress)),
        pair_table(images, objects),
        presence_tables(images, classes).sum(axis=1),
        pixel_tables(images, classes, progress),
    )


def agreement_report(
    measured: Measured,
    parts: Mapping[str, Mapping[str, str]],
    limits: Limits,
    rng: np.random.Generator,
    progress: Progress = unseen,
) -> dict[str, Any]:
    """Figures inside nested dicts. `parts`: name such as "per_round" to {image_id: the part it is in}.

    All intervals are over groups of images that hang together, and a figure's `n` counts those that have it.
    """
    figures = headline(measured, rng)
    return {
        "figures": figures,
        "per_class": {
            name: _class_figures(measured, name, limits, rng)
            for name in progress("figures of classes", measured.classes)
        },
        "per_pair": dict(
            _pair_figures(measured, people, rng) for people in progress("figures of pairs", _people(measured))
        ),
        "per_size": _by(measured.objects, sizes(measured.objects, limits), ("small", "medium", "large"), rng),
        "per_origin": _origin_figures(measured.objects, rng),
        **{name: _by_image(measured, members, rng, progress) for name, members in parts.items()},
        "class_confusions": class_confusions(measured.objects),
        "double_labelled_images": len(measured.images),
        "double_labelled_groups": len(set(measured.groups.values())),
        "verdict": verdict(figures[OBJECTS], measured.groups, limits),
    }


def headline(measured: Measured, rng: np.random.Generator) -> dict[str, Figure]:
    """Over all pairs. They have no order, so the kappas pool what the two of a pair chose."""
    ids = measured.pairs["image_id"].tolist()
    presence, pixels = both_ways(sum_groups(measured.presence, ids)), margins_both_ways(measured.pixels_by_image)
    groups = list(measured.groups.values())
    differing = pixel_disagreement(measured.pixels, ids, measured.groups, rng)
    found = object_figures(measured.objects, rng)
    return {
        OBJECTS: found["agreement"],
        "objects (F1)": found["f1"],
        "objects (F1, IoU 0.5 to 0.95)": found["f1_50_95"],
        "objects (panoptic quality)": mean_panoptic_quality(measured.objects, measured.classes, rng),
        "outlines (IoU)": found["mean_iou"],
        "outlines (Dice)": found["mean_dice"],
        "outlines (boundary IoU)": found["mean_boundary_iou"],
        "class presence (kappa)": bootstrap_statistic(presence, cohen_kappa, rng, groups=groups),
        "class presence (alpha)": presence_alpha(measured.images, measured.classes, rng),
        "class presence (Fleiss)": presence_fleiss(measured.images, measured.classes, rng),
        "pixels (kappa)": bootstrap_statistic(pixels, kappa_of_margins, rng, groups=groups),
        "pixels (quantity disagreement)": differing["quantity"],
        "pixels (allocation disagreement)": differing["allocation"],
    }


def sizes(objects: pd.DataFrame, limits: Limits) -> npt.NDArray[np.str_]:
    """ "small", "medium" or "large" per object, by its mean share of the image among those who drew it."""
    drawn = (objects["place_a"] >= 0).astype(int) + (objects["place_b"] >= 0).astype(int)
    share = ((objects["area_a"] + objects["area_b"]) / drawn).to_numpy()
    return np.select([share < limits.small_share, share < limits.large_share], ["small", "medium"], "large")


def verdict(objects: Figure, groups: Mapping[str, str], limits: Limits) -> dict[str, str | None]:
    """Judged by the interval's lower end, and only with enough images, and groups of them (image_id to group)."""
    images, several = len(groups), len(set(groups.values()))
    if images < limits.least_images:
        return {"value": None, "reason": f"{images} double-labelled images; a verdict needs {limits.least_images}"}
    if several < min(LEAST_GROUPS, images):
        return {"value": None, "reason": f"{images} double-labelled images in {_too_few(several)}"}
    if objects.low is None:
        return {"value": None, "reason": objects.reason}
    return {"value": "reliable" if objects.low >= limits.reliable else "not yet reliable", "reason": None}


def _class_figures(measured: Measured, name: str, limits: Limits, rng: np.random.Generator) -> dict[str, Any]:
    ids, class_id = measured.pairs["image_id"].tolist(), measured.classes.index(name) + 1
    found = object_figures(of_class(measured.objects, name), rng)
    return {
        "objects": found["agreement"],
        **{key: figure for key, figure in _symmetric(found).items() if key != "agreement"},
        "presence": class_presence(measured.images, name, rng),
        "pixels": {
            **pixel_overlap(measured.pixels_by_image, class_id, rng, groups=list(measured.groups.values())),
            **pixel_disagreement(measured.pixels, ids, measured.groups, rng, class_id),
        },
        "verdict": _class_verdict(measured, name, found["agreement"], limits),
    }


def _class_verdict(measured: Measured, name: str, objects: Figure, limits: Limits) -> dict[str, str | None]:
    present, absent = examples_of(measured.images, name)
    if len(measured.images) < limits.least_images:
        return verdict(objects, measured.groups, limits)
    if min(present, absent) < limits.least_of_class:
        needed = f"a verdict needs {limits.least_of_class} of each"
        return {"value": None, "reason": f"{present} images with {name} and {absent} without; {needed}"}
    if (objects.n or 0) < min(LEAST_GROUPS, present):
        return {"value": None, "reason": f"{present} images with {name} in {_too_few(objects.n or 0)}"}
    return verdict(objects, measured.groups, limits)


def _too_few(groups: int) -> str:
    return f"{groups} group{'' if groups == 1 else 's'}; a verdict needs {LEAST_GROUPS}"


def _people(measured: Measured) -> list[tuple[str, str]]:
    return sorted(set(zip(measured.pairs["annotator_a"], measured.pairs["annotator_b"], strict=True)))


def _pair_figures(measured: Measured, people: tuple[str, str], rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
    """ "a | b" and the figures of these two; precision and recall read a as the truth."""
    first, second = people
    mine = ((measured.pairs["annotator_a"] == first) & (measured.pairs["annotator_b"] == second)).to_numpy()
    ids, rows = measured.pairs["image_id"][mine].tolist(), measured.objects
    groups = [measured.groups[image_id] for image_id in ids]
    objects = rows[(rows["annotator_a"] == first) & (rows["annotator_b"] == second)]
    found = object_figures(objects, rng)
    return f"{first} | {second}", {
        "images": int(mine.sum()),
        "objects": found.pop("agreement"),
        **found,
        "presence_kappa": bootstrap_statistic(measured.presence[mine], cohen_kappa, rng, groups=groups),
        "pixel_kappa": bootstrap_statistic(measured.pixels[mine], kappa_of_margins, rng, groups=groups),
        "pixels": pixel_disagreement(measured.pixels[mine], ids, measured.groups, rng),
        "class_confusions": class_confusions(objects),
    }


def _by(
    objects: pd.DataFrame, part: npt.NDArray[np.str_], names: Iterable[str], rng: np.random.Generator
) -> dict[str, dict[str, Figure]]:
    return {name: _symmetric(object_figures(objects[part == name], rng)) for name in names}


def _by_image(
    measured: Measured, members: Mapping[str, str], rng: np.random.Generator, progress: Progress
) -> dict[str, dict[str, Any]]:
    """Images that `members` does not know are in no part."""
    found = {}
    parts = sorted({members[image_id] for image_id in measured.images if image_id in members})
    for part in progress("figures of parts", parts):
        images = {key: rated for key, rated in measured.images.items() if members.get(key) == part}
        objects = measured.objects[measured.objects["image_id"].isin(list(images))]
        found[part] = {
            "images": len(images),
            **_symmetric(object_figures(objects, rng)),
            "presence_alpha": presence_alpha(images, measured.classes, rng),
        }
    return found


def _symmetric(found: Mapping[str, Figure]) -> dict[str, Figure]:
    return {name: figure for name, figure in found.items() if name not in SIDED}


def _origin_figures(objects: pd.DataFrame, rng: np.random.Generator) -> dict[str, Figure]:
    """Two people who both leave a proposal as it is agree with the machine, and look as if they agreed.

    An object counts where the most work was done on it: drawn by somebody, else edited by somebody, else untouched.
    """
    drawn, edited = (((objects[["origin_a", "origin_b"]] == kind).any(axis=1)) for kind in ("manual", "edited"))
    kept = (objects["origin_a"] == "proposal") & (objects["origin_b"] == "proposal")
    parts = {
        "both kept the proposal": kept,
        "one kept the proposal, the other has nothing": ~(drawn | edited | kept),
        "somebody edited it": edited & ~drawn,
        "somebody drew it": drawn,
        "somebody drew or edited": drawn | edited,
    }
    return {name: object_agreement(objects[rows], rng) for name, rows in parts.items()}
