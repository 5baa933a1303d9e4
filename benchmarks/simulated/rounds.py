"""One simulated run: label a start, train, choose, label, train again; the score after every round."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from datalab.learning.default_strategy import default
from datalab.learning.metrics import confusion_matrix, iou_per_class
from datalab.learning.strategies import (
    Pool,
    Strategy,
    Taste,
    badge,
    cluster_margin,
    k_center_cover,
    typicality,
    uncertainty_top,
)
from datalab.learning.strategies import random as random_strategy
from datalab.learning.uncertainty import entropy, mutual_information
from simulated.data import Images
from simulated.head import Committee, Floats, Schedule, train_committee

Indices = npt.NDArray[np.intp]
STRATEGIES: dict[str, Strategy] = {
    "random": random_strategy,
    "uncertainty_top": uncertainty_top,
    "k_center": k_center_cover,
    "badge": badge,
    "cluster_margin": cluster_margin,
    "typicality": typicality,
    "default": default,
}
TOLD = "random_told"
"""Random that is told which images show something: two thirds of its batch are drawn from those. A cheat, for scale."""
PLAIN = "entropy_top"
"""What everybody means by active learning: the images with the highest mean entropy, and nothing else."""
CONTROL = 0.1
TASTE = Taste(candidates=2, stratified=0.66, cost_power=0.0)


@dataclass(frozen=True)
class Plan:
    """What a run looks like."""

    name: str
    """Of the data set."""
    start: int
    batch: int
    rounds: int
    further: tuple[int, ...]
    """Where random goes on to, for the curve that the others are measured by."""
    test_share: float = 0.4


PLANS = (
    Plan("magnetic_tile", 30, 30, 3, (180, 300, 480)),
    Plan("magnetic_tile", 60, 30, 3, (210, 300, 480)),
    Plan("camvid", 10, 10, 3, (60, 100, 160)),
    Plan("camvid", 20, 10, 3, (75, 110, 160)),
    Plan("sample", 10, 10, 3, (60, 100, 160)),
    Plan("sample", 20, 10, 3, (75, 110, 160)),
)


@dataclass(frozen=True)
class Side:
    """The halves of a data set for one seed."""

    pool: Indices
    test: Indices
    start: Indices


def split(images: Images, plan: Plan, seed: int) -> Side:
    """Pool and test without a shared group, and a uniform start from the pool: the same for every strategy."""
    rng = np.random.default_rng([seed, 1])
    groups = rng.permutation(np.unique(images.groups))
    sizes = np.cumsum([int((images.groups == one).sum()) for one in groups])
    tested = groups[: int(np.searchsorted(sizes, plan.test_share * len(images.groups))) + 1]
    in_test = np.isin(images.groups, tested)
    pool = np.flatnonzero(~in_test)
    return Side(pool, np.flatnonzero(in_test), rng.permutation(pool)[: plan.start])


def train(images: Images, labelled: Indices, seed: int, schedule: Schedule) -> Committee:
    """A committee on these images; the same images and seed give the same weights."""
    order = np.sort(labelled)
    rng = np.random.default_rng([seed, 2])
    return train_committee(images.cells[order], images.labels[order], len(images.classes), schedule, rng)


def score(images: Images, test: Indices, committee: Committee) -> npt.NDArray[np.float64]:
    """IoU per class (K,), pooled over the test images at the grid's resolution; NaN where the class is not there."""
    total = np.zeros((len(images.classes),) * 2, dtype=np.int64)
    for start in range(0, len(test), 64):
        rows = test[start : start + 64]
        mean = committee.probabilities(images.cells[rows].reshape(-1, images.cells.shape[-1])).mean(axis=1)
        total += confusion_matrix(images.labels[rows].ravel(), mean.argmax(axis=-1), len(images.classes))
    return iou_per_class(total)


def figure(images: Images, iou: npt.NDArray[np.float64]) -> float:
    """Mean IoU over the defects or objects; over all classes where there is no background (CamVid)."""
    return float(np.nanmean(iou if images.name == "camvid" else iou[1:]))


@dataclass(frozen=True)
class Look:
    """What a committee says about the images of a pool; one row per image."""

    scores: npt.NDArray[np.float64]
    wrong_shares: npt.NDArray[np.float64]
    margins: npt.NDArray[np.float64]
    class_scores: npt.NDArray[np.float64]
    residuals: npt.NDArray[np.float64]


