"""What the network sees of a picture, whole or a part of it enlarged, and what it is asked about it."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from small_sam.composites import MIN_AREA, SIDE
from small_sam.shapes import Mask
from small_sam.surfaces import Picture, Rng

WHOLE = 0.35
"""Share of the views that show the whole picture; the others are parts round an object, as a box prompt enlarges it."""
BOXES, CLICKS = 0.5, 0.35
"""Shares of the prompts; the rest are several clicks."""
SEVERAL = 3
SHAKEN = 0.05
"""Standard deviation of a box's sides, as a share of its length: people do not draw tight boxes."""
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class View:
    """A (256, 256, 3) uint8 picture whose first `height` rows and `width` columns are used, and what is in it."""

    picture: Picture
    height: int
    width: int
    masks: list[Mask]
    """(256, 256) each, of at least MIN_AREA pixels."""


@dataclass(frozen=True)
class Prompts:
    """P prompts; each is a box, one click or SEVERAL clicks."""

    masks: npt.NDArray[np.bool_]
    """(P, 256, 256): what is meant."""
    boxes: Floats
    """(P, 4): x0, y0, x1, y1."""
    points: Floats
    """(P, SEVERAL, 2): x, y; the first lies inside."""
    inside: npt.NDArray[np.int64]
    """(P, SEVERAL): 1 where a point lies inside, else 0."""
    kinds: npt.NDArray[np.int64]
    """(P,): 0 a box, 1 the first point, 2 all points."""


def look(picture: Picture, masks: list[Mask], rng: Rng) -> View:
    """A random view of a (256, 256, 3) picture with at least one mask."""
    shape = np.exp(rng.uniform(np.log(0.45), 0))
    tall = rng.random() < 0.5
    if rng.random() < WHOLE:
        long = SIDE * rng.uniform(0.75, 1)
        centre = np.full(2, SIDE / 2)
    else:
        box = tight_box(masks[int(rng.integers(len(masks)))])
        long = max(box[2:] - box[:2]) * rng.uniform(1.4, 2.8)
        long = min(max(long, 20.0), SIDE)
        shape = max(shape, 0.75)
        centre = (box[:2] + box[2:]) / 2 + rng.uniform(-0.08, 0.08, 2) * long
    window = np.array([long * shape, long] if tall else [long, long * shape])
    start = np.clip(np.rint(centre - window / 2), 0, SIDE - 8).astype(int)
    stop = np.clip(np.rint(centre + window / 2), start + 8, SIDE).astype(int)
    (x0, y0), (x1, y1) = start, stop
    scale = SIDE / max(x1 - x0, y1 - y0)
    width, height = (max(1, round(int(length) * scale)) for length in stop - start)
    seen = np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
    seen[:height, :width] = cv2.resize(picture[y0:y1, x0:x1], (width, height), interpolation=cv2.INTER_LINEAR)
    return View(
        seen,
        height,
        width,
        [one for one in (_seen(mask[y0:y1, x0:x1], height, width) for mask in masks) if one.sum() >= MIN_AREA],
    )


def ask(view: View, count: int, rng: Rng) -> Prompts:
    """`count` prompts about random objects of the view, those of its middle more often."""
    distance = np.array(
        [np.abs(np.argwhere(mask).mean(0) - [view.height / 2, view.width / 2]).max() for mask in view.masks]
    )
    chance = 1 / (distance + 16)
    chosen = [view.masks[place] for place in rng.choice(len(view.masks), count, p=chance / chance.sum())]
    places = [_clicks(mask, view, rng) for mask in chosen]
    return Prompts(
        masks=np.stack(chosen),
        boxes=np.stack([_shaken(tight_box(mask), view, rng) for mask in chosen]),
        points=np.stack([points for points, _ in places]),
        inside=np.stack([inside for _, inside in places]),
        kinds=np.searchsorted([BOXES, BOXES + CLICKS], rng.random(count)),
    )


def tight_box(mask: Mask) -> Floats:
    """(x0, y0, x1, y1), the ends excluded, of a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=np.float32)


def _seen(mask: Mask, height: int, width: int) -> Mask:
    seen = np.zeros((SIDE, SIDE), dtype=bool)
    if mask.any():
        large = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
        seen[:height, :width] = large >= 0.5
    return seen


def _shaken(box: Floats, view: View, rng: Rng) -> Floats:
    sides = np.tile(box[2:] - box[:2], 2)
    loose = box + rng.normal(0, SHAKEN, 4) * sides * (rng.random() < 0.7)
    return np.clip(loose, 0, [view.width, view.height] * 2).astype(np.float32)


def _clicks(mask: Mask, view: View, rng: Rng) -> tuple[Floats, npt.NDArray[np.int64]]:
    """SEVERAL points (x, y) and whether each is inside; the first is, and lies deep inside half of the time."""
    within = np.argwhere(mask)
    first = within[rng.integers(len(within), size=8 if rng.random() < 0.5 else 1)]
    if len(first) > 1:
        depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3)
        first = first[[depth[first[:, 0], first[:, 1]].argmax()]]
    box = tight_box(mask)
    margin = 0.2 * max(box[2:] - box[:2]) + 4
    near = np.clip(
        rng.uniform(box[:2] - margin, box[2:] + margin, (SEVERAL - 1, 2)), 0, [view.width - 1, view.height - 1]
    )
    more = near[:, ::-1].astype(int)
    points = np.concatenate([first, more])
    inside = mask[points[:, 0], points[:, 1]].astype(np.int64)
    return (points[:, ::-1] + 0.5).astype(np.float32), inside
