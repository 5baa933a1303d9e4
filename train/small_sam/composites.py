"""Training pictures: procedural shapes with textures of public-domain photographs, and their exact masks.

A picture is a pure function of its seed. The photographs come with scikit-image; docs/small-sam.md has their terms.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from skimage import data

SIDE = 256
PHOTOGRAPHS = ("astronaut", "brick", "camera", "cat", "coffee", "coins", "grass", "gravel", "moon", "rocket", "text")
MIN_AREA = 40

Picture = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Rng = np.random.Generator


def load_photographs() -> list[Picture]:
    """The photographs as (H, W, 3) uint8."""
    pictures = [np.asarray(getattr(data, name)()) for name in PHOTOGRAPHS]
    return [np.repeat(one[..., None], 3, axis=2) if one.ndim == 2 else one[..., :3] for one in pictures]


def compose(photographs: Sequence[Picture], rng: Rng) -> tuple[Picture, list[Mask]]:
    """One (256, 256, 3) uint8 picture and the visible masks of its objects, each of at least 40 pixels."""
    canvas = texture(photographs, rng).astype(np.float32)
    owner = np.zeros((SIDE, SIDE), dtype=np.int32)
    for number in range(1, int(rng.integers(3, 14)) + 1):
        shape = random_shape(rng)
        alpha = cv2.GaussianBlur(shape.astype(np.float32), (0, 0), float(rng.uniform(0.4, 1.2)))[..., None]
        if rng.random() < 0.3:
            canvas *= 1 - rng.uniform(0.2, 0.6) * shadow(shape, rng)[..., None]
        surface = object_surface(photographs, canvas, rng)
        canvas = canvas * (1 - alpha) + surface * alpha
        owner[alpha[..., 0] >= 0.5] = number
    masks = [owner == number for number in range(1, owner.max() + 1)]
    return camera(canvas, rng), [mask for mask in masks if mask.sum() >= MIN_AREA]


def texture(photographs: Sequence[Picture], rng: Rng) -> npt.NDArray[np.float32]:
    """A (256, 256, 3) surface, 0 to 255: a crop of a photograph, noise, stripes, or a plain colour with a gradient."""
    kind = rng.random()
    if kind < 0.55:
        return jitter_colour(crop(photographs[int(rng.integers(len(photographs)))], rng), rng)
    first, second = rng.uniform(0, 255, (2, 3)).astype(np.float32)
    if kind < 0.72:
        second = np.clip(first + rng.normal(0, 50, 3), 0, 255).astype(np.float32)
        weight = noise(rng)
    elif kind < 0.82:
        weight = stripes(rng)
    else:
        second = np.clip(first + rng.normal(0, 25, 3), 0, 255).astype(np.float32)
        weight = ramp(rng)
    return first + (second - first) * weight[..., None]


def object_surface(
    photographs: Sequence[Picture], canvas: npt.NDArray[np.float32], rng: Rng
) -> npt.NDArray[np.float32]:
    """A texture, sometimes close in colour to what lies below, shaded from one side."""
    surface = texture(photographs, rng)
    if rng.random() < 0.25:
        surface = surface - surface.mean((0, 1)) + canvas.mean((0, 1)) + rng.normal(0, 25, 3).astype(np.float32)
    if rng.random() < 0.4:
        surface = surface * (0.7 + 0.6 * ramp(rng)[..., None])
    return np.clip(surface, 0, 255).astype(np.float32)


def crop(photograph: Picture, rng: Rng) -> npt.NDArray[np.float32]:
    """A random square of a photograph at a random scale, flipped and turned."""
    height, width = photograph.shape[:2]
    side = int(min(height, width) * rng.uniform(0.2, 1.0))
    top, left = int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1))
    square = cv2.resize(photograph[top : top + side, left : left + side], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(np.rot90(square, int(rng.integers(4)))).astype(np.float32)


def jitter_colour(surface: npt.NDArray[np.float32], rng: Rng) -> npt.NDArray[np.float32]:
    """Contrast, brightness and a tint."""
    if rng.random() < 0.3:
        surface = surface[..., rng.permutation(3)]
    gain = rng.uniform(0.5, 1.3) * rng.uniform(0.75, 1.25, 3)
    return np.clip((surface - 128) * gain + 128 + rng.normal(0, 30), 0, 255).astype(np.float32)


def noise(rng: Rng) -> npt.NDArray[np.float32]:
    """Smooth noise in [0, 1] at a random scale."""
    cells = int(2 ** rng.uniform(2, 7.5))
    grid = rng.random((cells, cells)).astype(np.float32)
    return cv2.resize(grid, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC).clip(0, 1)


def stripes(rng: Rng) -> npt.NDArray[np.float32]:
    """Waves or hard stripes in [0, 1] at a random angle."""
    wave = 0.5 + 0.5 * np.sin(ramp(rng) * rng.uniform(10, 120))
    return (wave > 0.5).astype(np.float32) if rng.random() < 0.5 else wave.astype(np.float32)


def ramp(rng: Rng) -> npt.NDArray[np.float32]:
    """A linear gradient from 0 to 1 at a random angle."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32) / SIDE - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    return np.clip(x * np.cos(angle) + y * np.sin(angle) + 0.5, 0, 1).astype(np.float32)


