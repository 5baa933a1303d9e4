"""What an image costs people: seconds, by how many objects are on it, learned from past rounds."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import siegelslopes

Floats = npt.NDArray[np.float64]
LEAST_RATINGS = 20
"""Fewer say too little about what an object costs."""
MOST_RATINGS = 2000
"""The line is fitted to so many at most: it takes memory by the square of them, 60 MB."""
UNKNOWN_SECONDS = 60.0
"""Before anybody has labelled anything; all images alike, so it decides nothing but how many fit into an hour."""


@dataclass(frozen=True)
class Costs:
    """Seconds of one person's time for one image."""

    base: float
    """For an image with nothing on it, above 0."""
    per_object: float
    """At least 0."""

    def of(self, objects: Floats) -> Floats:
        """Expected seconds (N,) of images with so many objects (N,)."""
        return np.asarray(self.base + self.per_object * objects, dtype=np.float64)


def fit_costs(objects: Floats, seconds: Floats) -> Costs:
    """Costs from past ratings: `objects` (R,) drawn and `seconds` (R,) of lead time; NaN and 0 seconds do not count.

    A line through repeated medians (Siegel 1982), which half of the ratings may upset: people leave tasks open over
    lunch; of more than MOST_RATINGS it is that of so many, spread evenly. With fewer than LEAST_RATINGS, or where all
    have as many objects, every image costs the median.
    """
    told = np.isfinite(seconds) & (seconds > 0)
    objects, seconds = objects[told], seconds[told]
    if not len(seconds):
        return Costs(UNKNOWN_SECONDS, 0.0)
    middle = float(np.median(seconds))
    if len(seconds) < LEAST_RATINGS or len(np.unique(objects)) < 2:
        return Costs(middle, 0.0)
    spread = np.linspace(0, len(seconds) - 1, min(len(seconds), MOST_RATINGS)).astype(np.intp)
    slope, intercept = siegelslopes(seconds[spread], objects[spread])
    if slope <= 0:
        return Costs(middle, 0.0)
    return Costs(max(float(intercept), 0.05 * middle), float(slope))
