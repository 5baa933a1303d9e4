"""Outlines of objects: wavy, round, angular, boxes, strokes, cracks, and the ragged ones of leaves and stains."""

import cv2
import numpy as np
import numpy.typing as npt

from small_sam.surfaces import Rng, noise

Mask = npt.NDArray[np.bool_]
Numbered = npt.NDArray[np.int32]
"""(H, W): the number of the object or area that a pixel belongs to, 0 for none."""
Points = npt.NDArray[np.float64]
SMALLEST, LARGEST = 5.0, 110.0
"""Radius in pixels of the 256."""


def random_shape(side: int, rng: Rng) -> Mask:
    """One (side, side) mask at a random place; now and then with a hole, may lie outside in part or whole."""
    centre = rng.uniform(0, side, 2)
    radius = float(np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST))))
    kind = rng.random()
    if kind < 0.1:
        return stroke(side, centre, radius, rng)
    if kind < 0.28:
        return ragged(side, centre, radius, rng)
    canvas = np.zeros((side, side), dtype=np.uint8)
    cv2.fillPoly(canvas, [np.rint(outline(centre, radius, rng)).astype(np.int32)], 1)
    if rng.random() < 0.12:
        hole = outline(centre + rng.normal(0, radius / 5, 2), radius * rng.uniform(0.2, 0.5), rng)
        cv2.fillPoly(canvas, [np.rint(hole).astype(np.int32)], 0)
    return canvas > 0


def outline(centre: Points, radius: float, rng: Rng) -> Points:
    """Points (n, 2) of a closed outline, stretched and turned."""
    kind = rng.random()
    turn = rng.uniform(0, 2 * np.pi)
    if kind < 0.42:
        angle = np.linspace(0, 2 * np.pi, 90, endpoint=False)
        order = np.arange(1, 8)[:, None]
        strength = rng.normal(0, 0.35, (7, 1)) / order
        away = np.clip(1 + (strength * np.sin(order * angle + rng.uniform(0, 6.3, (7, 1)))).sum(0), 0.2, 2)
    elif kind < 0.58:
        angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
        away = np.ones(60)
    elif kind < 0.8:
        # a box, most of them upright as doors, signs and vans are
        angle = np.pi / 4 + np.arange(4) * np.pi / 2
        away = np.full(4, np.sqrt(2) * 0.9)
        turn = rng.normal(0, 0.06) if rng.random() < 0.7 else turn
        turn += np.pi / 2 * int(rng.integers(2))
    else:
        angle = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 9))))
        away = rng.uniform(0.5, 1.3, len(angle))
    flat = float(np.exp(rng.uniform(np.log(0.25), 0)))
    points = np.stack([np.cos(angle), np.sin(angle) * flat], axis=1) * away[:, None] * radius
    turned: Points = points @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return turned + centre


def stroke(side: int, centre: Points, radius: float, rng: Rng) -> Mask:
    """A pole, a crack, a branch: a line of a few bends."""
    bends = int(rng.integers(1, 7))
    heading = rng.normal(0, 1, 2)
    heading = heading / np.hypot(*heading) * 2 * radius / bends
    steps = heading + rng.normal(0, radius / bends * rng.uniform(0, 0.8), (bends, 2))
    points = centre + np.concatenate([[[0.0, 0.0]], np.cumsum(steps, axis=0)]) - heading * bends / 2
    canvas = np.zeros((side, side), dtype=np.uint8)
    thick = int(rng.integers(2, max(3, int(radius / 4)) + 1))
    cv2.polylines(canvas, [np.rint(points).astype(np.int32)], False, 1, thick)
    return canvas > 0


def ragged(side: int, centre: Points, radius: float, rng: Rng) -> Mask:
    """Where smooth noise, raised towards the centre, is high: a stain, a crown of leaves, a cloud."""
    y, x = np.mgrid[:side, :side].astype(np.float32)
    flat = rng.uniform(0.4, 1)
    far = np.hypot(x - centre[0], (y - centre[1]) / flat) / radius
    high = noise((side, side), rng, finest=6.0) * rng.uniform(0.3, 1.5) + 1 - far
    parts = cv2.connectedComponents((high > 0.5).astype(np.uint8))[1]
    column, row = (int(min(max(value, 0), side - 1)) for value in centre)
    found: Mask = (parts == parts[row, column]) & (high > 0.5)
    return found


def partition(side: int, rng: Rng) -> Numbered:
    """A (side, side) map of 2 to 6 areas, 0 the first: land and sky, road and kerb, fields, walls."""
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    areas = np.zeros((side, side), dtype=np.int32)
    for number in range(1, int(rng.integers(2, 7))):
        angle = rng.uniform(0, 2 * np.pi)
        if rng.random() < 0.5:
            angle = np.pi / 2 * int(rng.integers(4)) + rng.normal(0, 0.15)
        across = x * np.cos(angle) + y * np.sin(angle)
        wave = noise((side, side), rng, finest=5.5) * rng.choice([0.0, 0.1, 0.3])
        areas[across + wave > rng.uniform(np.quantile(across, 0.2), np.quantile(across, 0.9))] = number
    return areas
