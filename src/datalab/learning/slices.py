"""Slices: parts of the judged images that have something in common, and whether the model is worse there.

A slice is named by a rule somebody wrote ("dark: brightness < 0.3") or found: every value of what has few values, the
lowest and the highest third of every other number that is known about an image, and pairs: what two such parts share,
of numbers their halves.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from datalab.errors import InputError
from datalab.learning.intervals import bootstrap_interval
from datalab.masks import BoolMask
from datalab.resampling import places_of

Floats = npt.NDArray[np.float64]
COLUMNS = ("slice", "images", "iou", "low", "high", "elsewhere", "p", "q")
PARTS = 3
"""Thirds: with halves the ends are diluted, with quarters too few images are left in them."""
HALVES = 2
"""A pair of halves has a quarter of the images where the two are independent, a pair of thirds a ninth."""
MOST_VALUES = 12
"""More values than this tell images apart, not parts of them."""
AND = " & "
"""Between the names of a pair."""
MOST_PAIRS = 100
"""Every question more asks more of all answers: 20 parts have 190 pairs, 100 have 4,950."""
MOSTLY = 0.5
"""Share of a pair's images in a worse slice from which that slice tells the same, and of a group's images in a slice
from which the group is in it."""
DRAWS_A_SLICE = 50
"""Of the permutation test, at least: with as many draws as slices, the smallest p there is would not be small enough to
survive the correction for so many."""
BLOCK = 2_000_000
"""Values drawn at once."""
ALIKE = 1e-8
"""Variance of a difference of means that is no smaller: images of which all score the same still differ by more."""
ROUNDING = 1e-6
"""Of Welch's t, of itself."""


@dataclass(frozen=True)
class Pairs:
    """Slices that are what two parts of the images share."""

    parts: Mapping[str, BoolMask]
    """Name -> (N,) bool."""
    of: Mapping[str, tuple[str, str]]
    """Name of a pair -> its two parts."""

    def inside(self) -> dict[str, BoolMask]:
        """Name of a pair -> (N,) bool."""
        return {name: self.parts[first] & self.parts[second] for name, (first, second) in self.of.items()}


NO_PAIRS = Pairs({}, {})


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


def found_slices(traits: pd.DataFrame, least: int, parts: int = PARTS) -> dict[str, BoolMask]:
    """Name -> (N,) bool: every value of a column that has 2 to MOST_VALUES of them, else the ends of a number, each one
    of so many `parts`.

    A number is cut by its values only where each has `least` images. An image without a value is in none of the slices.
    """
    found: dict[str, BoolMask] = {}
    for column, values in traits.items():
        counts = values.value_counts()
        number = pd.api.types.is_numeric_dtype(values)
        if pd.api.types.is_bool_dtype(values):
            found[str(column)] = values.to_numpy(dtype=bool)
        elif 2 <= len(counts) <= MOST_VALUES and (not number or counts.min() >= least):
            found.update({f"{column}: {_word(one)}": (values == one).to_numpy() for one in sorted(counts.index)})
        elif number:
            found.update(_ends(str(column), values.to_numpy(dtype=np.float64), parts))
    return found


def found_pairs(traits: pd.DataFrame, least: int) -> Pairs:
    """Pairs of parts that share at least `least` images, neither inside the other: MOST_PAIRS at most, those with the
    most images first.

    They are chosen without a look at how the model fares, so that the correction for many slices holds.
    """
    found = found_slices(traits, least, HALVES)
    sizes = {}
    for first, second in combinations(found, 2):
        both = int((found[first] & found[second]).sum())
        if max(1, least) <= both < min(int(found[name].sum()) for name in (first, second)):
            sizes[first, second] = both
    largest = sorted(sizes, key=lambda pair: (-sizes[pair], pair))[:MOST_PAIRS]
    return Pairs(found, {AND.join(pair): pair for pair in largest})


