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
    return None if np.isclose(expected, 1) else (observed - expected) / (1 - expected)


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
    return None if np.isclose(expected, 1) else (observed - expected) / (1 - expected)


def krippendorff_alpha(counts: Counts) -> float | None:
    """Nominal alpha of (items, categories) counts; items with fewer than 2 ratings do not matter (Krippendorff 2004).

    None where no item has two ratings or only one category was used.
    """
    ratings = counts.sum(axis=1)
    paired = counts[ratings >= 2]
    if len(paired) == 0:
        return None
    weights = 1 / (paired.sum(axis=1) - 1)
    totals = paired.sum(axis=0).astype(np.float64)
    n = totals.sum()
    agreeing = float(((paired * (paired - 1)).sum(axis=1) * weights).sum())
    expected = float(n * n - (totals**2).sum()) / (n - 1)
    return None if expected == 0 else 1 - (n - agreeing) / expected


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
