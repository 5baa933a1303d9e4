"""Agreement on categories, corrected for chance. Names end in the coefficient they give."""

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.integer] | npt.NDArray[np.floating]


def cohen_kappa(confusion: Counts) -> float | None:
    """(po - pe) / (1 - pe) of a (K, K) table of two raters (Cohen 1960).

    None where nothing was rated or both raters used one and the same category: chance alone explains everything.
    """
    total = confusion.sum()
    if total == 0:
        return None
    shares = confusion / total
    expected = float(shares.sum(axis=0) @ shares.sum(axis=1))
    observed = float(np.trace(shares))
    # not by expected == 1: one object in a large image comes close to it and is defined
    used = np.count_nonzero(confusion.sum(axis=0) + confusion.sum(axis=1))
    return None if used == 1 else (observed - expected) / (1 - expected)


def both_ways(tables: Counts) -> npt.NDArray[np.float64]:
    """(..., K, K) tables of pairs without an order: each counts half in either direction.

    Their Cohen's kappa is Scott's pi: chance agreement from what all raters together chose (Scott 1955).
    """
    turned: npt.NDArray[np.float64] = (tables + np.swapaxes(tables, -1, -2)) / 2
    return turned


def fleiss_kappa(counts: Counts) -> float | None:
    """Fleiss' kappa of (items, categories) counts; every item has the same number (>= 2) of ratings (Fleiss 1971).

    ValueError where items differ in their number of ratings; None where only one category was used.
    """
    raters = counts.sum(axis=1)
    if len(counts) == 0:
        return None
    if raters.min() != raters.max() or raters[0] < 2:
        raise ValueError("Fleiss' kappa needs the same number of ratings, at least 2, on every item")
    m = float(raters[0])
    observed = float(((counts * (counts - 1)).sum(axis=1) / (m * (m - 1))).mean())
    shares = counts.sum(axis=0) / counts.sum()
    expected = float((shares**2).sum())
    return None if np.count_nonzero(shares) == 1 else (observed - expected) / (1 - expected)


def krippendorff_alpha(counts: Counts) -> float | None:
    """Nominal alpha of (items, categories) counts; items with fewer than 2 ratings do not matter (Krippendorff 2004).

    None where no item has two ratings or only one category was used.
    """
    return alpha_of_coincidences(coincidences(counts).sum(axis=0))


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


def observed_agreement(confusion: Counts) -> float | None:
    """Share on which two raters agree; None where nothing was rated."""
    total = confusion.sum()
    return None if total == 0 else float(np.trace(confusion) / total)


def specific_agreement(confusion: Counts) -> tuple[float | None, float | None]:
    """Positive and negative agreement of a (2, 2) table [[neither, b], [a, both]] (Cicchetti & Feinstein 1990).

    None for a side that nobody used.
    """
    apart = float(confusion[0, 1] + confusion[1, 0])
    both, neither = 2 * float(confusion[1, 1]), 2 * float(confusion[0, 0])
    return (both / (both + apart) if both + apart else None, neither / (neither + apart) if neither + apart else None)
