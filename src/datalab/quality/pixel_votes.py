"""Which pixels belong to an object that several people drew: votes by name, inside the box around all its masks.

Every vote takes `cuts`, (raters, h, w) boolean, none of them empty, and `voices`, one positive skill per rater, and
gives the (h, w) boolean result. Libraries differ where votes tie; here a tie is background, but for `rasa` and
`staple`, which may call it inside.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from datalab.errors import InputError
from datalab.masks import BoolMask, crop_to_rle, rles_to_cuts

Cuts = npt.NDArray[np.bool_]
Voices = npt.NDArray[np.float64]
PixelVote = Callable[[Cuts, Voices], BoolMask]

TIE = 1e-9
"""Rounding: equal voices must tie, whatever their sum."""
MOST_ROUNDS = 100
"""Of STAPLE's iteration; it settles in about ten."""


def majority(cuts: Cuts, voices: Voices) -> BoolMask:
    """More than half of the heads; skill does not count."""
    inside: BoolMask = 2 * cuts.sum(axis=0) > len(cuts)
    return inside


def skill_weighted(cuts: Cuts, voices: Voices) -> BoolMask:
    """More than half of the skill."""
    inside: BoolMask = np.tensordot(voices, cuts, axes=1) / voices.sum() > 0.5 + TIE
    return inside


def staple(cuts: Cuts, voices: Voices) -> BoolMask:
    """STAPLE (Warfield, Zou & Wells 2004) by SimpleITK: sensitivity and specificity of each rater by EM.

    Its prior is the share of foreground in the box, so it is always run on the box and never on the whole image.
    Masks that are all the same leave it nothing to estimate (NaN); the answer is that mask.
    """
    import SimpleITK  # noqa: PLC0415  (keeps the command line quick)

    if (cuts == cuts[0]).all():
        return np.array(cuts[0], dtype=np.bool_)
    images = [SimpleITK.GetImageFromArray(cut.astype(np.uint8)) for cut in cuts]
    filter_ = SimpleITK.STAPLEImageFilter()
    filter_.SetForegroundValue(1.0)
    filter_.SetMaximumIterations(MOST_ROUNDS)
    sure = SimpleITK.GetArrayFromImage(filter_.Execute(images))
    return majority(cuts, voices) if np.isnan(sure).any() else np.asarray(sure > 0.5 + TIE, dtype=np.bool_)


def em(cuts: Cuts, voices: Voices) -> BoolMask:
    """One-coin Dawid-Skene of every pixel (Lee, Das Sarma & Parameswaran 2018) by crowd-kit: one skill per rater."""
    from crowdkit.aggregation import SegmentationEM  # noqa: PLC0415  (two seconds)

    # a pixel that is certain has the logarithm of 0; its sum only decides when the iteration stops
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(SegmentationEM().fit_predict(_as_table(cuts)).iloc[0], dtype=np.bool_)


def rasa(cuts: Cuts, voices: Voices) -> BoolMask:
    """Votes weighed anew by their distance to the result (Li & Fukumoto 2019) by crowd-kit. A tie is foreground."""
    from crowdkit.aggregation import SegmentationRASA  # noqa: PLC0415  (two seconds)

    return np.asarray(SegmentationRASA().fit_predict(_as_table(cuts)).iloc[0], dtype=np.bool_)


PIXEL_VOTES: Mapping[str, PixelVote] = {
    "majority": majority,
    "skill_weighted": skill_weighted,
    "staple": staple,
    "em": em,
    "rasa": rasa,
}


def vote_pixels(name: str, shapes: Sequence[str], voices: Sequence[float], height: int, width: int) -> str:
    """The RLE of the pixels that the vote called `name` keeps of these masks (RLE, not empty).

    Where nothing is left, the mask with the strongest voice, the first of several. InputError for an unknown name.
    """
    if name not in PIXEL_VOTES:
        raise InputError(f"there is no pixel vote {name!r}; known: {', '.join(PIXEL_VOTES)}")
    if len(shapes) == 1:
        return shapes[0]
    top, left, cuts = rles_to_cuts(shapes, height)
    inside = PIXEL_VOTES[name](cuts, np.array(voices, dtype=np.float64))
    kept = inside if inside.any() else cuts[int(np.argmax(voices))]
    return crop_to_rle(kept, top, left, height, width)


def _as_table(cuts: Cuts) -> pd.DataFrame:
    return pd.DataFrame({"task": 0, "worker": range(len(cuts)), "segmentation": list(cuts)})