def shadow(shape: Mask, rng: Rng) -> npt.NDArray[np.float32]:
    """The shape moved and blurred, in [0, 1]."""
    move = np.array([[1, 0, rng.uniform(-12, 12)], [0, 1, rng.uniform(-12, 12)]], dtype=np.float32)
    moved = cv2.warpAffine(shape.astype(np.float32), move, (SIDE, SIDE))
    return cv2.GaussianBlur(moved, (0, 0), float(rng.uniform(2, 8)))


def random_shape(rng: Rng) -> Mask:
    """One mask: a wavy outline, an ellipse, a box, a polygon or a stroke; now and then with a hole."""
    canvas = np.zeros((SIDE, SIDE), dtype=np.uint8)
    centre = rng.uniform(0, SIDE, 2)
    size = float(np.exp(rng.uniform(np.log(8), np.log(95))))
    kind = rng.random()
    if kind < 0.12:
        points = centre + np.cumsum(rng.normal(0, size / 2, (int(rng.integers(2, 6)), 2)), axis=0)
        cv2.polylines(canvas, [points.astype(np.int32)], False, 1, int(rng.integers(3, max(4, int(size / 3)))))
        return canvas > 0
    cv2.fillPoly(canvas, [outline(kind, centre, size, rng).astype(np.int32)], 1)
    if rng.random() < 0.12:
        cv2.circle(canvas, [int(value) for value in centre], max(2, int(size * rng.uniform(0.2, 0.5))), 0, -1)
    return canvas > 0


def outline(kind: float, centre: npt.NDArray[np.float64], size: float, rng: Rng) -> npt.NDArray[np.float64]:
    """Points (n, 2) of a closed outline round `centre`, about `size` pixels in radius."""
    if kind < 0.5:
        angle = np.linspace(0, 2 * np.pi, 90, endpoint=False)
        order = np.arange(1, 8)[:, None]
        strength = rng.normal(0, 0.35, (7, 1)) / order
        radius = np.clip(1 + (strength * np.sin(order * angle + rng.uniform(0, 6.3, (7, 1)))).sum(0), 0.2, 2)
    elif kind < 0.75:
        angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
        radius = np.ones(60)
    else:
        angle = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 8))))
        radius = rng.uniform(0.6, 1.3, len(angle))
    points = np.stack([np.cos(angle), np.sin(angle) * rng.uniform(0.35, 1)], axis=1) * radius[:, None] * size
    turn = rng.uniform(0, 2 * np.pi)
    return points @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) + centre


def camera(canvas: npt.NDArray[np.float32], rng: Rng) -> Picture:
    """What a camera adds: blur, light, grey, noise, JPEG."""
    if rng.random() < 0.5:
        canvas = cv2.GaussianBlur(canvas, (0, 0), float(rng.uniform(0.3, 1.4)))
    if rng.random() < 0.25:
        canvas = np.repeat(canvas.mean(2, keepdims=True), 3, axis=2)
    canvas = canvas * rng.uniform(0.6, 1.2) + rng.normal(0, rng.uniform(0, 10), canvas.shape)
    picture = np.clip(canvas, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 95))])
        picture = cv2.imdecode(encoded, cv2.IMREAD_COLOR).astype(np.uint8)
    return picture
