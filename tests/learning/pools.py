"""Pools to choose from, small and typed by hand."""

from dataclasses import replace

import numpy as np

from datalab.learning.cover import Vectors
from datalab.learning.strategies import Pool, Taste

TASTE = Taste(candidates=4, stratified=0.66, cost_power=0.5)


def unit_vectors(count: int, seed: int = 0, size: int = 3) -> Vectors:
    raw = np.random.default_rng(seed).normal(size=(count, size))
    return np.asarray(raw / np.linalg.norm(raw, axis=1, keepdims=True), dtype=np.float32)


def pool_of(count: int, classes: int = 3, size: int = 3, seed: int = 0) -> Pool:
    """Scores rise and margins fall with the row; class k - 1 is looked for best in rows with row % classes == k - 1."""
    rng = np.random.default_rng(seed)
    residuals = rng.normal(size=(count, classes + 1))
    class_scores = np.array([[float(row % classes == one) for one in range(classes)] for row in range(count)])
    return Pool(
        vectors=unit_vectors(count, seed, size),
        labelled=np.zeros((0, size), dtype=np.float32),
        scores=np.asarray(np.linspace(0, 1, count), dtype=np.float64),
        wrong_shares=np.asarray(np.linspace(0, 0.5, count), dtype=np.float64),
        margins=np.asarray(np.linspace(1, 0, count), dtype=np.float64),
        class_scores=class_scores.reshape(count, classes),
        residuals=residuals - residuals.mean(axis=1, keepdims=True),
        class_counts=np.zeros(classes),
        costs=np.full(count, 60.0),
    )


def without_model(pool: Pool) -> Pool:
    return replace(pool, scores=None, wrong_shares=None, margins=None, class_scores=None, residuals=None)
