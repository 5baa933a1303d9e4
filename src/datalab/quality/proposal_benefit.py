"""Whether proposals help: answers to tasks that had them beside answers to tasks that did not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from datalab.figure import Figure, undefined
from datalab.masks import iou_matrix, lies_in, rle_area
from datalab.quality.bootstrap import MEASURES, SHARES, bootstrap_ratio
from datalab.quality.matching import match_regions
from datalab.quality.student import Bounds, Sides, student_difference, student_quotient, sum_groups

Shape = tuple[str, str]
"""(label, rle)."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Answer:
    """What one person submitted for one task, and what the task started from."""

    image_id: str
    aided: bool
    """Whether the task was one of those that get proposals; SAM may have found none for it."""
    seconds: float | None
    regions: tuple[Shape, ...]
    origins: tuple[str, ...]
    """Of every region: "proposal" (untouched), "edited" or "manual"."""
    proposals: tuple[Shape, ...]
    """Those that could be changed."""
    accepted: tuple[Shape, ...]
    """Those that could only be looked at."""
    truth: tuple[Shape, ...] | None
    """The gold objects; None where the image is not gold."""
    height: int
    width: int
    unknown: str = ""
    """RLE of the pixels of which gold does not know the class, "" where it knows all."""

    @property
    def judged(self) -> list[Shape]:
        """The regions that gold can judge."""
        return [one for one in self.regions if not lies_in(one[1], self.unknown, self.height, self.width)]


@dataclass(frozen=True)
class _Part:
    """What one answer adds to a ratio."""

    image_id: str
    top: float
    bottom: float


