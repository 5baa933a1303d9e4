"""Intervals by resampling whole images: pixels and objects of one image are not independent."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from datalab.quality.figure import Figure, undefined

REPLICATES = 2000
MOST_UNDEFINED = 0.05
"""Share of replicates without a value above which there is no interval: too few images carry the figure."""
Statistic = Callable[[npt.NDArray[np.floating]], float | None]
Floats = npt.NDArray[np.float64]


def bootstrap_ratio(
    numerators: npt.ArrayLike, denominators: npt.ArrayLike, rng: np.random.Generator, replicates: int = REPLICATES
) -> Figure:
    """sum(numerators) / sum(denominators), both of shape (images,), with a percentile bootstrap interval of 95%.

    A mean is a ratio with denominators of 1. `n` counts the images with a denominator. Undefined where all are 0.
    """
    top, bottom = np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)
    n = int(np.count_nonzero(bottom))
    if n == 0:
        return undefined("nothing to count")
    weights = _weights(len(top), rng, replicates)
    drawn = weights @ bottom
    ratios = (weights @ top)[drawn > 0] / drawn[drawn > 0]
    return _figure(float(top.sum() / bottom.sum()), n, ratios, replicates)


def bootstrap_statistic(
    tables: npt.NDArray[np.floating] | npt.NDArray[np.integer],
    statistic: Statistic,
    rng: np.random.Generator,
    replicates: int = REPLICATES,
) -> Figure:
    """A statistic of the sum of per-image tables (images, ...), with a percentile bootstrap interval of 95%.

    `n` counts the images. Undefined where the statistic of all images is.
    """
    value = statistic(tables.sum(axis=0)) if len(tables) else None
    if value is None:
        return undefined("only one category was seen" if len(tables) else "nothing to count", len(tables))
    sums = np.tensordot(_weights(len(tables), rng, replicates), tables, axes=1)
    found = [one for one in map(statistic, sums) if one is not None]
    return _figure(value, len(tables), np.array(found), replicates)


def sum_by_image(tables: npt.NDArray[np.integer], image_ids: Sequence[str]) -> Floats:
    """(pairs, ...) tables summed to (images, ...), in the order in which the images come."""
    places = {image_id: place for place, image_id in enumerate(dict.fromkeys(image_ids))}
    sums = np.zeros((len(places), *tables.shape[1:]))
    np.add.at(sums, [places[image_id] for image_id in image_ids], tables)
    return sums


def _weights(images: int, rng: np.random.Generator, replicates: int) -> Floats:
    """(replicates, images): how often each image is drawn."""
    return rng.multinomial(images, np.full(images, 1 / images), size=replicates).astype(np.float64)


def _figure(value: float, n: int, found: Floats, replicates: int) -> Figure:
    if n < 2:
        return Figure(value, n, reason="no interval from one image")
    if len(found) < (1 - MOST_UNDEFINED) * replicates:
        return Figure(value, n, reason=f"no interval: undefined in {replicates - len(found)} of {replicates} resamples")
    low, high = np.quantile(found, [0.025, 0.975])
    return Figure(value, n, float(low), float(high))
