"""How a hand draws an outline: smoothly displaced, a little too wide or too narrow."""

import cv2
import numpy as np
import numpy.typing as npt

from datalab.masks import BoolMask

SMOOTH_PX = 5.0
"""Standard deviation of the blur that makes the wobble: outlines waver over about 10 pixels."""
REACH = 4
"""Standard deviations of the wobble that are looked at."""
SMALLEST_BLOB, LARGEST_BLOB = 0.02, 0.12
"""Radius of an invented object, as a share of the image's smaller side."""


def draw(mask: BoolMask, bias_px: float, jitter_px: float, rng: np.random.Generator) -> BoolMask:
    """The (H, W) mask as somebody draws it: its outline moved outwards by `bias_px` plus a smooth random wobble.

    The wobble has mean 0 and standard deviation `jitter_px`. What would vanish (a small object drawn too narrow) stays
    as it is: a person sees that nothing is left.
    """
    if (bias_px == 0 and jitter_px == 0) or not mask.any():
        return mask.copy()
    window = _window(mask, margin=int(np.ceil(max(bias_px, 0) + REACH * jitter_px)) + 1)
    part = mask[window]
    offset = bias_px + jitter_px * _wobble(part.shape, rng)
    drawn = np.zeros_like(mask)
    drawn[window] = _signed_distance(part) > -offset
    return drawn if drawn.any() else mask.copy()


def invent(free: BoolMask, rng: np.random.Generator) -> BoolMask:
    """An oval somewhere in the `free` pixels of an image (H, W), and only there; empty where none is free."""
    places = np.argwhere(free)
    if len(places) == 0:
        return np.zeros_like(free)
    centre_y, centre_x = places[rng.integers(len(places))]
    radius = rng.uniform(SMALLEST_BLOB, LARGEST_BLOB) * min(free.shape) + 1
    y, x = np.ogrid[: free.shape[0], : free.shape[1]]
    oval: BoolMask = np.hypot(y - centre_y, (x - centre_x) * rng.uniform(0.6, 1.4)) <= radius
    return oval & free


def outline_px(mask: BoolMask) -> float:
    """Length of the outlines of a (H, W) mask in pixels, those of its holes too."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return float(sum(cv2.arcLength(contour, closed=True) for contour in contours))


def _window(mask: BoolMask, margin: int) -> tuple[slice, slice]:
    """The mask's box and `margin` pixels around it, as far as the image goes: nothing is drawn beyond."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (
        slice(max(0, int(rows[0]) - margin), int(rows[-1]) + margin + 1),
        slice(max(0, int(columns[0]) - margin), int(columns[-1]) + margin + 1),
    )


def _signed_distance(mask: BoolMask) -> npt.NDArray[np.float32]:
    """Distance to the outline in pixels, positive inside; 0.5 for pixels that touch it."""
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(np.where(mask, inside - 0.5, 0.5 - outside), dtype=np.float32)


def _wobble(shape: tuple[int, ...], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Smooth noise with mean 0 and standard deviation 1, everywhere alike."""
    edge = int(np.ceil(REACH * SMOOTH_PX))
    noise = rng.standard_normal((shape[0] + 2 * edge, shape[1] + 2 * edge), dtype=np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), SMOOTH_PX)[edge:-edge, edge:-edge]
    # white noise blurred by a Gaussian of s pixels keeps a standard deviation of 1 / (2 s sqrt(pi))
    return np.asarray(smooth * (2 * SMOOTH_PX * np.sqrt(np.pi)), dtype=np.float32)
