"""Do no harm: how far the model's choice is trusted, by whether it beat the random part of the same batches."""

from collections.abc import Sequence
from dataclasses import dataclass

from datalab.learning.control import LEAST_IMAGES, difference
from datalab.learning.metrics import Floats

ROUNDS = 2
"""So many rounds in a row without a gain halve the trust once more."""


@dataclass(frozen=True)
class Gain:
    """How much more there was to correct on the chosen images of one batch than on its random ones."""

    chosen: float
    """Mean error of the chosen images, in [0, 1]; `gain` says of what."""
    random: float
    """The same over the random ones."""
    low: float
    """Lower end of the one-sided 90% interval of the difference."""


def gain(chosen: Floats, random: Floats) -> Gain | None:
    """Compare the errors (C,) of a batch's chosen images with those (R,) of its random ones; None where too few.

    An error says how wrong the model was that chose the batch, which had seen neither. It stands for what an image is
    worth; a batch that finds no more errors than chance is not worth choosing.
    """
    if min(len(chosen), len(random)) < LEAST_IMAGES:
        return None
    found = difference([(chosen, random)], level=0.8)
    # where all images of a part are alike there is no interval, and nothing to be unsure about
    low = found.value if found.low is None else found.low
    assert low is not None
    return Gain(float(chosen.mean()), float(random.mean()), low)


def trust(gains: Sequence[Gain | None]) -> float:
    """Share of the chosen part that stays chosen, in (0, 1], of the rounds so far, oldest first.

    Halved whenever the chosen part did not beat the random one (low <= 0) in ROUNDS judged rounds in a row, and doubled
    again, up to 1, with every round in which it did: the rest of the batch is drawn at random.
    """
    share, missed = 1.0, 0
    for one in gains:
        if one is None:
            continue
        missed = 0 if one.low > 0 else missed + 1
        if one.low > 0:
            share = min(1.0, 2 * share)
        elif missed >= ROUNDS:
            share, missed = share / 2, 0
    return share
