"""A class for a region by the nearest examples: enough to name proposals before any model exists."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NEIGHBOURS = 5


@dataclass(frozen=True)
class Prototypes:
    """Example vectors (n, C) of unit length with their labels; "" is background."""

    vectors: npt.NDArray[np.float32]
    labels: tuple[str, ...]


def fit_prototypes(vectors: npt.NDArray[np.float32], labels: Sequence[str]) -> Prototypes:
    """Keep the examples, centred, so that what all regions share does not hide what tells them apart."""
    return Prototypes(np.asarray(vectors, dtype=np.float32), tuple(labels))


def nearest_label(
    vectors: npt.NDArray[np.float32], prototypes: Prototypes, least_margin: float = 0.0
) -> list[str | None]:
    """For each of (m, C) vectors the label with the most weight among the five nearest examples.

    Weight is cosine similarity after centring on the examples' mean, divided by how often the label occurs among the
    examples (square root), so that a rare class is not outvoted by a common one. None where the best label leads the
    second by less than `least_margin`, a share of all weight in [0, 1]: nobody should believe such a guess.
    """
    centre = prototypes.vectors.mean(axis=0)
    similarity = _unit_rows(vectors - centre) @ _unit_rows(prototypes.vectors - centre).T
    counts = Counter(prototypes.labels)
    return [_vote(row, prototypes.labels, counts, least_margin) for row in similarity]


def _vote(
    similarity: npt.NDArray[np.float32], labels: Sequence[str], counts: Mapping[str, int], least_margin: float
) -> str | None:
    votes: dict[str, float] = {}
    for place in np.argsort(-similarity, kind="stable")[:NEIGHBOURS]:
        label = labels[place]
        votes[label] = votes.get(label, 0.0) + (1 + float(similarity[place])) / counts[label] ** 0.5
    ranked = sorted(votes, key=lambda label: (votes[label], label), reverse=True)
    runner_up = votes[ranked[1]] if len(ranked) > 1 else 0.0
    lead = (votes[ranked[0]] - runner_up) / max(sum(votes.values()), 1e-12)
    return None if lead < least_margin else ranked[0]


def _unit_rows(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)
