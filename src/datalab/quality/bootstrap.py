"""Intervals by resampling whole images: pixels and objects of one image are not independent."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from datalab.figure import Figure, undefined

REPLICATES = 2000
MOST_UNDEFINED = 0.05
"""Share of replicates without a value above which there is no interval: too few images carry the figure."""
BLOCK = 2_000_000
"""Draws held at once: 10,000 images would fill 160 MB if all replicates were drawn before any is summed."""
Statistic = Callable[[npt.NDArray[np.floating]], float | None]
Floats = npt.NDArray[np.float64]


def bootstrap_ratio(
    numerators: npt.ArrayLike, denominators: npt.ArrayLike, rng: np.random.Generator, replicates: int = REPLICATES
) -> Figure:
    """sum(numerators) / sum(denominators), both of shape (images,), with a percentile bootstrap interval of 95%.

    A mean is a ratio with denominators of 1. `n` counts the images with a denominator. Undefined where all are 0.
    """
    return bootstrap_ratios({"ratio": (numerators, denominators)}, rng, replicates)["ratio"]


def bootstrap_ratios(
    columns: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]], rng: np.random.Generator, replicates: int = REPLICATES
) -> dict[str, Figure]:
    """Several ratios (numerators, denominators) over the same images, all from the same draws."""
    sides = [np.asarray(side, dtype=np.float64) for pair in columns.values() for side in pair]
    values = np.stack(sides, axis=1) if sides else np.zeros((0, 0))
    drawn = _resampled(values, rng, replicates) if len(values) else np.zeros((replicates, len(sides)))
    return {
        name: _ratio(values[:, 2 * place], values[:, 2 * place + 1], drawn[:, 2 * place], drawn[:, 2 * place + 1])
        for place, name in enumerate(columns)
    }


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
    sums = _resampled(tables.reshape(len(tables), -1), rng, replicates).reshape(-1, *tables.shape[1:])
    found = [one for one in map(statistic, sums) if one is not None]
    return _figure(value, len(tables), np.array(found), replicates)


def sum_by_image(tables: npt.NDArray[np.integer] | Floats, image_ids: Sequence[str]) -> Floats:
    """(pairs, ...) tables summed to (images, ...), in the order in which the images come."""
    places = {image_id: place for place, image_id in enumerate(dict.fromkeys(image_ids))}
    sums = np.zeros((len(places), *tables.shape[1:]))
    np.add.at(sums, [places[image_id] for image_id in image_ids], tables)
    return sums


def _resampled(
    values: npt.NDArray[np.floating] | npt.NDArray[np.integer], rng: np.random.Generator, replicates: int
) -> Floats:
    """(replicates, columns): sums of (images, columns) over as many images, drawn with replacement."""
    images = len(values)
    rows = max(1, min(replicates, BLOCK // images))
    sums = []
    for start in range(0, replicates, rows):
        count = min(rows, replicates - start)
        drawn = rng.integers(0, images, (count, images)) + images * np.arange(count)[:, None]
        times = np.bincount(drawn.ravel(), minlength=count * images).reshape(count, images)
        sums.append(times.astype(np.float64) @ values)
    return np.concatenate(sums)


def _ratio(top: Floats, bottom: Floats, tops: Floats, bottoms: Floats) -> Figure:
    n = int(np.count_nonzero(bottom))
    if n == 0:
        return undefined("nothing to count")
    return _figure(float(top.sum() / bottom.sum()), n, tops[bottoms > 0] / bottoms[bottoms > 0], len(bottoms))


def _figure(value: float, n: int, found: Floats, replicates: int) -> Figure:
    if n < 2:
        return Figure(value, n, reason="no interval from one image")
    if len(found) < (1 - MOST_UNDEFINED) * replicates:
        return Figure(value, n, reason=f"no interval: undefined in {replicates - len(found)} of {replicates} resamples")
    low, high = np.quantile(found, [0.025, 0.975])
    return Figure(value, n, float(low), float(high))
