"""Intervals of a share that was counted: unlike the bootstrap's they do not vanish where everything was right."""

from math import ceil, hypot, sqrt

from scipy.special import betaincinv

from datalab.figure import Figure, undefined

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


def wilson_f1(hits: int, drawn: int, true: int) -> Figure:
    """F1, the share of `hits` among the mean number of objects of the two sides, with Wilson's interval over those.

    Right where errors come in pairs (a confused object, or one whose outline is off, is one missed and one extra), too
    wide where objects are only missed or only extra.
    """
    return wilson(hits, (drawn + true) / 2)


def newcombe(hits: float, n: float, other_hits: float, other_n: float, effect: float = 1.0) -> Figure:
    """hits / n - other_hits / other_n with an interval of 95% from Wilson's (Newcombe 1998, method 10).

    `effect`: so many objects say as much as one (`bootstrap.design_effect`). The figure's `n` is the smaller number,
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


def beta(hits: float, misses: float, prior_hits: float, prior_misses: float) -> Figure:
    """Mean and central 95% of a share after so many hits and misses, from a Beta prior; `n` counts both, rounded."""
    a, b = hits + prior_hits, misses + prior_misses
    low, high = (float(betaincinv(a, b, share)) for share in (0.025, 0.975))
    return Figure(a / (a + b), round(hits + misses), low, high)
