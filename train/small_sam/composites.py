"""Training pictures: procedural shapes with surfaces of public-domain photographs, and their exact masks.

A picture is a pure function of its seed. There are three kinds: objects lying on a ground, areas that share the picture
out between them with objects on top, and a surface with faint faults.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from small_sam.shapes import Mask, Numbered, partition, random_shape
from small_sam.surfaces import Colours, Picture, Rng, noise, ramp, shaded, surface

SIDE = 256
MIN_AREA = 24


def compose(photographs: Sequence[Picture], rng: Rng) -> tuple[Picture, list[Mask]]:
    """One (256, 256, 3) uint8 picture and the visible masks of its objects, each of at least 24 pixels."""
    kind = rng.random()
    owner = np.zeros((SIDE, SIDE), dtype=np.int32)
    if kind < 0.25:
        canvas = faults(photographs, owner, rng)
    else:
        canvas = areas(photographs, owner, rng) if kind < 0.55 else surface(photographs, owner.shape, rng)
        for _ in range(int(rng.integers(1 if kind < 0.55 else 3, 12))):
            lay(photographs, canvas, owner, rng)
    masks = [owner == number for number in range(1, owner.max() + 1)]
    return camera(canvas, rng), [mask for mask in masks if mask.sum() >= MIN_AREA]


def lay(photographs: Sequence[Picture], canvas: Colours, owner: Numbered, rng: Rng) -> None:
    """Put one more object on the canvas, in place."""
    shape = random_shape(SIDE, rng)
    if not shape.any():
        return
    rows, columns = np.flatnonzero(shape.any(1)), np.flatnonzero(shape.any(0))
    box = slice(max(0, rows[0] - 4), rows[-1] + 5), slice(max(0, columns[0] - 4), columns[-1] + 5)
    if rng.random() < 0.3:
        cast_shadow(canvas, shape, rng)
    below = canvas[box]
    alpha = cv2.GaussianBlur(shape[box].astype(np.float32), (0, 0), float(rng.uniform(0.4, 1.2)))
    canvas[box] = below + (object_surface(photographs, below, rng) - below) * alpha[..., None]
    owner[box][alpha >= 0.5] = owner.max() + 1


def object_surface(photographs: Sequence[Picture], below: Colours, rng: Rng) -> Colours:
    """A surface of the size of what lies below, sometimes close to it in colour, sometimes shaded."""
    made = surface(photographs, below.shape[:2], rng)
    if rng.random() < 0.3:
        made = made - made.mean((0, 1)) + below.mean((0, 1)) + rng.normal(0, 20, 3).astype(np.float32)
    if rng.random() < 0.4:
        made = shaded(made, rng)
    return np.clip(made, 0, 255).astype(np.float32)


def cast_shadow(canvas: Colours, shape: Mask, rng: Rng) -> None:
    """Darken the canvas, in place, where the shape, moved and blurred, keeps the light away."""
    move = np.array([[1, 0, rng.uniform(-12, 12)], [0, 1, rng.uniform(-12, 12)]], dtype=np.float32)
    moved = cv2.warpAffine(shape.astype(np.float32), move, (SIDE, SIDE))
    canvas *= 1 - np.float32(rng.uniform(0.2, 0.6)) * cv2.blur(moved, (int(rng.integers(5, 25)),) * 2)[..., None]


def areas(photographs: Sequence[Picture], owner: Numbered, rng: Rng) -> Colours:
    """A canvas shared out between areas, each an object in `owner`, with the first one left as ground."""
    shared = partition(SIDE, rng)
    canvas = surface(photographs, shared.shape, rng)
    for number in range(1, shared.max() + 1):
        inside = (shared == number).astype(np.float32)
        alpha = cv2.GaussianBlur(inside, (0, 0), float(rng.uniform(0.4, 1.2)))[..., None]
        canvas += (object_surface(photographs, canvas, rng) - canvas) * alpha
        parts, labels = cv2.connectedComponents((shared == number).astype(np.uint8))
        for part in range(1, parts):
            owner[labels == part] = owner.max() + 1
    return canvas


def faults(photographs: Sequence[Picture], owner: Numbered, rng: Rng) -> Colours:
    """A surface, mostly grey, with one to five faults that are a little darker or lighter than what they lie in."""
    canvas = surface(photographs, owner.shape, rng)
    if rng.random() < 0.7:
        canvas = np.repeat(canvas.mean(2, keepdims=True), 3, axis=2)
    canvas = canvas.mean((0, 1)) + (canvas - canvas.mean((0, 1))) * np.float32(rng.uniform(0.1, 0.8))
    for _ in range(int(rng.integers(1, 6))):
        shape = random_shape(SIDE, rng)
        alpha = cv2.GaussianBlur(shape.astype(np.float32), (0, 0), float(rng.uniform(0.5, 2.5)))
        depth = rng.choice([-1, -1, 1]) * rng.uniform(10, 90)
        uneven = 0.5 + 0.5 * (noise(owner.shape, rng) if rng.random() < 0.5 else ramp(owner.shape, rng))
        canvas += (alpha * uneven * np.float32(depth))[..., None]
        owner[alpha >= 0.5] = owner.max() + 1
    return np.asarray(np.clip(canvas, 0, 255), dtype=np.float32)


def camera(canvas: Colours, rng: Rng) -> Picture:
    """What a camera adds: blur, light, grey, noise, JPEG."""
    if rng.random() < 0.5:
        canvas = np.asarray(cv2.GaussianBlur(canvas, (0, 0), float(rng.uniform(0.3, 1.4))), dtype=np.float32)
    if rng.random() < 0.25:
        canvas = np.repeat(canvas.mean(2, keepdims=True), 3, axis=2)
    grain = rng.standard_normal(canvas.shape, dtype=np.float32) * np.float32(rng.uniform(0, 10))
    picture = np.clip(canvas * np.float32(rng.uniform(0.6, 1.2)) + grain, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 95))])
        picture = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), dtype=np.uint8)
    return picture
