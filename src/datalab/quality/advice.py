"""What to tell an annotator: sentences, each with the numbers it rests on."""

from collections.abc import Iterator, Sequence

from datalab.quality.gold import GoldImage
from datalab.quality.gold_score import GoldLimits, GoldScore
from datalab.quality.proportion import newcombe_over_images, wilson_over_images

Counts = tuple[list[int], list[int]]
"""Hits and objects, image by image."""


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
    small = [one.small_hits for one in images], [one.small_true for one in images]
    large = [one.hits - one.small_hits for one in images], [one.true - one.small_true for one in images]
    (small_hits, small_true), (large_hits, large_true) = _counted(small), _counted(large)
    hits, true = small_hits + large_hits, small_true + large_true
    apart = newcombe_over_images(large, small)
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
        sides = [one.confusions.count((true, said)) for one in images], [one.true_of.get(true, 0) for one in images]
        if _surely_over(limits.advise_share, sides):
            yield "takes {} for {}: {} of {}".format(true, said, *_counted(sides))


def _extras(images: Sequence[GoldImage], limits: GoldLimits) -> Iterator[str]:
    sides = [one.drawn - one.hits - len(one.confusions) for one in images], [one.drawn for one in images]
    if _surely_over(limits.advise_share, sides):
        yield "marks what is no object: {} of {}".format(*_counted(sides))


def _drift(score: GoldScore) -> Iterator[str]:
    if score.drifting:
        assert score.change.value is not None
        yield f"got worse: F1 fell by {-score.change.value:.2f} against earlier rounds"


def _surely_over(limit: float, sides: Counts) -> bool:
    share = wilson_over_images(sides)
    return share.low is not None and share.low > limit


def _counted(sides: Counts) -> tuple[int, int]:
    return sum(sides[0]), sum(sides[1])
