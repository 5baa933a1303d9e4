"""What to tell an annotator: sentences, each with the numbers it rests on."""

from collections.abc import Iterator, Sequence

from datalab.quality.gold import GoldImage
from datalab.quality.gold_score import GoldLimits, GoldScore
from datalab.quality.proportion import newcombe, wilson


def advice(images: Sequence[GoldImage], score: GoldScore, limits: GoldLimits) -> list[str]:
    """What all of an interval of 95% says and is large enough to matter, missed objects first; [] where nothing is."""
    return [
        *_misses(images, score, limits),
        *_outlines(score, limits),
        *_confusions(images, limits),
        *_extras(score, limits),
        *_drift(score),
    ]


def _misses(images: Sequence[GoldImage], score: GoldScore, limits: GoldLimits) -> Iterator[str]:
    small, small_hits = sum(one.small_true for one in images), sum(one.small_hits for one in images)
    true, hits = sum(one.true for one in images), sum(one.hits for one in images)
    apart = newcombe(hits - small_hits, true - small, small_hits, small)
    recall = score.figures["recall"]
    if apart.low is not None and apart.low > 0:
        larger = f"{hits - small_hits} of {true - small}"
        yield f"misses small objects: {small_hits} of {small} right, of larger ones {larger}"
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
    found = [pair for one in images for pair in one.confusions]
    for true, said in sorted(set(found)):
        share = wilson(found.count((true, said)), sum(one.true_of.get(true, 0) for one in images))
        if share.low is not None and share.low > limits.advise_share:
            yield f"takes {true} for {said}: {found.count((true, said))} of {share.n}"


def _extras(score: GoldScore, limits: GoldLimits) -> Iterator[str]:
    extra = score.objects["extra"]
    share = wilson(extra, extra + score.objects["matched"] + score.objects["confused"])
    if share.low is not None and share.low > limits.advise_share:
        yield f"marks what is no object: {extra} of {share.n}"


def _drift(score: GoldScore) -> Iterator[str]:
    if score.drifting:
        assert score.change.value is not None
        yield f"got worse: F1 fell by {-score.change.value:.2f} against earlier rounds"
