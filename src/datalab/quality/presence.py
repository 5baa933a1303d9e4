"""Agreement on whether a class is in an image at all."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from datalab.figure import Figure, undefined
from datalab.quality.bootstrap import bootstrap_ratios, bootstrap_statistic
from datalab.quality.kappa import alpha_of_coincidences, coincidences, fleiss_of_coincidences
from datalab.quality.rated import RatedImages, groups_of, pairs_of


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
    """`alpha`, `fleiss`, `observed`, `positive` and `negative` agreement on one class, and its `prevalence`.

    Alpha (Krippendorff, nominal) takes any number of raters and, like Fleiss' kappa, collapses where a class is rare or
    everywhere; the others show that: of two votes on an image, how often they are equal; equal given one of them says
    present; equal given one says absent (Cicchetti & Feinstein 1990, over all pairs of raters, an image weighing its
    raters); and the share of votes that say present. Intervals are over groups of images.
    """
    counts, groups = presence_counts(images, label), list(groups_of(images).values())
    pairs = coincidences(counts)
    neither, apart, both = pairs[:, 0, 0], pairs[:, 0, 1] + pairs[:, 1, 0], pairs[:, 1, 1]
    return {
        "alpha": bootstrap_statistic(pairs, alpha_of_coincidences, rng, groups=groups),
        "fleiss": _fleiss(pairs, images, rng),
        **bootstrap_ratios(
            {
                "observed": (neither + both, neither + apart + both),
                "positive": (2 * both, 2 * both + apart),
                "negative": (2 * neither, 2 * neither + apart),
                "prevalence": (counts[:, 1], counts.sum(axis=1)),
            },
            rng,
            groups=groups,
        ),
    }


def presence_alpha(images: RatedImages, classes: Sequence[str], rng: np.random.Generator) -> Figure:
    """Krippendorff's alpha over all classes together: whether a class is in an image is one unit.

    Its interval is over groups of images. Unlike a kappa of pairs an image weighs its ratings, not its pairs, and small
    samples are corrected for.
    """
    groups = list(groups_of(images).values())
    return bootstrap_statistic(_of_all_classes(images, classes), alpha_of_coincidences, rng, groups=groups)


def presence_fleiss(images: RatedImages, classes: Sequence[str], rng: np.random.Generator) -> Figure:
    """Fleiss' kappa over all classes together; undefined where images differ in their number of ratings."""
    return _fleiss(_of_all_classes(images, classes), images, rng)


def examples_of(images: RatedImages, label: str) -> tuple[int, int]:
    """Images on which at least half of the raters saw the class, and on which at least half did not."""
    absent, present = presence_counts(images, label).T
    return int((present >= absent).sum()), int((absent >= present).sum())


def _of_all_classes(images: RatedImages, classes: Sequence[str]) -> npt.NDArray[np.float64]:
    """(images, 2, 2) coincidences, summed over the classes."""
    return sum((coincidences(presence_counts(images, name)) for name in classes), np.zeros((len(images), 2, 2)))


def _fleiss(pairs: npt.NDArray[np.float64], images: RatedImages, rng: np.random.Generator) -> Figure:
    raters, groups = sorted(len(rated) for rated in images.values()), list(groups_of(images).values())
    if raters and raters[0] < raters[-1]:
        return undefined(f"images have {raters[0]} to {raters[-1]} ratings; alpha takes them", len(set(groups)))
    return bootstrap_statistic(pairs, fleiss_of_coincidences, rng, groups=groups)
