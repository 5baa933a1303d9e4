"""What to tell an annotator: sentences, each with the numbers it rests on."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from datalab.quality.gold import GoldImage
from datalab.quality.gold_score import GoldLimits, GoldScore, sides_of
from datalab.quality.proportion import newcombe_over_groups, wilson_over_groups
from datalab.quality.student import Sides


def advice(images: Sequence[GoldImage], score: GoldScore, limits: GoldLimits) -> list[str]:
    """What all of an interval of 95% says and is large enough to matter, missed objects first; [] where nothing is."""
    return [
        *_misses(images, score, limits),
        *_outlines(score, limits),
        *_confusions(images, limits),
        *_extras(images, limits),
        *_drift(score),
    ]


def _misses(images: Sequence[GoldImage], score: GoldScore, limits: GoldLimits) -> Iterator[str]:
    small = sides_of(images, lambda one: (one.small_hits, one.small_true))
    large = sides_of(images, lambda one: (one.hits - one.small_hits, one.true - one.small_true))
    (small_hits, small_true), (large_hits, large_true) = _counted(small), _counted(large)
    hits, true = small_hits + large_hits, small_true + large_true
    apart = newcombe_over_groups(large, small)
    recall = score.figures["recall"]
    if apart.low is not None and apart.low > 0:
        yield f"misses small objects: {small_hits} of {small_true} right, of larger ones {large_hits} of {large_true}"
    elif true >= limits.least_objects and recall.high is not None and recall.high < limits.target:
        yield f"misses objects or their class: {hits} of {true} right"


def _outlines(score: GoldScore, limits: GoldLimits) -> Iterator[str]:
    offset = score.figures["outline_offset_px"]
    if offset.value is None or offset.low is None or offset.high is None or abs(offset.value) < limits.advise_px:
        return
    if offset.low > 0:
        yield f"draws {offset.value:.1f} px too wide ({offset.low:.1f} to {offset.high:.1f})"
    elif offset.high < 0:
        yield f"draws {-offset.value:.1f} px too narrow ({-offset.high:.1f} to {-offset.low:.1f})"


def _confusions(images: Sequence[GoldImage], limits: GoldLimits) -> Iterator[str]:
    for true, said in sorted({pair for one in images for pair in one.confusions}):
        sides = sides_of(images, partial(_confused, true, said))
        if _surely_over(limits.advise_share, sides):
            yield "takes {} for {}: {} of {}".format(true, said, *_counted(sides))


def _extras(images: Sequence[GoldImage], limits: GoldLimits) -> Iterator[str]:
    sides = sides_of(images, lambda one: (one.drawn - one.hits - len(one.confusions), one.drawn))
    if _surely_over(limits.advise_share, sides):
        yield "marks what is no object: {} of {}".format(*_counted(sides))


def _drift(score: GoldScore) -> Iterator[str]:
    if score.drifting:
        assert score.change.value is not None
        yield f"got worse: F1 fell by {-score.change.value:.2f} against earlier rounds"


def _confused(true: str, said: str, one: GoldImage) -> tuple[int, int]:
    return one.confusions.count((true, said)), one.true_of.get(true, 0)


def _surely_over(limit: float, sides: Sides) -> bool:
    share = wilson_over_groups(sides)
    return share.low is not None and share.low > limit


def _counted(sides: Sides) -> tuple[int, int]:
    return int(np.sum(sides.tops)), int(np.sum(sides.bottoms))
