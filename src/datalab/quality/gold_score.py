"""One annotator against gold: figures with intervals, how they change, what to do and what to tell them."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from datalab.figure import Figure, undefined
from datalab.quality.bootstrap import MEASURES, bootstrap_ratios, bootstrap_statistic
from datalab.quality.gold import GoldImage
from datalab.quality.kappa import cohen_kappa
from datalab.quality.proportion import beta_over_groups, newcombe_over_groups, wilson_over_groups
from datalab.quality.student import Sides, student_ratio

PRIOR_HITS, PRIOR_OBJECTS = 2.0, 4.0
"""Two hits in four objects are assumed before anything is seen: few gold objects say little about a person."""


@dataclass(frozen=True)
class GoldLimits:
    """What is done about a skill, and what is worth a piece of advice."""

    least_objects: int
    """Objects of the truth below which nobody is judged."""
    target: float
    """Skill that people should reach."""
    pause_below: float
    """Skill below which labels do more harm than good."""
    recent_rounds: int
    """Compared with all earlier ones: drift."""
    advise_px: float
    """Mean offset of the outlines worth a word."""
    advise_share: float
    """Share of objects confused, or marked where nothing is, worth a word: the lower end of its interval."""


@dataclass(frozen=True)
class GoldScore:
    """Figures of one annotator; rates have Wilson's interval, the offset Student's and the others the bootstrap's, all
    over groups of images that hang together."""

    figures: dict[str, Figure]
    """f1, precision, recall, recall_small, mean_iou, mean_boundary_iou, outline_offset_px (above 0: too wide),
    outline_distance_px, presence_kappa, seconds_per_object."""
    objects: dict[str, int]
    """matched, confused, missed, extra."""
    confusions: dict[str, int]
    """"coin as cup": the truth as what was said, and how often."""
    skill: Figure
    """F1 in [0, 1], drawn towards one half where there were few objects, with Beta's interval of 95% over groups."""
    rounds: dict[str, Figure]
    """F1 per round."""
    change: Figure
    """F1 of the recent rounds minus that of the earlier ones."""
    median_seconds: float | None
    images: int

    @property
    def drifting(self) -> bool:
        """Whether the recent rounds are worse beyond doubt."""
        return self.change.high is not None and self.change.high < 0


def score_gold(
    images: Sequence[GoldImage], earlier: Sequence[GoldImage], limits: GoldLimits, rng: np.random.Generator
) -> GoldScore:
    """The score of one person from `gold.score_images` of their newest answer on each gold image.

    `earlier`: what they said about the same images in rounds before; only `rounds` and `change` count it too, or the
    earlier rounds would be what was not asked again.
    """
    hits, drawn, true = _sums(images, "hits", "drawn", "true")
    confusions = [pair for one in images for pair in one.confusions]
    confused = len(confusions)
    seconds = np.array([one.seconds for one in images])
    figures = {
        "f1": wilson_over_groups(_shares(images)),
        "precision": wilson_over_groups(sides_of(images, lambda one: (one.hits, one.drawn))),
        "recall": wilson_over_groups(sides_of(images, lambda one: (one.hits, one.true))),
        "recall_small": wilson_over_groups(sides_of(images, lambda one: (one.small_hits, one.small_true))),
        "outline_offset_px": student_ratio(
            sides_of(images, lambda one: (one.outlines.offset_px, one.outlines.measured))
        ),
        **_resampled(images, rng),
    }
    return GoldScore(
        figures={name: _because(figure, images) for name, figure in figures.items()},
        objects={
            "matched": hits,
            "confused": confused,
            "missed": true - hits - confused,
            "extra": drawn - hits - confused,
        },
        confusions=dict(
            sorted(Counter(f"{true} as {said}" for one in images for true, said in one.confusions).items())
        ),
        skill=skill_of(images),
        rounds={name: _f1(rows) for name, rows in by_round([*earlier, *images]).items()},
        change=change_of([*earlier, *images], limits),
        median_seconds=None if np.isnan(seconds).all() else float(np.nanmedian(seconds)),
        images=len(images),
    )


def skill_of(images: Sequence[GoldImage]) -> Figure:
    """(hits + 2) / ((drawn + true) / 2 + 4): F1 with two hits among four objects assumed before; Beta's interval.

    An object that was only missed, or only extra, is half a miss, as in F1. The interval goes by groups of images, and
    there is none from a single one; without an object it is that of what was assumed.
    """
    return beta_over_groups(_shares(images), PRIOR_HITS, PRIOR_OBJECTS - PRIOR_HITS)


def action(score: GoldScore, limits: GoldLimits) -> dict[str, str]:
    """`value`: "none", "warn", "more overlap" or "pause", and the `reason`. Labels are never deleted for it.

    Judged by the intervals of skill and F1: more overlap where all of both is below the target, pause where it is below
    `pause_below`; a warning where just the value is below the target, or the recent rounds are worse. What is below the
    target only because skill is drawn towards one half is no warning: F1 itself has to be below, too.
    """
    skill, f1 = score.skill, score.figures["f1"]
    true = score.objects["matched"] + score.objects["confused"] + score.objects["missed"]
    assert skill.value is not None
    between = skill.reason if skill.low is None else f"{skill.low:.2f} to {skill.high:.2f}"
    shown = f"skill {skill.value:.2f} ({between})"
    if true < limits.least_objects:
        return {"value": "none", "reason": f"{true} gold objects; people are judged from {limits.least_objects} on"}
    # what is drawn towards one half may lie below the target where F1 does not
    highest = max(1.0 if one.high is None else one.high for one in (skill, f1))
    if highest < limits.pause_below:
        return {"value": "pause", "reason": f"{shown} is below {limits.pause_below}"}
    if highest < limits.target:
        return {"value": "more overlap", "reason": f"{shown} is below {limits.target}"}
    if score.drifting:
        assert score.change.value is not None
        return {"value": "warn", "reason": f"F1 fell by {-score.change.value:.2f} against earlier rounds"}
    if skill.value < limits.target and f1.value is not None and f1.value < limits.target:
        return {"value": "warn", "reason": f"{shown} may be below {limits.target}"}
    return {"value": "none", "reason": shown}