def look(images: Images, pool: Indices, committee: Committee) -> Look:
    """Scores of the pool, in blocks of images."""
    parts = [_look(images, rows, committee) for rows in np.array_split(pool, max(1, len(pool) // 64))]
    return Look(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _look(images: Images, rows: Indices, committee: Committee) -> tuple[npt.NDArray[np.float64], ...]:
    cells = images.cells[rows]
    count, side = len(rows), cells.shape[1]
    asked = committee.probabilities(cells.reshape(-1, cells.shape[-1]))
    members = asked.reshape(count, side, side, *asked.shape[1:]).transpose(3, 0, 4, 1, 2)
    mean = members.mean(axis=0)
    unsure = mutual_information(members)
    order = np.sort(mean, axis=1)
    margin = order[:, -1] - order[:, -2]
    gap = np.where(mean == mean.max(axis=1, keepdims=True), 1, 0)
    weight = unsure / np.maximum(unsure.sum(axis=(1, 2), keepdims=True), 1e-9)
    residual = ((mean - gap) * weight[:, None]).sum(axis=(2, 3))
    by_class = np.stack([top_windows(mean[:, one] * unsure) for one in range(1, mean.shape[1])], axis=1)
    wrong = (1 - order[:, -1]).mean(axis=(1, 2))
    return (
        top_windows(unsure),
        np.asarray(wrong, np.float64),
        -top_windows(1 - margin),
        by_class,
        np.asarray(residual, np.float64),
    )


def mean_entropy(images: Images, rows: Indices, committee: Committee) -> npt.NDArray[np.float64]:
    """(N,) mean over the cells of the entropy of the committee's answer."""
    found = []
    for part in np.array_split(rows, max(1, len(rows) // 64)):
        asked = committee.probabilities(images.cells[part].reshape(-1, images.cells.shape[-1])).mean(axis=1)
        found.append(entropy(asked.T[:, :, None])[:, 0].reshape(len(part), -1).mean(axis=1))
    return np.asarray(np.concatenate(found), dtype=np.float64)


def top_windows(maps: Floats, window: int = 3, top: float = 0.02) -> npt.NDArray[np.float64]:
    """(N,) of (N, H, W): mean of the highest window means, as in datalab.learning.uncertainty.image_score."""
    means = ndimage.uniform_filter(maps, size=(0, window, window)).reshape(len(maps), -1)
    count = max(1, round(top * means.shape[1]))
    return np.asarray(np.partition(means, -count, axis=1)[:, -count:].mean(axis=1), dtype=np.float64)


@dataclass(frozen=True)
class Run:
    """One line of the results."""

    labelled: list[int]
    score: list[float]
    """Mean IoU on the test images after each round."""
    iou: list[list[float | None]]
    """Per class; None where no test cell shows it."""
    shown: list[int]
    """Labelled images that show anything but background."""


def simulate(images: Images, plan: Plan, strategy: str, seed: int, begun: Committee, schedule: Schedule) -> Run:
    """Choose and label `plan.rounds` times; `begun` is the committee of the start, the same for every strategy.

    Random goes on through plan.further.
    """
    side = split(images, plan, seed)
    labelled, committee, run = side.start, begun, Run([], [], [], [])
    record(run, images, side, labelled, committee)
    rng = np.random.default_rng([seed, 3])
    sizes = [plan.start + plan.batch * turn for turn in range(1, plan.rounds + 1)]
    if strategy == "random":
        sizes += plan.further
    for size in sizes:
        labelled = np.concatenate([labelled, choose(images, side, labelled, committee, strategy, size, rng)])
        committee = train(images, labelled, seed, schedule)
        record(run, images, side, labelled, committee)
    return run


def choose(
    images: Images,
    side: Side,
    labelled: Indices,
    committee: Committee,
    strategy: str,
    size: int,
    rng: np.random.Generator,
) -> Indices:
    """The images that are labelled next, so that `size` are."""
    rest, count = np.setdiff1d(side.pool, labelled), size - len(labelled)
    if strategy == TOLD:
        told = rest[images.shown()[rest].any(axis=1)]
        known = rng.permutation(told)[: round(count * 2 / 3)]
        return np.concatenate([known, rng.permutation(np.setdiff1d(rest, known))[: count - len(known)]])
    if strategy == "random":
        return rng.permutation(rest)[:count]
    if strategy == PLAIN:
        return rest[np.argsort(-mean_entropy(images, rest, committee), kind="stable")][:count]
    control = rng.permutation(rest)[: int(np.ceil(CONTROL * count))]
    rest = np.setdiff1d(rest, control)
    pool = pool_of(images, rest, np.concatenate([labelled, control]), committee)
    return np.concatenate([control, rest[STRATEGIES[strategy](pool, count - len(control), TASTE, rng)]])


def pool_of(images: Images, rest: Indices, labelled: Indices, committee: Committee) -> Pool:
    """What the strategies get to see: nothing that hangs on a label of the pool."""
    seen = look(images, rest, committee)
    counts = images.shown()[labelled].sum(axis=0).astype(np.float64)
    vectors, known = images.vectors[rest], images.vectors[labelled]
    return Pool(
        vectors,
        known,
        seen.scores,
        seen.wrong_shares,
        seen.margins,
        seen.class_scores,
        seen.residuals,
        counts,
        np.ones(len(rest)),
    )


def record(run: Run, images: Images, side: Side, labelled: Indices, committee: Committee) -> None:
    """Add the score of a round."""
    iou = score(images, side.test, committee)
    run.labelled.append(len(labelled))
    run.score.append(round(figure(images, iou), 5))
    run.iou.append([None if np.isnan(one) else round(float(one), 4) for one in iou])
    run.shown.append(int(images.shown()[labelled].any(axis=1).sum()))
