"""Where a learning curve goes: a saturating power law through its points, and what more labels are worth by it.

score(n) = ceiling - drop * (n / n_0) ** -power, with n_0 the first round's images, 0 <= drop and ceiling <= 1: it
rises, ever more slowly, and never beyond a perfect score. For every power the other two follow in closed form, so the
power is looked up on a grid: an iterative fit of three numbers to three noisy points depends on where it starts.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

Floats = npt.NDArray[np.float64]
LEAST_POINTS = 3
"""As many as the curve has numbers."""
POWERS: Floats = np.geomspace(0.1, 2.0, 40, dtype=np.float64)
"""From hardly different from a logarithm to nothing left to gain after twice the images."""


@dataclass(frozen=True)
class PowerLaw:
    """One curve, or B of them at once."""

    first: float
    """Images of the first point, above 0."""
    ceiling: Floats
    """(B,) score with endless labels, at most 1."""
    drop: Floats
    """(B,) what was missing from it at the first point, at least 0."""
    power: Floats
    """(B,) above 0."""

    def at(self, images: npt.ArrayLike) -> Floats:
        """Scores (B, S) at these numbers of labelled images (S,), each above 0."""
        share = np.asarray(images, dtype=np.float64) / self.first
        return np.asarray(self.ceiling[:, None] - self.drop[:, None] * share[None, :] ** -self.power[:, None])


def fit(images: Floats, scores: Floats) -> PowerLaw:
    """The curve of least squares through the points `images` (R,), `scores` (R,); its numbers have shape (1,).

    ValueError with fewer than LEAST_POINTS different numbers of images, or where one is not above 0.
    """
    rough = float(fit_many(images, scores[None]).power[0])
    step = float(POWERS[1] / POWERS[0])
    bounds = max(rough / step, POWERS[0]), min(rough * step, POWERS[-1])

    def misfit(power: float) -> float:
        return float(_squares(*_lines(images, scores[None], np.array([power])))[0, 0])

    power = np.array([float(minimize_scalar(misfit, bounds=bounds, method="bounded", options={"xatol": 1e-9}).x)])
    _, ceiling, drop, _ = _lines(images, scores[None], power)
    return PowerLaw(float(images[0]), ceiling[0], drop[0], power)


def fit_many(images: Floats, scores: Floats) -> PowerLaw:
    """One curve for each row of `scores` (B, R), its power one of POWERS; errors as `fit`."""
    if len(np.unique(images)) < LEAST_POINTS or not (np.isfinite(images).all() and (images > 0).all()):
        raise ValueError(f"a curve needs {LEAST_POINTS} different numbers of images above 0, got {images.tolist()}")
    lines = _lines(images, scores, POWERS)
    best = _squares(*lines).argmin(axis=1)
    rows = np.arange(len(scores))
    _, ceiling, drop, _ = lines
    return PowerLaw(float(images[0]), ceiling[rows, best], drop[rows, best], POWERS[best])


def _lines(images: Floats, scores: Floats, powers: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Least squares at each power: (G, R) falling terms, (B, G) ceiling and drop within their limits, (B, R) scores."""
    terms = (images / images[0])[None, :] ** -powers[:, None]
    centred = terms - terms.mean(axis=1, keepdims=True)
    drop = -(scores @ centred.T) / (centred**2).sum(axis=1)
    drop = np.maximum(drop, 0.0)
    ceiling = scores.mean(axis=1, keepdims=True) + drop * terms.mean(axis=1)
    at_most_one = np.maximum(((1 - scores) @ terms.T) / (terms**2).sum(axis=1), 0.0)
    beyond = ceiling > 1
    return terms, np.where(beyond, 1.0, ceiling), np.where(beyond, at_most_one, drop), scores


def _squares(terms: Floats, ceiling: Floats, drop: Floats, scores: Floats) -> Floats:
    """(B, G): sum of the squared residuals."""
    fitted = ceiling[:, :, None] - drop[:, :, None] * terms[None]
    return np.asarray(((scores[:, None, :] - fitted) ** 2).sum(axis=2), dtype=np.float64)
