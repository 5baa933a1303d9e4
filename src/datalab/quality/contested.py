"""The contested part of an image: a reviewer's answer to it, beside what nobody contested."""

from collections.abc import Sequence

from datalab.masks import lies_in, rle_union
from datalab.quality.adjudication import Decision, adjudicated
from datalab.quality.consensus import Merged
from datalab.quality.matching import match_regions
from datalab.quality.rated import RatedImage


def decided_objects(
    before: Sequence[Merged], decision: Decision, rated: Sequence[RatedImage], iou_threshold: float
) -> list[Merged]:
    """The objects of an image after a decision, of which `before` says what people made of it.

    A decision about the whole image (`asked` "") is all there is. One about a part takes the place of all objects in
    that part, for the reviewer could change them all; what lies elsewhere stays, doubts that came up since too. An
    object of the answer that repeats one that stays is that one.
    """
    answered = adjudicated(decision, rated, iou_threshold)
    if not decision.asked:
        return answered
    height, width = decision.height, decision.width
    staying = [
        one
        for one in before
        if not lies_in(rle_union((one.rle, one.disputed), height, width), decision.asked, height, width)
    ]
    kept = [(one.label, one.rle) for one in staying if one.kept]
    repeats = {match.right for match in match_regions(kept, decision.regions, height, width, iou_threshold).matches}
    return [*staying, *(one for place, one in enumerate(answered) if place not in repeats)]
