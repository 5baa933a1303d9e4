"""The default: unsure images, rare classes first, no two alike, most value for the time that people need."""

import numpy as np
from scipy.stats import rankdata

from datalab.learning.cover import Indices, k_center
from datalab.learning.strategies import Floats, Pool, Taste, best_first, known, typicality

DEAREST = 3.0
"""A cost counts as at most this many times the median, and at least one such part of it: a cheap empty image must not
win by its price alone."""


def default(pool: Pool, count: int, taste: Taste, rng: np.random.Generator) -> Indices:
    """`count` rows, best first; the typical images of uncovered clusters where there is no model yet.

    `taste.stratified` of the batch is dealt to the classes, the less an image class has been labelled the more it gets;
    each class picks where the model has most to learn about it. The rest goes to the highest `doubt`. Either way the
    candidates are several times as many as wanted, and those farthest from the labelled and the chosen are taken.
    """
    if pool.scores is None:
        return typicality(pool, count, taste, rng)
    wanted = min(count, len(pool.vectors))
    prices = relative_costs(pool.costs) ** taste.cost_power
    chosen: list[int] = []
    for values, share in _parts(pool, wanted, taste):
        chosen += _spread(pool, values / prices, share, chosen, taste, rng).tolist()
    return np.asarray(chosen, dtype=np.intp)


def relative_costs(costs: Floats) -> Floats:
    """(N,) costs as multiples of their median, within 1 / DEAREST and DEAREST."""
    if not len(costs):
        return costs
    return np.asarray(np.clip(costs / np.median(costs), 1 / DEAREST, DEAREST), dtype=np.float64)


def doubt(pool: Pool) -> Floats:
    """(N,) mean rank in (0, 1] by the score and by the expected share of wrong pixels, equals sharing theirs.

    The score looks at the worst places of an image, where a small defect shows; the share at all of it, where there are
    many objects to learn from. On simulated rounds both together chose better than either.
    """
    ranks = [rankdata(known(values, "default")) for values in (pool.scores, pool.wrong_shares) if values is not None]
    return np.asarray(np.mean(ranks, axis=0) / max(1, len(pool.vectors)), dtype=np.float64)


def class_quotas(counts: Floats, places: int) -> list[int]:
    """How many of `places` each class gets: in proportion to 1 / (labelled images + 1), whole numbers that sum up."""
    if not len(counts):
        return []
    need = 1 / (counts + 1)
    exact = places * need / need.sum()
    quotas = np.floor(exact).astype(int)
    quotas[np.argsort(-(exact - quotas), kind="stable")[: places - int(quotas.sum())]] += 1
    return [int(quota) for quota in quotas]


def _parts(pool: Pool, wanted: int, taste: Taste) -> list[tuple[Floats, int]]:
    """(scores (N,), how many of the batch they decide), the rarest class first, all classes together last."""
    parts: list[tuple[Floats, int]] = []
    if pool.class_scores is not None and pool.class_scores.shape[1] > 1 and len(pool.class_counts):
        by_class = known(pool.class_scores, "default")
        quotas = class_quotas(pool.class_counts, round(taste.stratified * wanted))
        parts = [(by_class[:, one], quotas[one]) for one in np.argsort(pool.class_counts, kind="stable")]
    left = wanted - sum(share for _, share in parts)
    return [*parts, (doubt(pool), left)]


def _spread(
    pool: Pool, values: Floats, share: int, chosen: list[int], taste: Taste, rng: np.random.Generator
) -> Indices:
    """`share` rows that are not chosen yet: among the highest values those farthest from the labelled and chosen."""
    rest = np.setdiff1d(np.arange(len(values)), chosen)
    many = min(taste.candidates * share, max(share, len(rest) // 2))
    candidates = rest[best_first(values[rest], rng)][:many]
    taken = np.concatenate([pool.labelled, pool.vectors[chosen]]) if len(pool.labelled) else pool.vectors[chosen]
    return np.asarray(candidates[k_center(pool.vectors[candidates], share, taken)], dtype=np.intp)
