"""Who the tests watch: somebody without a fault, of whom each test spoils one thing, and shapes typed by hand."""

import numpy as np

from datalab.masks import BoolMask, mask_to_rle
from datalab.simulate.labeling import Annotator, Region
from datalab.simulate.profile import Profile, Seconds

SECONDS = Seconds(look=4, keep=1, relabel=2, delete=1.5, correct=6, draw=3, draw_per_px=0.1, spread=0)
FAULTLESS = Profile(
    name="faultless", jitter_px=0, bias_px=0, miss=0, miss_small=0, wrong_class=0, spurious=0, keep_iou=1,
    correct_iou=0.5, keep_wrong=0, pace=1, small_share=0.005, seconds=SECONDS,
)  # fmt: skip
CLASSES = ("coin", "cup")
SIDE = 40


def square(top: int, left: int, side: int = 10, canvas: int = SIDE) -> BoolMask:
    mask = np.zeros((canvas, canvas), dtype=bool)
    mask[top : top + side, left : left + side] = True
    return mask


def region(name: str, mask: BoolMask, label: str = "coin") -> Region:
    return Region(name, label, mask_to_rle(mask))


def annotator(profile: Profile, seed: int = 0, side: int = SIDE) -> Annotator:
    return Annotator(profile, CLASSES, side, side, np.random.default_rng(seed))