def as_json(score: GoldScore, limits: GoldLimits, advice: Iterable[str]) -> dict[str, Any]:
    """Plain numbers."""
    return {
        **{name: figure.as_json() for name, figure in score.figures.items()},
        "objects": score.objects,
        "confusions": score.confusions,
        "skill": round(score.skill.value or 0.0, 6),
        "skill_interval": score.skill.as_json(),
        "per_round": {name: figure.as_json() for name, figure in score.rounds.items()},
        "change": score.change.as_json(),
        "drifting": score.drifting,
        "action": action(score, limits),
        "advice": list(advice),
        "median_seconds": None if score.median_seconds is None else round(score.median_seconds, 1),
        "images": score.images,
    }


def change_of(images: Sequence[GoldImage], limits: GoldLimits) -> Figure:
    """F1 of the recent rounds minus that of all earlier ones, with Newcombe's interval; too little gold: undefined.

    Objects of one image hang together, and so do images of one group: they count as so many fewer as groups differ by
    more than chance. An image without a group that was asked in several rounds counts in each.
    """
    rounds = list(by_round(images).values())
    earlier = [one for rows in rounds[: -limits.recent_rounds] for one in rows]
    recent = [one for rows in rounds[-limits.recent_rounds :] for one in rows]
    if min(sum(one.true for one in rows) for rows in (recent, earlier)) < limits.least_objects:
        return undefined(f"fewer than {limits.least_objects} gold objects in the recent rounds or before")
    sides = _shares(_apart(recent)), _shares(_apart(earlier))
    change = newcombe_over_groups(*sides)
    one = "one gold image" if max(side.images for side in sides) == 1 else "one group of gold images"
    return undefined(f"{one} alone in the recent rounds and before") if change.value is None else change


def by_round(images: Sequence[GoldImage]) -> dict[str, list[GoldImage]]:
    """round_id, ascending, to its images."""
    return {name: [one for one in images if one.round_id == name] for name in sorted({one.round_id for one in images})}


def _sums(images: Sequence[GoldImage], *names: str) -> list[int]:
    return [sum(getattr(one, name) for one in images) for name in names]


def sides_of(images: Sequence[GoldImage], ratio: Callable[[GoldImage], tuple[float, float]]) -> Sides:
    """A ratio of sums, from what it is made of on one image, and which of the images hang together."""
    tops, bottoms = np.array([ratio(one) for one in images], dtype=np.float64).reshape(-1, 2).T
    return Sides(tops, bottoms, [one.group for one in images])


def _apart(images: Sequence[GoldImage]) -> list[GoldImage]:
    """What was said in several rounds about an image without a group hangs together no more than other images do."""
    members = {(one.group, one.image_id) for one in images}
    sizes = Counter(group for group, _ in members)
    return [one if sizes[one.group] > 1 else replace(one, group=f"{one.group} {one.round_id}") for one in images]


def _shares(images: Sequence[GoldImage]) -> Sides:
    """F1 as a ratio: hits over the mean number of objects of the two sides, image by image.

    Right where errors come in pairs (a confused object, or one whose outline is off, is one missed and one extra); its
    interval is too wide where objects are only missed or only extra.
    """
    return sides_of(images, lambda one: (one.hits, (one.drawn + one.true) / 2))


def _f1(images: Sequence[GoldImage]) -> Figure:
    return _because(wilson_over_groups(_shares(images)), images)


def _resampled(images: Sequence[GoldImage], rng: np.random.Generator) -> dict[str, Figure]:
    groups = [one.group for one in images]
    presence = np.array([one.presence for one in images]).reshape(-1, 2, 2)
    return {
        **_ratios(images, rng, groups),
        "presence_kappa": bootstrap_statistic(presence, cohen_kappa, rng, groups=groups),
    }


def _ratios(images: Sequence[GoldImage], rng: np.random.Generator, groups: Sequence[str]) -> dict[str, Figure]:
    hits = [float(one.hits) for one in images]
    measured = [float(one.outlines.measured) for one in images]
    timed = [0.0 if np.isnan(one.seconds) else float(one.drawn) for one in images]
    seconds = [0.0 if np.isnan(one.seconds) else one.seconds for one in images]
    shares = {
        "mean_iou": ([one.outlines.iou for one in images], hits),
        "mean_boundary_iou": ([one.outlines.boundary_iou for one in images], hits),
    }
    measures = {
        "outline_distance_px": ([one.outlines.distance_px for one in images], measured),
        "seconds_per_object": (seconds, timed),
    }
    return {
        **bootstrap_ratios(shares, rng, groups=groups),
        **bootstrap_ratios(measures, rng, groups=groups, bounds=MEASURES),
    }


def _because(figure: Figure, images: Sequence[GoldImage]) -> Figure:
    """Nobody can tell from "nothing to count" whether gold was missing or just empty."""
    if figure.value is not None or (figure.reason != "nothing to count" and images):
        return figure
    return undefined("no object to count on these gold images" if images else "labelled no gold image", figure.n)