def measure_benefit(
    answers: Sequence[Answer], iou_threshold: float, least_tasks: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Figures with and without proposals, as plain JSON: tasks, seconds_per_object, seconds_per_answer, edits, gold_f1,
    gold_iou, warning.

    The seconds have `with`, `without` and their `ratio`; the gold figures have `with`, `without` and their
    `difference` (with minus without). Every one is a ratio of sums with an interval of 95% over
    images, resampled where there are enough; a ratio and a difference of two have Student's t, since few images go
    without proposals. `warning` is None only where the ratio's interval lies below 1, F1 is not
    visibly lower, and both arms have `least_tasks` images that are no gold and have a recorded time: the seconds are
    told of those alone. F1 is judged where both arms have as many gold images with an object.
    """
    seconds = _arms(answers, _seconds, "answer with a recorded time and an object", rng, MEASURES)
    whole = _arms(answers, _seconds_of_answer, "answer with a recorded time", rng, MEASURES)
    f1 = _arms(answers, lambda one: _f1(one, iou_threshold), "object on gold images", rng)
    iou = _arms(answers, lambda one: _hit_iou(one, iou_threshold), "object found on gold images", rng)
    tasks, timed = _images(answers), _images([one for one in answers if one.truth is None and one.seconds is not None])
    ratio, per_answer, difference = _ratio(seconds), _ratio(whole), _difference(f1)
    enough = min(arm.figure.n or 0 for arm in f1.values()) >= least_tasks
    return {
        "tasks": tasks,
        "seconds_per_object": {**_json(seconds), "ratio": ratio.as_json()},
        "seconds_per_answer": {**_json(whole), "ratio": per_answer.as_json()},
        "edits": {name: figure.as_json() for name, figure in _edits(answers, rng).items()},
        "gold_f1": {**_json(f1), "difference": difference.as_json()},
        "gold_iou": {**_json(iou), "difference": _difference(iou).as_json()},
        "warning": too_few(timed, least_tasks)
        or warning(ratio, per_answer, difference if enough else undefined("too few gold images")),
    }


def too_few(tasks: dict[str, int], least_tasks: int) -> str | None:
    """One line where an arm has too few images for its interval to mean anything; None where both have enough."""
    for name, count in tasks.items():
        if count < least_tasks:
            return (
                f"whether proposals help cannot be told yet: {count} tasks {name} proposals, {least_tasks} are needed"
            )
    return None


def warning(seconds_ratio: Figure, answer_ratio: Figure, f1_difference: Figure) -> str | None:
    """One line where help is not visible, or where it costs quality; None where proposals visibly save time.

    Junk that people leave in place counts as objects, so that seconds per object fall while the work grows: whole
    answers must not take longer either.
    """
    if seconds_ratio.value is None or seconds_ratio.high is None:
        return f"whether proposals help cannot be told: {seconds_ratio.reason}"
    if seconds_ratio.high >= 1:
        return (
            f"proposals do not visibly help: {seconds_ratio.value:.2f} times the seconds per object "
            f"({seconds_ratio.low:.2f} to {seconds_ratio.high:.2f}); raise the thresholds or work without"
        )
    if answer_ratio.value is not None and answer_ratio.value >= 1:
        return (
            f"proposals do not visibly help: {answer_ratio.value:.2f} times the seconds per answer, with more regions "
            "in it; look for proposals that were left in place"
        )
    if f1_difference.value is not None and f1_difference.high is not None and f1_difference.high < 0:
        return (
            f"proposals save time and cost quality: F1 on gold {f1_difference.value:+.2f} "
            f"({f1_difference.low:+.2f} to {f1_difference.high:+.2f})"
        )
    return None


ARMS = {"with": True, "without": False}


@dataclass(frozen=True)
class _Arm:
    tops: Floats
    bottoms: Floats
    figure: Figure


def _arms(
    answers: Sequence[Answer],
    part: Callable[[Answer], _Part | None],
    what: str,
    rng: np.random.Generator,
    bounds: Bounds = SHARES,
) -> dict[str, _Arm]:
    arms = {}
    for name, aided in ARMS.items():
        parts = [found for one in answers if one.aided is aided and (found := part(one)) is not None]
        arms[name] = _arm(parts, f"no {what} among the tasks {name} proposals", rng, bounds)
    return arms


def _arm(parts: Sequence[_Part], reason: str, rng: np.random.Generator, bounds: Bounds) -> _Arm:
    """Parts of one image are summed first: they are not independent."""
    both = np.array([(part.top, part.bottom) for part in parts], dtype=np.float64).reshape(-1, 2)
    tops, bottoms = sum_groups(both, [part.image_id for part in parts]).T
    figure = bootstrap_ratio(tops, bottoms, rng, bounds=bounds)
    return _Arm(tops, bottoms, figure if figure.value is not None else undefined(reason))


def _images(answers: Sequence[Answer]) -> dict[str, int]:
    return {name: len({one.image_id for one in answers if one.aided is aided}) for name, aided in ARMS.items()}


def _json(arms: dict[str, _Arm]) -> dict[str, Any]:
    return {name: arm.figure.as_json() for name, arm in arms.items()}


def _lacking(arms: dict[str, _Arm]) -> Figure | None:
    """Why there is nothing to compare; None where both arms have a figure."""
    reasons = [str(arm.figure.reason) for arm in arms.values() if arm.figure.value is None]
    return undefined(reasons[0], sum(len(arm.tops) for arm in arms.values())) if reasons else None


def _difference(arms: dict[str, _Arm]) -> Figure:
    """The figure with less the figure without proposals, both in [0, 1]."""
    found = _lacking(arms) or student_difference(*_sides(arms))
    if found.low is None or found.high is None:
        return found
    return replace(found, low=max(-1.0, found.low), high=min(1.0, found.high))


def _ratio(arms: dict[str, _Arm]) -> Figure:
    """The figure with over the figure without proposals."""
    return _lacking(arms) or student_quotient(*_sides(arms))


def _sides(arms: dict[str, _Arm]) -> tuple[Sides, Sides]:
    aided, unaided = arms["with"], arms["without"]
    return Sides(aided.tops, aided.bottoms), Sides(unaided.tops, unaided.bottoms)


def _seconds(answer: Answer) -> _Part | None:
    return _timed(answer, len(answer.regions))


def _seconds_of_answer(answer: Answer) -> _Part | None:
    return _timed(answer, 1)


def _timed(answer: Answer, count: int) -> _Part | None:
    """Not of gold: it goes without proposals at another rate, is answered more often, and may be easier."""
    if answer.seconds is None or answer.truth is not None:
        return None
    return _Part(answer.image_id, answer.seconds, count)


def _f1(answer: Answer, iou_threshold: float) -> _Part | None:
    """F1 = 2 hits / (drawn + true)."""
    if answer.truth is None:
        return None
    drawn = answer.judged
    matching = match_regions(drawn, answer.truth, answer.height, answer.width, iou_threshold)
    return _Part(answer.image_id, 2 * len(matching.matches), len(drawn) + len(answer.truth))


def _hit_iou(answer: Answer, iou_threshold: float) -> _Part | None:
    if answer.truth is None:
        return None
    matching = match_regions(answer.judged, answer.truth, answer.height, answer.width, iou_threshold)
    return _Part(answer.image_id, matching.iou_sum, len(matching.matches))


def _edits(answers: Sequence[Answer], rng: np.random.Generator) -> dict[str, Figure]:
    """How far people moved from what was proposed: `iou` of a region that stayed with its proposal, pixels added to and
    taken from those proposals as a share of their pixels, and the shares of regions drawn anew and of proposals
    deleted. Proposals that nobody could change are no part of it."""
    rows = [(one.image_id, _edit(one)) for one in answers if one.aided and one.proposals]
    reasons = {"regions_added": "no region was submitted on tasks with proposals", "regions_removed": "no proposal"}
    figures = {}
    for name in ("iou", "pixels_added", "pixels_removed", "regions_added", "regions_removed"):
        parts = [_Part(image_id, *edit[name]) for image_id, edit in rows]
        bounds = MEASURES if name == "pixels_added" else SHARES
        figures[name] = _arm(parts, reasons.get(name, "no proposal was kept or edited"), rng, bounds).figure
    return figures


def _edit(answer: Answer) -> dict[str, tuple[float, float]]:
    """Top and bottom of each ratio.

    The screen gives regions new names, so a region is paired with the proposal it overlaps most, one to one, for the
    largest total IoU. What was accepted is paired as well, else a region of it could pass for another proposal's, and
    then left out: that it stayed as it was says nothing of proposals.
    """
    height, width = answer.height, answer.width
    kept = [rle for (_, rle), origin in zip(answer.regions, answer.origins, strict=True) if origin != "manual"]
    proposed = [rle for _, rle in (*answer.proposals, *answer.accepted)]
    overlap = iou_matrix(proposed, kept, height, width)
    paired = list(zip(*linear_sum_assignment(-overlap), strict=True))
    pairs = [(row, column) for row, column in paired if row < len(answer.proposals)]
    submitted = len(answer.regions) - (len(paired) - len(pairs))
    ious = np.array([overlap[pair] for pair in pairs])
    before = np.array([rle_area(proposed[row], height, width) for row, _ in pairs], dtype=np.float64)
    after = np.array([rle_area(kept[column], height, width) for _, column in pairs], dtype=np.float64)
    shared = ious * (before + after) / (1 + ious)
    return {
        "iou": (float(ious.sum()), len(pairs)),
        "pixels_added": (float((after - shared).sum()), float(before.sum())),
        "pixels_removed": (float((before - shared).sum()), float(before.sum())),
        "regions_added": (answer.origins.count("manual"), submitted),
        "regions_removed": (len(answer.proposals) - len(pairs), len(answer.proposals)),
    }
