"""Agreement on whether a class is in an image at all."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from datalab.quality.bootstrap import bootstrap_ratio, bootstrap_statistic
from datalab.quality.figure import Figure
from datalab.quality.kappa import alpha_of_coincidences, coincidences
from datalab.quality.rated import RatedImages, pairs_of


def presence_tables(images: RatedImages, classes: Sequence[str]) -> npt.NDArray[np.int64]:
    """(pairs, classes, 2, 2) of 0 and 1, in the order of `pairs_of`: first axis of the table is annotator a."""
    tables = np.zeros((sum(1 for _ in pairs_of(images)), len(classes), 2, 2), dtype=np.int64)
    for place, (a, b) in enumerate(pairs_of(images)):
        for number, name in enumerate(classes):
            tables[place, number, int(a.has(name)), int(b.has(name))] = 1
    return tables


def presence_counts(images: RatedImages, label: str) -> npt.NDArray[np.int64]:
    """(images, 2): how many of its raters said absent, and present."""
    votes = [[one.has(label) for one in rated] for rated in images.values()]
    return np.array([[row.count(False), row.count(True)] for row in votes], dtype=np.int64).reshape(-1, 2)


def class_presence(images: RatedImages, label: str, rng: np.random.Generator) -> dict[str, Figure]:
    """`alpha`, `observed`, `positive` and `negative` agreement on one class, resampled over images.

    Alpha (Krippendorff, nominal) takes any number of raters and collapses where a class is rare or everywhere; the
    other three show that: of two votes on an image, how often they are equal; equal given one of them says present;
    equal given one says absent (Cicchetti & Feinstein 1990, over all pairs of raters, an image weighing its raters).
    """
    pairs = coincidences(presence_counts(images, label))
    neither, apart, both = pairs[:, 0, 0], pairs[:, 0, 1] + pairs[:, 1, 0], pairs[:, 1, 1]
    return {
        "alpha": bootstrap_statistic(pairs, alpha_of_coincidences, rng),
        "observed": bootstrap_ratio(neither + both, neither + apart + both, rng),
        "positive": bootstrap_ratio(2 * both, 2 * both + apart, rng),
        "negative": bootstrap_ratio(2 * neither, 2 * neither + apart, rng),
    }


def presence_alpha(images: RatedImages, classes: Sequence[str], rng: np.random.Generator) -> Figure:
    """Krippendorff's alpha over all classes together: whether a class is in an image is one unit; images are resampled.

    Unlike a kappa of pairs an image weighs its ratings, not its pairs, and small samples are corrected for.
    """
    tables = sum((coincidences(presence_counts(images, name)) for name in classes), np.zeros((len(images), 2, 2)))
    return bootstrap_statistic(tables, alpha_of_coincidences, rng)
