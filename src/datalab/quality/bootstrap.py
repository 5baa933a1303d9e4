"""Intervals over groups of images: pixels and objects of one image are not independent, nor are frames of one clip.

What is counted of images is added up over a group before anything is drawn or left out; an image that hangs together
with no other is a group of one. Groups are resampled, and the percentiles widened (`resampling`), since resamples of a
few are far too alike. Where only a few are to be expected, they are left out one at a time (the jackknife, Tukey 1958)
and have Student's t. A figure's value is pooled over images, whatever their groups are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtrit

from datalab.figure import Figure, undefined
from datalab.resampling import SIDE, joint_freedom, raised_spreads, tail

REPLICATES = 2000
MOST_UNDEFINED = 0.05
"""Share of replicates without a value above which there is no interval: too few groups carry the figure."""
BLOCK = 2_000_000
"""Draws held at once: 10,000 images would fill 160 MB if all replicates were drawn before any is summed."""
Statistic = Callable[[npt.NDArray[np.floating]], float | None]
Floats = npt.NDArray[np.float64]
ROUNDING = 1e-18
"""Variance of figures that are the same but for rounding."""


@dataclass(frozen=True)
class Sides:
    """A ratio of sums over images."""

    tops: npt.ArrayLike
    """(images,) numerators."""
    bottoms: npt.ArrayLike
    """(images,) denominators."""
    groups: Sequence[str] | None = None
    """(images,) what each hangs together with; None: no two of them do."""

    @property
    def images(self) -> int:
        """Those with a denominator."""
        return int(np.count_nonzero(self.bottoms))


def bootstrap_ratio(
    numerators: npt.ArrayLike,
    denominators: npt.ArrayLike,
    rng: np.random.Generator,
    replicates: int = REPLICATES,
    groups: Sequence[str] | None = None,
) -> Figure:
    """sum(numerators) / sum(denominators), both of shape (images,), with a bootstrap interval of 95%.

    A mean is a ratio with denominators of 1. `groups`: of each image what it hangs together with; None: no two do. `n`
    counts the groups with a denominator. Undefined where all are 0.
    """
    return bootstrap_ratios({"ratio": (numerators, denominators)}, rng, replicates, groups)["ratio"]


def bootstrap_ratios(
    columns: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]],
    rng: np.random.Generator,
    replicates: int = REPLICATES,
    groups: Sequence[str] | None = None,
) -> dict[str, Figure]:
    """Several ratios (numerators, denominators) over the same images, all from the same draws."""
    sides = [np.asarray(side, dtype=np.float64) for pair in columns.values() for side in pair]
    values = np.stack(sides, axis=1) if sides else np.zeros((0, 0))
    sums = sum_groups(values, groups)
    drawn = _resampled(sums, rng, replicates) if len(sums) else np.zeros((replicates, len(sides)))
    return {
        name: _ratio(*(table[:, 2 * place : 2 * place + 2].T for table in (values, sums, drawn)))
        for place, name in enumerate(columns)
    }


def bootstrap_statistic(
    tables: npt.NDArray[np.floating] | npt.NDArray[np.integer],
    statistic: Statistic,
    rng: np.random.Generator,
    replicates: int = REPLICATES,
    groups: Sequence[str] | None = None,
) -> Figure:
    """A statistic of the sum of per-image tables (images, ...), with a bootstrap interval of 95%.

    `groups` as in `bootstrap_ratio`; `n` counts them. Undefined where the statistic of all images is.
    """
    sums = sum_groups(tables, groups)
    value = statistic(tables.sum(axis=0)) if len(tables) else None
    if value is None:
        return undefined("only one category was seen" if len(tables) else "nothing to count", len(sums))
    drawn = _resampled(sums.reshape(len(sums), -1), rng, replicates).reshape(-1, *tables.shape[1:])
    found = [one for one in map(statistic, drawn) if one is not None]
    return _figure(value, len(sums), len(tables), np.array(found), replicates)


def student_ratio(sides: Sides) -> Figure:
    """The ratio of sums with Student's t interval of 95% over groups of images.

    `n` counts the groups with a denominator. There is no interval from a single one, nor where all are alike. Undefined
    where none has a denominator.
    """
    ratio, values = _pseudo_values(sides)
    if ratio is None:
        return undefined("nothing to count")
    return _student(ratio, len(values), sides.images, _spread(values) / len(values), len(values) - 1)


def student_difference(first: Sides, second: Sides) -> Figure:
    """The first ratio of sums less the second, of different images, with an interval of 95%.

    Student's t with unequal variances (Welch 1947, Satterthwaite 1946), no side's below the pooled one: a few perfect
    images are all alike by chance, and say nothing about how images differ. `n` counts the groups with a denominator of
    both sides; otherwise as in `student_ratio`.
    """
    (ratio, values), (other, others) = _pseudo_values(first), _pseudo_values(second)
    n, images = len(values) + len(others), first.images + second.images
    if ratio is None or other is None:
        return undefined("nothing to compare with", n)
    freedoms = np.array([len(values) - 1.0, len(others) - 1.0])
    if not freedoms.all():
        alone = max(side.images for side, count in ((first, len(values)), (second, len(others))) if count == 1)
        return Figure(ratio - other, n, reason=no_interval(alone))
    spreads = np.array([_spread(values), _spread(others)])
    shares = raised_spreads(spreads, freedoms) / (freedoms + 1)
    variance = float(shares.sum())
    freedom = joint_freedom(shares, freedoms) if variance > 0 else 1.0
    return _student(ratio - other, n, images, variance, freedom)


def design_effect(compared: Sequence[Sides]) -> float | None:
    """How many objects (denominators) say as much as one would if objects of a group were independent; 1 or more.

    The variance of each side's share of hits (numerators) over groups, against the binomial one (Kish 1965), pooled;
    and more for few groups, by Student's t against the normal distribution (Korn & Graubard 1998). None where no side
    has two groups with an object.
    """
    among = within = 0.0
    freedom = 0
    for sides in compared:
        share, values = _pseudo_values(sides)
        if share is not None and len(values) > 1:
            freedom += len(values) - 1
            among += (len(values) - 1) * _spread(values) / len(values) * float(np.sum(sides.bottoms))
            within += (len(values) - 1) * share * (1 - share)
    if not freedom:
        return None
    clustered = max(1.0, among / within) if within > 0 else 1.0
    return clustered * float(stdtrit(freedom, SIDE) / ndtri(SIDE)) ** 2


def sum_by(tables: npt.NDArray[np.integer] | npt.NDArray[np.floating], names: Sequence[str]) -> Floats:
    """(rows, ...) tables summed to (names, ...), in the order in which the names come: pairs to images, for example."""
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    sums = np.zeros((len(places), *tables.shape[1:]))
    np.add.at(sums, [places[name] for name in names], tables)
    return sums


def sum_groups(tables: npt.NDArray[np.integer] | npt.NDArray[np.floating], groups: Sequence[str] | None) -> Floats:
    """(images, ...) tables summed to (groups, ...); as they are where no two images hang together (None)."""
    return tables.astype(np.float64) if groups is None else sum_by(tables, groups)


def no_interval(images: int) -> str:
    """Why there is none where so many images are all of one group."""
    return "no interval from one image" if images == 1 else f"no interval: all {images} images are of one group"


def _resampled(values: Floats, rng: np.random.Generator, replicates: int) -> Floats:
    """(replicates, columns): sums of (groups, columns) over as many groups, drawn with replacement."""
    groups = len(values)
    rows = max(1, min(replicates, BLOCK // groups))
    sums = []
    for start in range(0, replicates, rows):
        count = min(rows, replicates - start)
        drawn = rng.integers(0, groups, (count, groups)) + groups * np.arange(count)[:, None]
        times = np.bincount(drawn.ravel(), minlength=count * groups).reshape(count, groups)
        sums.append(times.astype(np.float64) @ values)
    return np.concatenate(sums)


def _pseudo_values(sides: Sides) -> tuple[float | None, Floats]:
    """The ratio of sums, and (n,) of the n groups with a denominator: n times the ratio less n - 1 times the ratio
    without that group.

    They vary as the ratio does, and where denominators are equal they are the groups' own ratios. None and [] without a
    denominator.
    """
    top, bottom = (np.asarray(side, dtype=np.float64) for side in (sides.tops, sides.bottoms))
    tops, bottoms = sum_groups(top, sides.groups), sum_groups(bottom, sides.groups)
    tops, bottoms = tops[bottoms > 0], bottoms[bottoms > 0]
    n = len(tops)
    if n == 0:
        return None, tops
    ratio = float(top[bottom > 0].sum() / bottom[bottom > 0].sum())
    without = (tops.sum() - tops) / (bottoms.sum() - bottoms) if n > 1 else np.array([ratio])
    return ratio, n * ratio - (n - 1) * without


def _spread(values: Floats) -> float:
    """Their variance, 0 of a single one."""
    return float(values.var(ddof=1)) if len(values) > 1 else 0.0


def _student(value: float, n: int, images: int, variance: float, freedom: float) -> Figure:
    if not freedom:
        return Figure(value, n, reason=no_interval(images))
    if variance < ROUNDING:
        return Figure(value, n, reason=f"no interval: all {'images' if n == images else 'groups of images'} are alike")
    reach = float(stdtrit(freedom, SIDE)) * variance**0.5
    return Figure(value, n, value - reach, value + reach)


def _ratio(of_images: Floats, of_groups: Floats, of_draws: Floats) -> Figure:
    """From numerators and denominators, (2, images), (2, groups) and (2, replicates)."""
    (top, bottom), (tops, bottoms) = of_images, of_draws
    n, images = int(np.count_nonzero(of_groups[1])), int(np.count_nonzero(bottom))
    if n == 0:
        return undefined("nothing to count")
    found = tops[bottoms > 0] / bottoms[bottoms > 0]
    return _figure(float(top.sum() / bottom.sum()), n, images, found, len(bottoms))


def _figure(value: float, n: int, images: int, found: Floats, replicates: int) -> Figure:
    if n < 2:
        return Figure(value, n, reason=no_interval(images))
    if len(found) < (1 - MOST_UNDEFINED) * replicates:
        return Figure(value, n, reason=f"no interval: undefined in {replicates - len(found)} of {replicates} resamples")
    left_out = float(tail(n))
    low, high = np.quantile(found, [left_out, 1 - left_out])
    return Figure(value, n, float(low), float(high))
