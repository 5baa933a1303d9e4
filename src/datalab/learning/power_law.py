"""Where a learning curve goes: a power law through its points, and what more labels are worth by it.

score(n) = level + speed * (1 - (n / n_0) ** -bend) / bend, at most 1, with n_0 the first round's images and speed >= 0;
with bend 0 that is level + speed * log(n / n_0). It rises, ever more slowly: towards a ceiling where bend is above 0,
and without one below, as curves do that are far from theirs. For every bend the other two follow in closed form, so the
bend is looked up on a grid: an iterative fit of three numbers to three noisy points depends on where it starts.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

Floats = npt.NDArray[np.float64]
LEAST_POINTS = 3
"""As many as the curve has numbers."""
BENDS: Floats = np.linspace(-0.15, 2.0, 44, dtype=np.float64)
"""From a bit faster than a logarithm to nothing left to gain after twice the images. Where the logarithm is the end no
draw rises faster than a curve that rises like one, and the interval is too sure; further out the fit follows noise."""
FLAT = 1e-6
"""Bends closer to 0 are taken for a logarithm."""


@dataclass(frozen=True)
class PowerLaw:
    """One curve, or B of them at once."""

    first: float
    """Images of the first point, above 0."""
    level: Floats
    """(B,) score at the first point."""
    speed: Floats
    """(B,) slope there, by the logarithm of the images; at least 0."""
    bend: Floats
    """(B,) within BENDS."""

    def at(self, images: npt.ArrayLike) -> Floats:
        """Scores (B, S), at most 1, at these numbers of labelled images (S,), each above 0."""
        terms = _terms(np.asarray(images, dtype=np.float64) / self.first, self.bend)
        return np.asarray(np.minimum(self.level[:, None] + self.speed[:, None] * terms, 1.0), dtype=np.float64)


def fit(images: Floats, scores: Floats) -> PowerLaw:
    """The curve of least squares through the points `images` (R,), `scores` (R,); its numbers have shape (1,).

    ValueError with fewer than LEAST_POINTS different numbers of images, or where one is not above 0.
    """
    rough, step = float(fit_many(images, scores[None]).bend[0]), float(BENDS[1] - BENDS[0])
    bounds = max(rough - step, BENDS[0]), min(rough + step, BENDS[-1])

    def misfit(bend: float) -> float:
        return float(_squares(images, scores[None], np.array([bend]))[0, 0])

    found = minimize_scalar(misfit, bounds=bounds, method="bounded", options={"xatol": 1e-9})
    bend = np.array([float(found.x)])
    level, speed = _lines(images, scores[None], bend)
    return PowerLaw(float(images[0]), level[0], speed[0], bend)


def fit_many(images: Floats, scores: Floats) -> PowerLaw:
    """One curve for each row of `scores` (B, R), its bend one of BENDS; errors as `fit`."""
    if len(np.unique(images)) < LEAST_POINTS or not (np.isfinite(images).all() and (images > 0).all()):
        raise ValueError(f"a curve needs {LEAST_POINTS} different numbers of images above 0, got {images.tolist()}")
    best = _squares(images, scores, BENDS).argmin(axis=1)
    rows = np.arange(len(scores))
    level, speed = _lines(images, scores, BENDS)
    return PowerLaw(float(images[0]), level[rows, best], speed[rows, best], BENDS[best])


def _terms(shares: Floats, bends: Floats) -> Floats:
    """(G, S): what the speed is multiplied by, rising from 0 at share 1."""
    logs, flat = np.log(shares)[None, :], np.abs(bends)[:, None] < FLAT
    known = np.where(flat, 1.0, bends[:, None])
    return np.asarray(np.where(flat, logs, -np.expm1(-known * logs) / known), dtype=np.float64)


def _lines(images: Floats, scores: Floats, bends: Floats) -> tuple[Floats, Floats]:
    """Level and speed (B, G) of least squares at each bend; a curve that would fall is flat at its mean."""
    terms = _terms(images / images[0], bends)
    centred = terms - terms.mean(axis=1, keepdims=True)
    speed = np.maximum((scores @ centred.T) / (centred**2).sum(axis=1), 0.0)
    return scores.mean(axis=1, keepdims=True) - speed * terms.mean(axis=1), speed


def _squares(images: Floats, scores: Floats, bends: Floats) -> Floats:
    """(B, G): sum of the squared residuals."""
    level, speed = _lines(images, scores, bends)
    fitted = level[:, :, None] + speed[:, :, None] * _terms(images / images[0], bends)[None]
    return np.asarray(((scores[:, None, :] - fitted) ** 2).sum(axis=2), dtype=np.float64)
