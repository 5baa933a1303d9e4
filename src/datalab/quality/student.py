"""Intervals from what a figure is without one group of images after the other (the jackknife, Tukey 1958).

Pixels and objects of one image are not independent, nor are frames of one clip: what is counted of images is added up
over a group before any is left out, and an image that hangs together with no other is a group of one. Student's t of
what then comes out holds from two groups on. A figure's value is pooled over images, whatever their groups are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, log

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtrit

from datalab.figure import Figure, undefined
from datalab.resampling import SIDE, joint_freedom, raised_spreads, sum_units

Floats = npt.NDArray[np.float64]
Bounds = tuple[float, float]
ROUNDING = 1e-18
"""Variance of figures that are the same but for rounding."""
FARTHEST = 100.0
"""Times a quotient: an interval that reaches beyond says nothing."""
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
        """Those with a denominator."""
        return int(np.count_nonzero(self.bottoms))


@dataclass(frozen=True)
class _LeftOut:
    """What a ratio of sums is without one group after the other."""

    value: float
    """Of all of them."""
    pseudo: Floats
    """(m,) of the m groups that add to it: m times the value less m - 1 times the value without that group.

    They vary as the value does, and where denominators are equal they are the groups' own values.
    """
    n: int
    """Groups with a denominator, m or fewer: time that found no object is time spent."""
    images: int
    """With a denominator."""
    what: str
    """In words."""


def student_ratio(sides: Sides, bounds: Bounds = ANY) -> Figure:
    """The ratio of sums with Student's t interval of 95% over groups of images, no farther than what it can be.

    `n` counts the groups with a denominator. There is no interval from a single one, nor where all are alike. Undefined
    where none has a denominator.
    """
    one = _left_out(sides)
    if one is None:
        return undefined("nothing to count")
    if one.n < 2:
        return Figure(one.value, one.n, reason=no_interval(one.images))
    return _student(one.value, one.n, one.what, _variance(one), one.n - 1, bounds)


def student_difference(first: Sides, second: Sides) -> Figure:
    """The first ratio of sums less the second, of different images, with an interval of 95%.

    Student's t with unequal variances (Welch 1947, Satterthwaite 1946), no side's below the pooled one: a few perfect
    images are all alike by chance, and say nothing about how images differ. `n` counts the groups with a denominator of
    both sides; otherwise as in `student_ratio`.
    """
    one, other = _left_out(first), _left_out(second)
    if one is None or other is None:
        return undefined("nothing to compare with", sum(side.n for side in (one, other) if side is not None))
    return _between(one.value - other.value, one, other)


def student_quotient(first: Sides, second: Sides) -> Figure:
    """The first ratio of sums over the second, of different images, with an interval of 95%.

    `student_difference` of their logarithms, as times vary by so much a part of what they are. There is none where
    groups are so few or so unlike that it would reach beyond `FARTHEST` times the value. Undefined where a ratio is, or
    where the second is 0.
    """
    one, other = _left_out(first), _left_out(second)
    n = sum(side.n for side in (one, other) if side is not None)
    if one is None or other is None or not other.value:
        return undefined("nothing to compare with", n)
    value = one.value / other.value
    logs = [_left_out(sides, np.log) for sides in (first, second)]
    if logs[0] is None or logs[1] is None or not all(np.isfinite(side.pseudo).all() for side in logs if side):
        return Figure(value, n, reason="no interval: 0 without one of the images")
    found = _between(0.0, logs[0], logs[1])
    if found.high is None:
        return Figure(value, n, reason=found.reason)
    if found.high > log(FARTHEST):
        return Figure(value, n, reason=f"no interval: {n} {one.what} are too few or too unlike")
    return Figure(value, n, value * exp(-found.high), value * exp(found.high))


def design_effect(compared: Sequence[Sides]) -> float | None:
    """How many objects (denominators) say as much as one would if objects of a group were independent; 1 or more.

    The variance of each side's share of hits (numerators) over groups, against the binomial one (Kish 1965), pooled;
    and more for few groups, by Student's t against the normal distribution (Korn & Graubard 1998). None where no side
    has two groups with an object.
    """
    among = within = 0.0
    freedom = 0
    for sides in compared:
        one = _left_out(sides)
        if one is not None and one.n > 1:
            freedom += one.n - 1
            among += (one.n - 1) * _variance(one) * float(np.sum(sides.bottoms))
            within += (one.n - 1) * one.value * (1 - one.value)
    if not freedom:
        return None
    clustered = max(1.0, among / within) if within > 0 else 1.0
    return clustered * float(stdtrit(freedom, SIDE) / ndtri(SIDE)) ** 2


def sum_groups(tables: npt.NDArray[np.integer] | npt.NDArray[np.floating], groups: Sequence[str] | None) -> Floats:
    """(images, ...) tables summed to (groups, ...), in the order in which groups come; as they are where no two images
    hang together (None)."""
    counts = tables.astype(np.float64)
    if groups is None:
        return counts
    places = {name: place for place, name in enumerate(dict.fromkeys(groups))}
    return sum_units(counts, np.array([places[name] for name in groups], dtype=np.intp))


def no_interval(images: int) -> str:
    """Why there is none where so many images are all of one group."""
    return "no interval from one image" if images == 1 else f"no interval: all {images} images are of one group"


def jackknifed(value: float, without_one: Floats, images: int, bounds: Bounds) -> Figure:
    """The value with Student's t interval of 95%, no farther than the `bounds` of what it can be.

    Args:
        value: Of all n groups.
        without_one: (n,) of all groups but one; NaN where that is undefined, and then there is no interval.
        images: In them.
        bounds: The lowest and the highest that it can be.
    """
    n = len(without_one)
    what = _words(n == images)
    if n < 2:
        return Figure(value, n, reason=no_interval(images))
    if np.isnan(without_one).any():
        return Figure(value, n, reason=f"no interval: undefined without one of {n} {what}")
    return _student(value, n, what, float(without_one.var(ddof=1)) * (n - 1) ** 2 / n, n - 1, bounds)


def _left_out(sides: Sides, scale: Callable[[Floats], Floats] = np.asarray) -> _LeftOut | None:
    """Of the ratio of sums, or of its logarithm with that as `scale`; None without a denominator.

    Without a value for groups where a single one has a denominator, and not finite where a logarithm of 0 is asked for.
    """
    top, bottom = (np.asarray(side, dtype=np.float64) for side in (sides.tops, sides.bottoms))
    if not bottom.any():
        return None
    tops, bottoms = sum_groups(top, sides.groups), sum_groups(bottom, sides.groups)
    n, count = int(np.count_nonzero(bottoms)), (tops != 0) | (bottoms != 0)
    adding = int(np.count_nonzero((top != 0) | (bottom != 0)))
    many = int(count.sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        value = scale(np.asarray(top.sum() / bottom.sum()))
        without = scale((tops.sum() - tops[count]) / (bottoms.sum() - bottoms[count])) if n > 1 else np.zeros(0)
        pseudo = many * value - (many - 1) * without
    return _LeftOut(float(value), pseudo, n, sides.images, _words(many == adding))


def _variance(one: _LeftOut) -> float:
    """Of the value of two groups or more."""
    return float(one.pseudo.var(ddof=1)) / len(one.pseudo)


def _between(value: float, one: _LeftOut, other: _LeftOut) -> Figure:
    """A difference with its interval."""
    n, both = one.n + other.n, (one, other)
    if min(one.n, other.n) < 2:
        return Figure(value, n, reason=no_interval(max(side.images for side in both if side.n < 2)))
    freedoms = np.array([side.n - 1.0 for side in both])
    many = np.array([len(side.pseudo) for side in both])
    shares = raised_spreads(np.array([_variance(side) for side in both]) * many, freedoms) / many
    variance = float(shares.sum())
    what = max((side.what for side in both), key=len)
    return _student(value, n, what, variance, joint_freedom(shares, freedoms) if variance > 0 else 1.0)


def _student(value: float, n: int, what: str, variance: float, freedom: float, bounds: Bounds = ANY) -> Figure:
    if variance < ROUNDING:
        return Figure(value, n, reason=f"no interval: all {what} are alike")
    reach = float(stdtrit(freedom, SIDE)) * variance**0.5
    return Figure(value, n, max(value - reach, bounds[0]), min(value + reach, bounds[1]))


def _words(single: bool) -> str:
    """Of what an interval is over: of single images where no two of them hang together."""
    return "images" if single else "groups of images"
