"""Slices: parts of the judged images that have something in common, and whether the model is worse there.

A slice is named by a rule somebody wrote ("dark: brightness < 0.3") or found: the lowest and the highest third of every
number that is known about an image, and every value of what is no number.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from datalab.errors import InputError
from datalab.masks import BoolMask

Floats = npt.NDArray[np.float64]
COLUMNS = ("slice", "images", "iou", "low", "high", "elsewhere", "p", "q")
PARTS = 3
"""Thirds: with halves the ends are diluted, with quarters too few images are left in them."""


def named_slices(traits: pd.DataFrame, rules: Mapping[str, str]) -> dict[str, BoolMask]:
    """Name -> (N,) bool for rules over the columns of `traits`; InputError for a rule that cannot be read."""
    found = {}
    for name, rule in rules.items():
        try:
            inside = np.asarray(traits.eval(rule, engine="python"))
        except Exception as exc:  # pandas raises whatever the expression runs into
            reason = " ".join(str(exc).split())[:120]
            columns = ", ".join(map(str, traits.columns))
            raise InputError(f"slice {name!r}: {rule!r} cannot be read ({reason}); columns are {columns}") from exc
        if inside.dtype != np.bool_ or inside.shape != (len(traits),):
            raise InputError(f"slice {name!r}: {rule!r} says neither yes nor no; write it like: brightness < 0.3")
        found[name] = inside
    return found


def found_slices(traits: pd.DataFrame) -> dict[str, BoolMask]:
    """Name -> (N,) bool: the ends of every number, and every value of every other column."""
    found: dict[str, BoolMask] = {}
    for column in traits.columns:
        values = traits[column]
        if pd.api.types.is_bool_dtype(values):
            found[str(column)] = values.to_numpy(dtype=bool)
        elif pd.api.types.is_numeric_dtype(values):
            found.update(_ends(str(column), values.to_numpy(dtype=np.float64)))
        else:
            found.update({f"{column}: {value}": (values == value).to_numpy() for value in sorted(set(values.dropna()))})
    return found


def compare(
    iou: Floats, slices: Mapping[str, BoolMask], least: int, rng: np.random.Generator, resamples: int
) -> pd.DataFrame:
    """How the images of each slice fare beside all others, worst first.

    Args:
        iou: (N,) mean IoU of every image; NaN where undefined, which leaves the image out.
        slices: Name -> (N,) bool.
        least: Images that a slice, and the rest, must have; smaller ones are left out.
        rng: Where draws come from.
        resamples: Draws of the bootstrap and of the permutation test.

    Returns:
        Columns COLUMNS: `iou`, the mean in the slice, with its 95% bootstrap interval over images; `elsewhere`, the
        mean of the rest; `p`, one-sided, that a random part of this size is as bad (permutation test); `q`, p corrected
        for looking at so many slices (Benjamini and Hochberg 1995).
    """
    known = ~np.isnan(iou)
    rows = []
    for name, inside in slices.items():
        here, rest = iou[inside & known], iou[~inside & known]
        if min(len(here), len(rest)) >= max(2, least):
            rows.append((name, len(here), *_mean_with_interval(here, rng, resamples), rest.mean(),
                         _chance(here, rest, rng, resamples)))  # fmt: skip
    table = pd.DataFrame(rows, columns=list(COLUMNS[:-1]))
    corrected = stats.false_discovery_control(table["p"]) if len(table) else np.empty(0)
    return table.assign(q=corrected).sort_values(["q", "iou", "slice"]).reset_index(drop=True)


def _ends(column: str, values: Floats) -> dict[str, BoolMask]:
    """Lowest and highest third; nothing where the values hardly differ.

    Where two thirds of the images share the lowest number, the highest end is what lies above it, and the other way
    round: a third that takes in its border would be all of them.
    """
    known = values[~np.isnan(values)]
    if len(np.unique(known)) < PARTS:
        return {}
    low, high = np.quantile(known, [1 / PARTS, 1 - 1 / PARTS])
    lowest = ("below", values < low) if low == known.max() else ("up to", values <= low)
    highest = ("above", values > high) if high == known.min() else ("from", values >= high)
    return {f"{column} {end} {border:.3g}": inside for (end, inside), border in ((lowest, low), (highest, high))}


def _mean_with_interval(values: Floats, rng: np.random.Generator, resamples: int) -> tuple[float, float, float]:
    draws = values[rng.integers(0, len(values), (resamples, len(values)))].mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(values.mean()), float(low), float(high)


def _chance(here: Floats, rest: Floats, rng: np.random.Generator, resamples: int) -> float:
    def difference(first: Floats, second: Floats, axis: int) -> Floats:
        return np.asarray(first.mean(axis=axis) - second.mean(axis=axis))

    test = stats.permutation_test(
        (here, rest), difference, vectorized=True, n_resamples=resamples, alternative="less", rng=rng
    )
    return float(test.pvalue)
