"""How a hand draws an outline: smoothly displaced, a little too wide or too narrow."""

import cv2
import numpy as np
import numpy.typing as npt

from datalab.masks import BoolMask

WAVELENGTH_PX = 10.0
"""Scale of the wobble along an outline."""


def draw(mask: BoolMask, bias_px: float, jitter_px: float, rng: np.random.Generator) -> BoolMask:
    """The (H, W) mask as somebody draws it: its outline moved outwards by `bias_px` plus a smooth random wobble.

    An empty result (a small object drawn too narrow) keeps the true mask: a person sees what vanished.
    """
    if bias_px == 0 and jitter_px == 0:
        return mask.copy()
    offset = bias_px + jitter_px * _wobble(mask.shape, rng)
    drawn = np.asarray(_signed_distance(mask) > -offset, dtype=bool)
    return drawn if drawn.any() else mask.copy()


def invent(height: int, width: int, rng: np.random.Generator) -> BoolMask:
    """A blob of 2% to 12% of the image's smaller side in radius, somewhere."""
    radius = float(rng.uniform(0.02, 0.12)) * min(height, width) + 1
    centre_y, centre_x = rng.uniform(0, height), rng.uniform(0, width)
    y, x = np.mgrid[:height, :width] + 0.5
    blob: BoolMask = np.hypot(y - centre_y, (x - centre_x) * rng.uniform(0.6, 1.4)) <= radius
    if not blob.any():
        blob[min(int(centre_y), height - 1), min(int(centre_x), width - 1)] = True
    return blob


def perimeter_px(mask: BoolMask) -> float:
    """Length of the mask's outlines in pixels."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return float(sum(cv2.arcLength(contour, closed=True) for contour in contours))


def _signed_distance(mask: BoolMask) -> npt.NDArray[np.float32]:
    """Distance to the outline in pixels, positive inside; 0.5 for pixels that touch it."""
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(np.where(mask, inside - 0.5, 0.5 - outside), dtype=np.float32)


def _wobble(shape: tuple[int, ...], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Smooth noise with mean 0 and standard deviation 1."""
    noise = rng.standard_normal(shape).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), WAVELENGTH_PX / 2)
    deviation = float(smooth.std())
    return np.asarray((smooth - smooth.mean()) / deviation if deviation > 0 else smooth, dtype=np.float32)
