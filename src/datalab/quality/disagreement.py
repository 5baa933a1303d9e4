"""Where on an image people disagree."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from datalab.masks import label_map
from datalab.quality.rated import RatedImage


def disagreement_map(rated: Sequence[RatedImage]) -> npt.NDArray[np.float32]:
    """(height, width): the share of the pairs of raters who gave a pixel different classes, background included.

    0 where all agree, 1 where no two do. ValueError with fewer than two raters: nobody can disagree alone.
    """
    if len(rated) < 2:
        raise ValueError(f"{len(rated)} rater(s) cannot disagree")
    names = sorted({label for one in rated for label, _ in one.regions})
    ids = {name: place for place, name in enumerate(names, start=1)}
    maps = [label_map([(ids[label], rle) for label, rle in one.regions], one.height, one.width) for one in rated]
    # pair by pair: a count for each class would take hundreds of bytes a pixel
    differ = np.zeros(maps[0].shape, dtype=np.uint16)
    for one, other in combinations(maps, 2):
        differ += one != other
    return np.asarray(differ / np.float32(len(rated) * (len(rated) - 1) / 2), dtype=np.float32)
