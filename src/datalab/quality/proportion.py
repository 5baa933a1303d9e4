"""Intervals of a share that was counted: unlike the bootstrap's they do not vanish where everything was right."""

from dataclasses import replace
from math import ceil, hypot, sqrt

import numpy as np
from scipy.special import betaincinv

from datalab.figure import Figure, undefined
from datalab.quality.student import Sides, design_effect, no_interval

Z = 1.959963984540054
"""Two-sided 95% of the normal distribution."""


def wilson(hits: float, n: float) -> Figure:
    """hits / n with Wilson's score interval of 95% (Wilson 1927), n >= hits >= 0; undefined where n is 0.

    Both may be fractions of objects; the figure's `n` is rounded up.
    """
    if n == 0:
        return undefined("nothing to count")
    share = hits / n
    scale = 1 + Z**2 / n
    center = (share + Z**2 / (2 * n)) / scale
    half = Z * sqrt(share * (1 - share) / n + Z**2 / (4 * n**2)) / scale
    return Figure(share, ceil(n), max(0.0, center - half), min(1.0, center + half))


def wilson_over_groups(sides: Sides) -> Figure:
    """Sum of hits over sum of objects, with Wilson's interval of 95% for objects of one group that hang together.

    They count as so many fewer as groups of images differ by more than chance, and the fewer the less groups there are
    (`student.design_effect`). `sides`: hits and objects, image by image. `n` counts the objects, rounded up; no
    interval from a single group with one; undefined where there is none.
    """
    hits, objects = _sums(sides)
    if not objects:
        return undefined("nothing to count")
    effect = design_effect([sides])
    if effect is None:
        return Figure(hits / objects, ceil(objects), reason=no_interval(sides.images))
    return replace(wilson(hits / effect, objects / effect), value=hits / objects, n=ceil(objects))


def newcombe(hits: float, n: float, other_hits: float, other_n: float, effect: float = 1.0) -> Figure:
    """hits / n - other_hits / other_n with an interval of 95% from Wilson's (Newcombe 1998, method 10).

    `effect`: so many objects say as much as one (`student.design_effect`). The figure's `n` is the smaller number,
    rounded up; undefined where one is 0.
    """
    ours, theirs = wilson(hits / effect, n / effect), wilson(other_hits / effect, other_n / effect)
    if ours.value is None or theirs.value is None:
        return undefined("nothing to compare with")
    assert ours.low is not None
    assert ours.high is not None
    assert theirs.low is not None
    assert theirs.high is not None
    difference = ours.value - theirs.value
    low = difference - hypot(ours.value - ours.low, theirs.high - theirs.value)
    high = difference + hypot(ours.high - ours.value, theirs.value - theirs.low)
    return Figure(difference, ceil(min(n, other_n)), low, high)


def newcombe_over_groups(first: Sides, second: Sides) -> Figure:
    """The first share less the second, with Newcombe's interval by the count of `wilson_over_groups`.

    Undefined where no side has two groups of images with an object, or one has none.
    """
    effect = design_effect([first, second])
    if effect is None:
        return undefined("no side has two groups of images")
    return newcombe(*_sums(first), *_sums(second), effect)


def beta(hits: float, misses: float, prior_hits: float, prior_misses: float) -> Figure:
    """Mean and central 95% of a share after so many hits and misses, from a Beta prior; `n` counts both, rounded."""
    a, b = hits + prior_hits, misses + prior_misses
    low, high = (float(betaincinv(a, b, share)) for share in (0.025, 0.975))
    return Figure(a / (a + b), round(hits + misses), low, high)


def beta_over_groups(sides: Sides, prior_hits: float, prior_misses: float) -> Figure:
    """`beta` of the hits and the other objects, with an interval for objects of one group that hang together.

    Its ends lie the root of the design effect farther from the value, which is how much farther a share of such objects
    strays (Kish 1965). Fewer objects in the formula would move the interval towards what was assumed and off the value:
    few groups are no evidence for the prior. `sides`: hits and objects, image by image. No interval from a single group
    with an object; where there is none, it is that of what was assumed.
    """
    hits, objects = _sums(sides)
    found = beta(hits, objects - hits, prior_hits, prior_misses)
    if not objects:
        return found
    effect = design_effect([sides])
    if effect is None:
        return Figure(found.value, found.n, reason=no_interval(sides.images))
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    low, high = (found.value + sqrt(effect) * (end - found.value) for end in (found.low, found.high))
    return replace(found, low=max(0.0, low), high=min(1.0, high))


def _sums(sides: Sides) -> tuple[float, float]:
    return float(np.sum(sides.tops)), float(np.sum(sides.bottoms))
