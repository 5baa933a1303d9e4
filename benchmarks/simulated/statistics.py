"""What simulated runs say: label-efficiency factors with paired bootstrap intervals, and paired tests with Holm."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression
from scipy.stats import ttest_rel, wilcoxon

Line = dict[str, Any]
Floats = npt.NDArray[np.float64]
RESAMPLES = 1000


@dataclass(frozen=True)
class Cell:
    """The runs of one data set and start: arm -> seed -> (scores, labels) of each round."""

    name: str
    start: int
    runs: dict[str, dict[int, tuple[Floats, Floats]]]

    def seeds(self, arm: str) -> list[int]:
        """Seeds that the arm shares with random: only pairs count."""
        return sorted(set(self.runs.get(arm, {})) & set(self.runs.get("random", {})))


def cells_of(lines: Sequence[Line]) -> list[Cell]:
    """One cell per (set, start), in the order in which they first appear."""
    found: dict[tuple[str, int], Cell] = {}
    for line in lines:
        key = (line["set"], line["start"])
        cell = found.setdefault(key, Cell(key[0], key[1], {}))
        values = np.asarray(line["score"], dtype=np.float64), np.asarray(line["labelled"], dtype=np.float64)
        cell.runs.setdefault(line["strategy"], {})[line["seed"]] = values
    return list(found.values())


def factor(cell: Cell, arm: str, seeds: Sequence[int]) -> tuple[float, bool]:
    """(labels random needs for the arm's mean final score / labels the arm has, whether random never gets there).

    Random's mean curve over the same seeds is made monotone (isotonic regression) and read off linearly. Beyond its
    largest run the factor is censored: the true one is at least this.
    """
    final = float(np.mean([cell.runs[arm][seed][0][-1] for seed in seeds]))
    labels = cell.runs["random"][seeds[0]][1]
    curve = np.mean([cell.runs["random"][seed][0] for seed in seeds], axis=0)
    rising = np.asarray(isotonic_regression(curve).x, dtype=np.float64)
    have = float(cell.runs[arm][seeds[0]][1][-1])
    if final > rising[-1]:
        return float(labels[-1]) / have, True
    place = int(np.searchsorted(rising, final))
    if place == 0:
        return float(labels[0]) / have, False
    low, high = rising[place - 1], rising[place]
    share = 1.0 if high == low else (final - low) / (high - low)
    return float(labels[place - 1] + share * (labels[place] - labels[place - 1])) / have, False


def summary(cell: Cell, arm: str, rng: np.random.Generator) -> Line:
    """Figures of one arm: factor with its 95% paired bootstrap interval over seeds, and tests of the final score.

    `censored` is the share of the resamples in which random never got there. p-values are one-sided, for "better than
    random"; `p_worse` for "worse than random". None where there are fewer than two pairs.
    """
    seeds = cell.seeds(arm)
    final = np.array([cell.runs[arm][seed][0][-1] for seed in seeds])
    rounds = len(cell.runs[arm][seeds[0]][0])
    random = np.array([cell.runs["random"][seed][0][rounds - 1] for seed in seeds])
    value, beyond = factor(cell, arm, seeds)
    draws = [factor(cell, arm, rng.choice(seeds, len(seeds)).tolist()) for _ in range(RESAMPLES)]
    low, high = np.quantile([one for one, _ in draws], (0.025, 0.975))
    line: Line = {
        "set": cell.name,
        "start": cell.start,
        "arm": arm,
        "labels": int(cell.runs[arm][seeds[0]][1][-1]),
        "seeds": len(seeds),
        "score": round(float(final.mean()), 4),
        "random": round(float(random.mean()), 4),
        "factor": round(value, 2),
        "low": round(float(low), 2),
        "high": round(float(high), 2),
        "factor_is_at_least": beyond,
        "censored": round(float(np.mean([one for _, one in draws])), 2),
        "p_better": None,
        "p_worse": None,
        "p_wilcoxon": None,
    }
    if len(seeds) > 1 and arm != "random" and np.ptp(final - random) > 0:
        line["p_better"] = round(float(ttest_rel(final, random, alternative="greater").pvalue), 5)
        line["p_worse"] = round(float(ttest_rel(final, random, alternative="less").pvalue), 5)
        line["p_wilcoxon"] = round(float(wilcoxon(final - random, alternative="greater").pvalue), 5)
    return line


def ratio_to(cell: Cell, arm: str, other: str, rng: np.random.Generator) -> tuple[float, float, float]:
    """(ratio, low, high) of the arm's label-efficiency factor to another arm's, paired over their common seeds."""
    seeds = sorted(set(cell.seeds(arm)) & set(cell.seeds(other)))
    value = factor(cell, arm, seeds)[0] / factor(cell, other, seeds)[0]
    draws = []
    for _ in range(RESAMPLES):
        picked = rng.choice(seeds, len(seeds)).tolist()
        draws.append(factor(cell, arm, picked)[0] / factor(cell, other, picked)[0])
    low, high = np.quantile(draws, (0.025, 0.975))
    return float(value), float(low), float(high)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for how many there are (Holm 1979), in the order given."""
    order = np.argsort(p_values)
    adjusted = np.empty(len(p_values))
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return [float(one) for one in adjusted]