def worse_slices(table: pd.DataFrame, slices: Mapping[str, BoolMask], pairs: Pairs, q: float) -> list[str]:
    """Names of the slices and pairs of `compare` that are called worse, in its order.

    A pair is not told where a worse slice that holds MOSTLY all of its images has as low a mean: that says it shorter.
    """
    rows = table[table["q"] < q]
    worse = dict(zip(rows["slice"].astype(str), rows["iou"].to_numpy(dtype=np.float64).tolist(), strict=True))
    shared = pairs.inside()

    def said_shorter(name: str) -> bool:
        both = shared[name]
        lower = (slices[one] for one, iou in worse.items() if one in slices and iou <= worse[name])
        return any((part & both).sum() > MOSTLY * both.sum() for part in lower)

    return [name for name in worse if name not in shared or not said_shorter(name)]


def compare(
    iou: Floats,
    groups: Sequence[str],
    slices: Mapping[str, BoolMask],
    least: int,
    rng: np.random.Generator,
    resamples: int,
    pairs: Pairs = NO_PAIRS,
    watched: Callable[[Sequence[str]], Iterable[str]] = iter,
) -> pd.DataFrame:
    """How the images of each slice fare beside all others, worst first.

    Args:
        iou: (N,) mean IoU of every image; NaN where undefined, which leaves the image out.
        groups: (N,) what each image belongs to: frames of a clip are no independent witnesses. A group is one, by the
            mean of its images, and in a slice where MOSTLY all of its images are.
        slices: Name -> (N,) bool.
        least: Groups that a slice, and the rest, must have; smaller ones are left out.
        rng: Where draws come from.
        resamples: Draws of the bootstrap; the permutation test has DRAWS_A_SLICE for each slice, where that is more.
        pairs: Compared as well; their names are others than those of `slices`.
        watched: Goes through the parts of the pairs, which take nearly all of the time, and tells how far it is.

    Returns:
        Columns COLUMNS: `images` in the slice; `iou`, the mean over its groups, with its 95% interval; `elsewhere`, the
        mean over the others; `p`, one-sided, that a random part of this size is as bad (`_chances`), for a pair
        the largest of that p and the same within either of its parts, so that a small one says that it is worse than
        both; `q`, p corrected for looking at so many slices (`_corrected`).
    """
    known, least = ~np.isnan(iou), max(2, least)
    iou, places = iou[known], places_of(np.asarray(groups)[known].tolist())
    means = _of_units(iou, places)
    inside = {name: part[known] for name, part in {**slices, **pairs.inside()}.items()}
    units = {name: _of_units(part, places) > MOSTLY for name, part in inside.items()}
    units = {name: part for name, part in units.items() if least <= part.sum() <= len(means) - least}
    draws = max(resamples, DRAWS_A_SLICE * len(units))
    chances = _chances(means, np.ones(len(means), dtype=bool), units, rng, draws)
    for parent in watched(list(dict.fromkeys(one for pair in pairs.of.values() for one in pair))):
        whole = _of_units(pairs.parts[parent][known], places) > MOSTLY
        within = {name: units[name] & whole for name, pair in pairs.of.items() if parent in pair and name in units}
        for name, chance in _chances(means, whole, within, rng, draws).items():
            chances[name] = max(chances[name], chance)
    rows = [
        (
            name,
            int(inside[name].sum()),
            *_mean_with_interval(means[part], rng, resamples),
            means[~part].mean(),
            chances[name],
        )
        for name, part in units.items()
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS[:-1]))
    corrected = _corrected(table["p"].to_numpy(), table["slice"].isin(list(pairs.of)).to_numpy(dtype=bool))
    return table.assign(q=corrected).sort_values(["q", "iou", "slice"]).reset_index(drop=True)


def _corrected(p: Floats, pair: BoolMask) -> Floats:
    """(S,) q: p corrected for looking at so many (Benjamini and Hochberg 1995).

    Pairs and the others have one half of the say each, however many there are (weights of Genovese et al. 2006): a
    hundred pairs would leave little of what single slices can show.
    """
    if not len(p):
        return p
    times = 2 * np.array([(~pair).sum(), pair.sum()]) if pair.any() and not pair.all() else np.full(2, len(p))
    weighted = p * times[pair.astype(np.intp)] / len(p)
    return np.asarray(stats.false_discovery_control(np.minimum(weighted, 1)))


