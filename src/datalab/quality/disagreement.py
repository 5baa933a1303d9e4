"""Where on an image people disagree."""

from collections.abc import Sequence

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
    maps = np.stack(
        [label_map([(ids[label], rle) for label, rle in one.regions], one.height, one.width) for one in rated]
    )
    heads = [np.count_nonzero(maps == place, axis=0) for place in range(len(names) + 1)]
    alike = sum(count * (count - 1) for count in heads)
    pairs = len(rated) * (len(rated) - 1)
    return np.asarray(1 - alike / pairs, dtype=np.float32)
