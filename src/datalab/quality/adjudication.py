"""What a reviewer's decisions change, and what a random audit says about the labels nobody looked at again."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from datalab.errors import InputError
from datalab.figure import Figure
from datalab.quality.consensus import Merged
from datalab.quality.matching import match_regions
from datalab.quality.proportion import wilson
from datalab.quality.rated import RatedImage

Region = tuple[str, str]
"""(label, rle)."""


@dataclass(frozen=True)
class Decision:
    """The objects of one image as a reviewer wants them; none: there is nothing."""

    regions: tuple[Region, ...]
    reviewer: str
    reason: str
    """"contested" or "audit"."""
    height: int
    width: int
    asked: str = ""
    """RLE of the pixels it is about; "" for the whole image."""


@dataclass(frozen=True)
class Audit:
    """One audited image: how many of its objects the consensus had wrong."""

    image_id: str
    objects: int
    """Distinct ones, of consensus and reviewer together."""
    errors: int
    """Missing, extra, of another class, or with an outline that overlaps too little."""


def read_decisions(decisions: pd.DataFrame) -> dict[str, Decision]:
    """image_id to its decision, from table DECISIONS; InputError where one image was decided by two people."""
    found: dict[str, Decision] = {}
    for image_id, rows in decisions.groupby("image_id", sort=True):
        people, reasons = sorted(set(rows["reviewer"])), sorted(set(rows["reason"]))
        if len(people) > 1:
            raise InputError(f"image {image_id} was decided by {' and '.join(people)}; pull the decisions again")
        objects = rows[rows["rle"] != ""]
        regions = tuple(zip(objects["label"], objects["rle"], strict=True))
        height, width = int(rows["height"].iloc[0]), int(rows["width"].iloc[0])
        found[str(image_id)] = Decision(regions, people[0], reasons[0], height, width, rows["asked"].iloc[0])
    return found


def adjudicated(decision: Decision, rated: Sequence[RatedImage], iou_threshold: float) -> list[Merged]:
    """The consensus of an image by its decision; `votes` count the raters who drew the same object in the same class.

    `agreement` is the mean IoU of their masks with the reviewer's, 0 where nobody drew it. InputError where it was
    decided at another size than it was labelled at.
    """
    first = rated[0]
    if (decision.height, decision.width) != (first.height, first.width):
        raise InputError(
            f"image {first.image_id} was decided at {decision.width} x {decision.height} pixels and labelled at "
            f"{first.width} x {first.height}; decide it again"
        )
    overlaps: list[list[float]] = [[] for _ in decision.regions]
    for one in rated:
        for match in match_regions(decision.regions, one.regions, first.height, first.width, iou_threshold).matches:
            overlaps[match.left].append(match.iou)
    return [
        Merged(
            label=label,
            rle=rle,
            votes=len(found),
            agreement=sum(found) / len(found) if found else 0.0,
            doubt="",
            kept=True,
            disputed="",
            method="adjudicated",
            contributors=(decision.reviewer,),
        )
        for (label, rle), found in zip(decision.regions, overlaps, strict=True)
    ]


def audit(
    image_id: str, before: Iterable[Merged], decision: Decision, rated: RatedImage, iou_threshold: float, outline: float
) -> Audit:
    """Compare the consensus `before` the decision with it; `outline`: IoU below which an outline is an error."""
    had = [(one.label, one.rle) for one in before if one.kept]
    matching = match_regions(had, decision.regions, rated.height, rated.width, iou_threshold)
    right = sum(match.iou >= outline for match in matching.matches)
    return Audit(image_id, matching.objects, matching.objects - right)


def errors_left(found: int, audited: int, unseen: int) -> Mapping[str, Figure]:
    """What the audit says: share of wrong images (Wilson's interval), and how many of `unseen` images are wrong.

    `found` of the `audited` images were wrong. `unseen`: images of which those are a random sample and that no reviewer
    has looked at.
    """
    wrong = wilson(found, audited)
    wrong = wrong if wrong.value is not None else Figure(None, 0, reason="no image has been audited")
    value, low, high = (None if end is None else end * unseen for end in (wrong.value, wrong.low, wrong.high))
    return {"wrong_share": wrong, "wrong_images_left": Figure(value, wrong.n, low, high, wrong.reason)}