def _word(value: object) -> str:
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _ends(column: str, values: Floats, parts: int) -> dict[str, BoolMask]:
    """Lowest and highest of so many parts; nothing where the values hardly differ.

    Where two thirds of the images share the lowest number, the highest end is what lies above it, and the other way
    round: a third that takes in its border would be all of them. Halves share no image.
    """
    known = values[~np.isnan(values)]
    if len(np.unique(known)) < PARTS:
        return {}
    low, high = np.quantile(known, [1 / parts, 1 - 1 / parts])
    lowest = ("below", values < low) if low == known.max() else ("up to", values <= low)
    above = high == known.min() or (low == high < known.max())
    highest = ("above", values > high) if above else ("from", values >= high)
    return {f"{column} {end} {border:.3g}": inside for (end, inside), border in ((lowest, low), (highest, high))}


def _of_units(values: npt.NDArray[Any], places: npt.NDArray[np.intp]) -> Floats:
    """(G,) means of the values of images, over the images of each unit."""
    return np.asarray(np.bincount(places, values) / np.bincount(places), dtype=np.float64)


def _mean_with_interval(values: Floats, rng: np.random.Generator, resamples: int) -> tuple[float, float, float]:
    counts = np.stack([values, np.ones(len(values))], axis=1)
    low, high = bootstrap_interval(counts, lambda sums: np.divide(sums[..., 0], sums[..., 1]), rng, resamples)
    return float(values.mean()), float(low), float(high)


def _chances(
    iou: Floats, whole: BoolMask, parts: Mapping[str, BoolMask], rng: np.random.Generator, draws: int
) -> dict[str, float]:
    """Name -> p, that as many of the images of `whole` (N,), drawn at random, are as far below the others as the part.

    How far is Welch's t. A difference of means would be taken for one where spread differs (Janssen 1997, "Studentized
    permutation tests"): single shots vary more than the means of clips. What t is of so many images by chance depends
    on their number alone, so all parts share the draws: each costs a permutation and two cumulative sums of N values,
    and a few operations for every number of images.
    """
    if not parts:
        return {}
    values = iou - iou[whole].mean()
    sizes, place = np.unique([part.sum() for part in parts.values()], return_inverse=True)
    split = (np.concatenate([values[part], values[whole & ~part]])[None] for part in parts.values())
    own = np.array([_welch(one, sizes[[at]])[0, 0] for one, at in zip(split, place, strict=True)])
    as_low = np.zeros(len(parts))
    rows = max(1, BLOCK // int(whole.sum()))
    for start in range(0, draws, rows):
        repeated = np.tile(values[whole], (min(rows, draws - start), 1))
        drawn = _welch(rng.permuted(repeated, axis=1), sizes)
        as_low += (drawn[:, place] <= own + ROUNDING * (1 + np.abs(own))).sum(axis=0)
    return dict(zip(parts, ((as_low + 1) / (draws + 1)).tolist(), strict=True))


def _welch(values: Floats, sizes: npt.NDArray[np.intp]) -> Floats:
    """(R, S) Welch's t of the first so many (S,) of each row of (R, N) values against the others."""
    rest = values.shape[1] - sizes
    sums, squares = values.cumsum(axis=1), (values**2).cumsum(axis=1)
    inside, inside_squares = sums[:, sizes - 1], squares[:, sizes - 1]

    def mean_and_error(total: Floats, square: Floats, number: npt.NDArray[np.intp]) -> tuple[Floats, Floats]:
        some = np.maximum(number, 1)
        mean = total / some
        return mean, (square - some * mean**2) / np.maximum(some - 1, 1) / some

    low, error = mean_and_error(inside, inside_squares, sizes)
    high, other = mean_and_error(sums[:, -1:] - inside, squares[:, -1:] - inside_squares, rest)
    return np.asarray((low - high) / np.sqrt(np.maximum(error + other, ALIKE)), dtype=np.float64)
