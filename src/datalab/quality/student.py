"""Intervals from what a figure is without one group of images after the other (the jackknife, Tukey 1958).

Pixels and objects of one image are not independent, nor are frames of one clip: what is counted of images is added up
over a group before any is left out, and an image that hangs together with no other is a group of one. Student's t of
what then comes out holds from two groups on. A figure's value is pooled over images, whatever their groups are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtrit

from datalab.figure import Figure, undefined
from datalab.resampling import SIDE, joint_freedom, places_of, raised_spreads, sum_units

Floats = npt.NDArray[np.float64]
Bounds = tuple[float, float]
ROUNDING = 1e-18
"""Variance of figures that are the same but for rounding."""
ANY = (-np.inf, np.inf)
"""Bounds of a figure that can be any number."""


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
        """Those that add to it."""
        return int(np.count_nonzero((np.asarray(self.tops) != 0) | (np.asarray(self.bottoms) != 0)))


def student_ratio(sides: Sides, bounds: Bounds = ANY) -> Figure:
    """The ratio of sums with Student's t interval of 95% over groups of images, no farther than what it can be.

    `n` counts the groups that add to it: time that found no object is time spent. There is no interval where a single
    one has a denominator, nor where all are alike. Undefined where none has.
    """
    ratio, values = _pseudo_values(sides)
    if ratio is None:
        return undefined("nothing to count")
    return _student(ratio, len(values), sides.images, _spread(values) / len(values), len(values) - 1, bounds)


def student_difference(first: Sides, second: Sides) -> Figure:
    """The first ratio of sums less the second, of different images, with an interval of 95%.

    Student's t with unequal variances (Welch 1947, Satterthwaite 1946), no side's below the pooled one: a few perfect
    images are all alike by chance, and say nothing about how images differ. `n` counts the groups that add to
    either side; otherwise as in `student_ratio`.
    """
    (ratio, values), (other, others) = _pseudo_values(first), _pseudo_values(second)
    if ratio is None or other is None:
        return undefined("nothing to compare with", len(values) + len(others))
    return _between(ratio - other, values, others, first.images, second.images)


def student_quotient(first: Sides, second: Sides) -> Figure:
    """The first ratio of sums over the second, of different images and neither of them 0, with an interval of 95%.

    `student_difference` of their logarithms, as times vary by so much a part of what they are; a ratio's logarithm
    varies by what the ratio does over what it is. Undefined where a ratio is, or where the second is 0.
    """
    (ratio, values), (other, others) = _pseudo_values(first), _pseudo_values(second)
    n = len(values) + len(others)
    if ratio is None or not other:
        return undefined("nothing to compare with", n)
    if not ratio:
        return Figure(0.0, n, reason="no interval: the first is 0")
    logs = _between(0.0, values / ratio, others / other, first.images, second.images)
    if logs.low is None or logs.high is None:
        return Figure(ratio / other, n, reason=logs.reason)
    return Figure(ratio / other, n, ratio / other * exp(logs.low), ratio / other * exp(logs.high))


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


def sum_groups(tables: npt.NDArray[np.integer] | npt.NDArray[np.floating], groups: Sequence[str] | None) -> Floats:
    """(images, ...) tables summed to (groups, ...); as they are where no two images hang together (None)."""
    counts = tables.astype(np.float64)
    return counts if groups is None else sum_units(counts, places_of(groups))


def no_interval(images: int) -> str:
    """Why there is none where so many images are all of one group."""
    return "no interval from one image" if images == 1 else f"no interval: all {images} images are of one group"


def jackknifed(value: float, without_one: Floats, n: int, images: int, bounds: Bounds) -> Figure:
    """The value with Student's t interval of 95%, no farther than the `bounds` of what it can be.

    Args:
        value: Of all groups.
        without_one: (n,) of all groups but one; NaN where that is undefined, and then there is no interval.
        n: Groups.
        images: In them.
        bounds: The lowest and the highest that it can be.
    """
    if n > 1 and np.isnan(without_one).any():
        return Figure(value, n, reason=f"no interval: undefined without one of {n} {_of_what(n, images)}")
    variance = _spread(without_one) * (n - 1) ** 2 / n
    return _student(value, n, images, variance, n - 1, bounds)


def _pseudo_values(sides: Sides) -> tuple[float | None, Floats]:
    """The ratio of sums, and (n,) of the n groups that add to it: n times the ratio less n - 1 times the ratio without
    that group.

    They vary as the ratio does, and where denominators are equal they are the groups' own ratios. None and [] without a
    denominator, the ratio alone where a single group has one.
    """
    top, bottom = (np.asarray(side, dtype=np.float64) for side in (sides.tops, sides.bottoms))
    if not bottom.any():
        return None, np.zeros(0)
    ratio = float(top.sum() / bottom.sum())
    tops, bottoms = sum_groups(top, sides.groups), sum_groups(bottom, sides.groups)
    if np.count_nonzero(bottoms) == 1:
        return ratio, np.array([ratio])
    count = (tops != 0) | (bottoms != 0)
    without = (tops.sum() - tops[count]) / (bottoms.sum() - bottoms[count])
    return ratio, len(without) * ratio - (len(without) - 1) * without


def _spread(values: Floats) -> float:
    """Their variance, 0 of a single one."""
    return float(values.var(ddof=1)) if len(values) > 1 else 0.0


def _between(value: float, first: Floats, second: Floats, images: int, others: int) -> Figure:
    """A difference, with the interval that follows from the pseudo-values of either side and its number of images."""
    n = len(first) + len(second)
    freedoms = np.array([len(first) - 1.0, len(second) - 1.0])
    if not freedoms.all():
        alone = max(count for count, freedom in zip((images, others), freedoms, strict=True) if not freedom)
        return Figure(value, n, reason=no_interval(alone))
    shares = raised_spreads(np.array([_spread(first), _spread(second)]), freedoms) / (freedoms + 1)
    variance = float(shares.sum())
    freedom = joint_freedom(shares, freedoms) if variance > 0 else 1.0
    return _student(value, n, images + others, variance, freedom)


def _student(value: float, n: int, images: int, variance: float, freedom: float, bounds: Bounds = ANY) -> Figure:
    if not freedom:
        return Figure(value, n, reason=no_interval(images))
    if variance < ROUNDING:
        return Figure(value, n, reason=f"no interval: all {_of_what(n, images)} are alike")
    reach = float(stdtrit(freedom, SIDE)) * variance**0.5
    return Figure(value, n, max(value - reach, bounds[0]), min(value + reach, bounds[1]))


def _of_what(n: int, images: int) -> str:
    return "images" if n == images else "groups of images"
