"""Agreement on categories, corrected for chance. Names end in the coefficient they give."""

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.integer] | npt.NDArray[np.floating]


def cohen_kappa(confusion: Counts) -> float | None:
    """(po - pe) / (1 - pe) of a (K, K) table of two raters (Cohen 1960).

    None where nothing was rated or both raters used one and the same category: chance alone explains everything.
    """
    return kappa_of_margins(np.stack([np.diagonal(confusion), confusion.sum(axis=1), confusion.sum(axis=0)], axis=-1))


def kappa_of_margins(margins: Counts) -> float | None:
    """Cohen's kappa of (K, 3) counts: what both raters put into each category, what the first and what the second did.

    All that it needs of a (K, K) table; None as for `cohen_kappa`.
    """
    total = margins[:, 1].sum()
    if total == 0:
        return None
    agreed, first, second = (margins / total).T
    observed, expected = float(agreed.sum()), float(first @ second)
    # not by expected == 1: one object in a large image comes close to it and is defined
    used = np.count_nonzero(margins[:, 1:].sum(axis=1))
    return None if used == 1 else (observed - expected) / (1 - expected)


def both_ways(tables: Counts) -> npt.NDArray[np.float64]:
    """(..., K, K) tables of pairs without an order: each counts half in either direction.

    Their Cohen's kappa is Scott's pi: chance agreement from what all raters together chose (Scott 1955).
    """
    turned: npt.NDArray[np.float64] = (tables + np.swapaxes(tables, -1, -2)) / 2
    return turned


def margins_both_ways(margins: Counts) -> npt.NDArray[np.float64]:
    """`both_ways` of (..., K, 3) margins: both raters' are what the two of a pair chose together, halved."""
    pooled = margins[..., 1:].sum(axis=-1) / 2
    return np.stack([margins[..., 0], pooled, pooled], axis=-1).astype(np.float64)


def coincidences(counts: Counts) -> npt.NDArray[np.float64]:
    """(items, K, K) coincidence matrices of (items, K) counts: pairs of ratings, each item weighing its ratings.

    Cell (c, k) of an item with m ratings is n_c (n_k - [c = k]) / (m - 1); all 0 below 2 ratings.
    """
    ratings = counts.sum(axis=1)
    ordered = counts[:, :, None] * (counts[:, None, :] - np.eye(counts.shape[1]))
    paired: npt.NDArray[np.float64] = ordered / np.maximum(ratings - 1, 1)[:, None, None]
    paired[ratings < 2] = 0
    return paired


def alpha_of_coincidences(coincidence: npt.NDArray[np.floating]) -> float | None:
    """Nominal alpha of the (K, K) sum of coincidence matrices: 1 - observed / expected disagreement."""
    totals = coincidence.sum(axis=0)
    if np.count_nonzero(totals) < 2:
        return None
    n = float(totals.sum())
    expected = (n * n - float((totals**2).sum())) / (n - 1)
    return 1 - (n - float(np.trace(coincidence))) / expected


def fleiss_of_coincidences(coincidence: npt.NDArray[np.floating]) -> float | None:
    """Fleiss' kappa of the (K, K) sum of coincidence matrices of items that all have the same number of ratings.

    The matrices hold what it is made of: the diagonal's share is the mean agreement of pairs, the margins are pooled.
    """
    totals = coincidence.sum(axis=0)
    if np.count_nonzero(totals) < 2:
        return None
    expected = float(((totals / totals.sum()) ** 2).sum())
    return (float(np.trace(coincidence) / totals.sum()) - expected) / (1 - expected)
