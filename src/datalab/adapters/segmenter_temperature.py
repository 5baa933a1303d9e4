"""How sure the segmenter may be: one number that makes its probabilities fit the validation images."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from datalab.adapters.segmenter import Segmenter, members_of
from datalab.adapters.segmenter_network import SegmenterNetwork
from datalab.adapters.segmenter_samples import Sample
from datalab.learning.uncertainty import fit_temperature
from datalab.masks import IGNORE_ID

THINNED = 5
"""Every fifth pixel each way: neighbours say the same."""


def temperature_of(network: SegmenterNetwork, validation: Sequence[Sample], flip: bool) -> float:
    """The temperature that fits the committee to the validation images, within 0.25 and 4; 1 without any.

    `flip`: whether the committee has the mirrored view too, as it must have wherever the temperature is applied.
    """
    asked = Segmenter(network, tuple(range(network.size.classes)), ("",) * network.size.classes, longest_side=0)
    found: list[npt.NDArray[np.float32]] = []
    truths: list[npt.NDArray[np.uint8]] = []
    for sample in validation:
        assert sample.labels is not None
        truth = sample.labels[::THINNED, ::THINNED]
        judged = truth != IGNORE_ID
        members = members_of(asked, sample, flip)[:, :, ::THINNED, ::THINNED]
        found.append(members.transpose(0, 2, 3, 1)[:, judged])
        truths.append(truth[judged])
    return fit_temperature(np.concatenate(found, axis=1), np.concatenate(truths)) if found else 1.0
