"""Intervals of a share that was counted: unlike the bootstrap's they do not vanish where everything was right."""

from math import hypot, sqrt

from scipy.special import betaincinv

from datalab.figure import Figure, undefined

Z = 1.959963984540054
"""Two-sided 95% of the normal distribution."""


def wilson(hits: int, n: int) -> Figure:
    """hits / n with Wilson's score interval of 95% (Wilson 1927), n >= hits >= 0; undefined where n is 0."""
    if n == 0:
        return undefined("nothing to count")
    share = hits / n
    scale = 1 + Z**2 / n
    center = (share + Z**2 / (2 * n)) / scale
    half = Z * sqrt(share * (1 - share) / n + Z**2 / (4 * n**2)) / scale
    return Figure(share, n, max(0.0, center - half), min(1.0, center + half))


def wilson_f1(hits: int, objects: int) -> Figure:
    """F1 of `hits` among `objects` distinct ones (hit, missed, extra or confused), with Wilson's interval.

    The share j of hits among distinct objects is counted; F1 = 2j / (1 + j) rises with it, so the ends of its interval
    are those of j. A confused object is one missed and one extra: count it twice in `objects`.
    """
    found = wilson(hits, objects)
    ends = [None if j is None else 2 * j / (1 + j) for j in (found.value, found.low, found.high)]
    return Figure(ends[0], found.n, ends[1], ends[2], found.reason)


def newcombe(hits: int, n: int, other_hits: int, other_n: int) -> Figure:
    """hits / n - other_hits / other_n with an interval of 95% from Wilson's (Newcombe 1998, method 10).

    `n` is the smaller number; undefined where one is 0.
    """
    ours, theirs = wilson(hits, n), wilson(other_hits, other_n)
    if ours.value is None or theirs.value is None:
        return undefined("nothing to compare with")
    assert ours.low is not None
    assert ours.high is not None
    assert theirs.low is not None
    assert theirs.high is not None
    difference = ours.value - theirs.value
    low = difference - hypot(ours.value - ours.low, theirs.high - theirs.value)
    high = difference + hypot(ours.high - ours.value, theirs.value - theirs.low)
    return Figure(difference, min(n, other_n), low, high)


def beta(hits: float, misses: float, prior_hits: float, prior_misses: float) -> Figure:
    """Mean and central 95% of a share after so many hits and misses, from a Beta prior; `n` counts both, rounded."""
    a, b = hits + prior_hits, misses + prior_misses
    low, high = (float(betaincinv(a, b, share)) for share in (0.025, 0.975))
    return Figure(a / (a + b), round(hits + misses), low, high)
