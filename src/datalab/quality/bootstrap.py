"""Intervals over whole images: pixels and objects of one image are not independent.

Images are resampled, and the percentiles widened (`resampling`), since resamples of a few are far too alike. Where only
a few are to be expected, they are left out one at a time (the jackknife, Tukey 1958) and have Student's t.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtrit

from datalab.figure import Figure, undefined
from datalab.resampling import SIDE, tail

REPLICATES = 2000
MOST_UNDEFINED = 0.05
"""Share of replicates without a value above which there is no interval: too few images carry the figure."""
BLOCK = 2_000_000
"""Draws held at once: 10,000 images would fill 160 MB if all replicates were drawn before any is summed."""
Statistic = Callable[[npt.NDArray[np.floating]], float | None]
Floats = npt.NDArray[np.float64]
Sides = tuple[npt.ArrayLike, npt.ArrayLike]
"""Numerators and denominators of a ratio of sums, one per image."""
ROUNDING = 1e-18
"""Variance of figures that are the same but for rounding."""


def bootstrap_ratio(
    numerators: npt.ArrayLike, denominators: npt.ArrayLike, rng: np.random.Generator, replicates: int = REPLICATES
) -> Figure:
    """sum(numerators) / sum(denominators), both of shape (images,), with a bootstrap interval of 95%.

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
    """A statistic of the sum of per-image tables (images, ...), with a bootstrap interval of 95%.

    `n` counts the images. Undefined where the statistic of all images is.
    """
    value = statistic(tables.sum(axis=0)) if len(tables) else None
    if value is None:
        return undefined("only one category was seen" if len(tables) else "nothing to count", len(tables))
    sums = _resampled(tables.reshape(len(tables), -1), rng, replicates).reshape(-1, *tables.shape[1:])
    found = [one for one in map(statistic, sums) if one is not None]
    return _figure(value, len(tables), np.array(found), replicates)


def student_ratio(sides: Sides) -> Figure:
    """The ratio of sums with Student's t interval of 95% over images.

    `n` counts the images with a denominator. There is no interval from a single one, nor where all are alike. Undefined
    where none has a denominator.
    """
    ratio, values = _pseudo_values(sides)
    if ratio is None:
        return undefined("nothing to count")
    return _student(ratio, len(values), _spread(values) / len(values), len(values) - 1)


def student_difference(first: Sides, second: Sides) -> Figure:
    """The first ratio of sums less the second, of different images, with an interval of 95%.

    Student's t with unequal variances (Welch 1947, Satterthwaite 1946), no side's below the pooled one: a few perfect
    images are all alike by chance, and say nothing about how images differ. `n` counts the images with a denominator of
    both sides; otherwise as in `student_ratio`.
    """
    (ratio, values), (other, others) = _pseudo_values(first), _pseudo_values(second)
    n = len(values) + len(others)
    if ratio is None or other is None:
        return undefined("nothing to compare with", n)
    freedoms = np.array([len(values) - 1, len(others) - 1])
    if not freedoms.all():
        return _student(ratio - other, n, 0.0, 0)
    spreads = np.array([_spread(values), _spread(others)])
    shares = np.maximum(spreads, freedoms @ spreads / freedoms.sum()) / (freedoms + 1)
    variance = float(shares.sum())
    freedom = variance**2 / float((shares**2 / freedoms).sum()) if variance > 0 else 1.0
    return _student(ratio - other, n, variance, freedom)


def design_effect(groups: Sequence[Sides]) -> float | None:
    """How many objects (denominators) say as much as one would if objects of an image were independent; 1 or more.

    The variance of each group's share of hits (numerators) over images, against the binomial one (Kish 1965), pooled;
    and more for few images, by Student's t against the normal distribution (Korn & Graubard 1998). None where no group
    has two images with an object.
    """
    among = within = 0.0
    freedom = 0
    for sides in groups:
        share, values = _pseudo_values(sides)
        if share is not None and len(values) > 1:
            freedom += len(values) - 1
            among += (len(values) - 1) * _spread(values) / len(values) * float(np.sum(sides[1]))
            within += (len(values) - 1) * share * (1 - share)
    if not freedom:
        return None
    clustered = max(1.0, among / within) if within > 0 else 1.0
    return clustered * float(stdtrit(freedom, SIDE) / ndtri(SIDE)) ** 2


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


def _pseudo_values(sides: Sides) -> tuple[float | None, Floats]:
    """The ratio of sums, and (n,) of the n images with a denominator: n times the ratio less n - 1 times the ratio
    without that image.

    They vary as the ratio does, and where denominators are equal they are the images' own ratios. None and [] without a
    denominator.
    """
    top, bottom = (np.asarray(side, dtype=np.float64) for side in sides)
    top, bottom = top[bottom > 0], bottom[bottom > 0]
    n = len(top)
    if n == 0:
        return None, top
    ratio = float(top.sum() / bottom.sum())
    without = (top.sum() - top) / (bottom.sum() - bottom) if n > 1 else np.array([ratio])
    return ratio, n * ratio - (n - 1) * without


def _spread(values: Floats) -> float:
    """Their variance, 0 of a single one."""
    return float(values.var(ddof=1)) if len(values) > 1 else 0.0


def _student(value: float, n: int, variance: float, freedom: float) -> Figure:
    if not freedom:
        return Figure(value, n, reason="no interval from one image")
    if variance < ROUNDING:
        return Figure(value, n, reason="no interval: all images are alike")
    reach = float(stdtrit(freedom, SIDE)) * variance**0.5
    return Figure(value, n, value - reach, value + reach)


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
    left_out = float(tail(n))
    low, high = np.quantile(found, [left_out, 1 - left_out])
    return Figure(value, n, float(low), float(high))
