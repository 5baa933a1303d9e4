"""One sample image: objects laid on a background, with the exact map of which pixel shows which object."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from datalab.sample.cutouts import Alpha, Cutout, cutouts
from datalab.sample.photographs import HEIGHT, WIDTH, Rgb, background

CLASS_IDS = {"coin": 1, "cup": 2, "person": 3}
COUNTS = (0.07, 0.17, 0.24, 0.21, 0.15, 0.10, 0.06)
"""How often an image gets 0, 1, ... 6 objects (fewer where no room is found)."""
SHARES = {"coin": 0.66, "cup": 0.21, "person": 0.13}
AT_MOST = {"coin": 6, "cup": 2, "person": 1}
SIZES = {"coin": (26, 72), "cup": (72, 165), "person": (110, 215)}
"""Height in pixels of the whole object."""
ATTEMPTS = 25
COIN_TINTS = ((1.0, 1.0, 1.0), (1.12, 0.95, 0.66), (1.05, 0.82, 0.66), (0.92, 0.98, 1.06))
"""Silver, gold, bronze, steel."""


@dataclass(frozen=True)
class Scene:
    """`pixels` (HEIGHT, WIDTH, 3) uint8 RGB; `label_map` (HEIGHT, WIDTH) uint8 of CLASS_IDS; `objects`: how many."""

    pixels: npt.NDArray[np.uint8]
    label_map: npt.NDArray[np.uint8]
    objects: int


@dataclass
class _Canvas:
    """A scene being made: `numbers` (HEIGHT, WIDTH) says which object a pixel shows, 0 for the background."""

    rgb: Rgb
    numbers: npt.NDArray[np.int32]
    labels: list[str]
    light: tuple[float, float]
    """Where shadows fall, in pixels right and down per pixel of an object's size."""


def compose(rng: np.random.Generator) -> Scene:
    """A scene that `rng` alone decides.

    A pixel belongs to an object where its alpha is at least one half. Objects of one class do not touch and each one
    shows in one piece, so that connected components of the label map are the objects.
    """
    canvas = _Canvas(
        rgb=background(rng),
        numbers=np.zeros((HEIGHT, WIDTH), np.int32),
        labels=[],
        light=(rng.uniform(-0.08, 0.08), rng.uniform(0.02, 0.1)),
    )
    for label in _choose_labels(rng):
        _place_somewhere(canvas, label, rng)
    ids = np.array([0, *(CLASS_IDS[label] for label in canvas.labels)], np.uint8)
    return Scene(_photographed(canvas.rgb, rng), ids[canvas.numbers], len(canvas.labels))


def _choose_labels(rng: np.random.Generator) -> list[str]:
    """Classes of the objects, large ones first: they lie below."""
    count = int(rng.choice(len(COUNTS), p=COUNTS))
    drawn = rng.choice(list(SHARES), count, p=list(SHARES.values())).tolist()
    kept = [label for place, label in enumerate(drawn) if drawn[:place].count(label) < AT_MOST[label]]
    return sorted(kept, key=lambda label: -SIZES[label][1])


def _place_somewhere(canvas: _Canvas, label: str, rng: np.random.Generator) -> None:
    """Lay one object of this class where it fits; leave it out when no place is found."""
    for _ in range(ATTEMPTS):
        kinds = cutouts()[label]
        rgb, alpha = _laid(kinds[int(rng.integers(len(kinds)))], rng)
        inside = alpha >= 0.5
        if _fits(canvas, label, inside):
            under = _shaded(canvas.rgb, alpha, canvas.light)
            canvas.rgb = under + alpha[..., None] * (rgb - under)
            canvas.labels.append(label)
            canvas.numbers[inside] = len(canvas.labels)
            return


def _laid(cutout: Cutout, rng: np.random.Generator) -> tuple[Rgb, Alpha]:
    """The object at a random size, angle and place: (HEIGHT, WIDTH, 3) colours and (HEIGHT, WIDTH) alpha."""
    low, high = SIZES[cutout.label]
    scale = rng.uniform(low, high) / cutout.alpha.shape[0]
    layers = np.dstack([cutout.rgb * cutout.alpha[..., None], cutout.alpha])
    layers = cv2.resize(
        layers, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    )
    cut_off = cutout.cut_off
    if rng.random() < 0.5 and cutout.label != "coin":  # a mirrored coin would show mirrored letters
        layers = layers[:, ::-1]
        cut_off = frozenset("right" if side == "left" else side for side in cut_off)
    turn = {"coin": 180.0, "cup": 14.0}.get(cutout.label, 0.0)
    x, y = _corner(layers.shape[0], layers.shape[1], cut_off, rng)
    placed = _turned(layers, rng.uniform(-turn, turn), x, y)
    alpha = np.clip(placed[..., 3], 0, 1)
    colours = placed[..., :3] / np.maximum(alpha, 1e-3)[..., None] * rng.uniform(0.8, 1.15)
    if cutout.label == "coin":
        colours = colours * np.array(COIN_TINTS[int(rng.integers(len(COIN_TINTS)))], np.float32)
    return np.clip(colours, 0, 1).astype(np.float32), alpha


def _corner(height: int, width: int, cut_off: frozenset[str], rng: np.random.Generator) -> tuple[float, float]:
    """Upper left corner in pixels; sides where the photograph ended lie on, or just over, the image's border."""
    over = rng.uniform(0, 0.15)
    x = rng.uniform(-0.3 * width, WIDTH - 0.7 * width)
    y = rng.uniform(-0.3 * height, HEIGHT - 0.7 * height)
    if "left" in cut_off:
        x = -over * width
    if "right" in cut_off:
        x = WIDTH - (1 - over) * width
    if "bottom" in cut_off:
        y = HEIGHT - rng.uniform(0.8, 0.99) * height
    return x, y


def _turned(layers: npt.NDArray[Any], degrees: float, x: float, y: float) -> npt.NDArray[np.float32]:
    height, width = layers.shape[:2]
    matrix = np.asarray(cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0), np.float64)
    matrix[:, 2] += (x, y)
    return cv2.warpAffine(layers, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR).astype(np.float32)


def _fits(canvas: _Canvas, label: str, inside: npt.NDArray[np.bool_]) -> bool:
    """Large enough, apart from its own class, and nothing below is split or more than half hidden."""
    if inside.sum() < 0.3 * SIZES[label][0] ** 2 or not _is_one_piece(inside):
        return False
    near = cv2.dilate(inside.astype(np.uint8), np.ones((7, 7), np.uint8)) == 1
    for number, other in enumerate(canvas.labels, start=1):
        before = canvas.numbers == number
        left = before & ~inside
        if other == label and (before & near).any():
            return False
        if left.sum() < 0.55 * before.sum() or not _is_one_piece(left):
            return False
    return True


def _is_one_piece(mask: npt.NDArray[np.bool_]) -> bool:
    count, _ = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    return int(count) == 2


def _shaded(rgb: Rgb, alpha: Alpha, light: tuple[float, float]) -> Rgb:
    """`rgb` with the soft shadow of an object that is about to be laid on it."""
    size = float(np.sqrt(alpha.sum()))
    shift = np.array([[1, 0, light[0] * size], [0, 1, light[1] * size]])
    shadow = cv2.GaussianBlur(cv2.warpAffine(alpha, shift, (WIDTH, HEIGHT)), (0, 0), 1.5 + 0.04 * size)
    return np.asarray(rgb * (1 - 0.5 * shadow[..., None]), np.float32)


def _photographed(rgb: Rgb, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Falling light and sensor noise over the whole picture, as 8-bit values."""
    across, down = np.linspace(-1, 1, WIDTH), np.linspace(-1, 1, HEIGHT)
    slope = 1 + rng.uniform(-0.12, 0.12) * across[None, :] + rng.uniform(-0.12, 0.12) * down[:, None]
    noisy = rgb * slope[..., None] + rng.normal(0, rng.uniform(0.003, 0.02), rgb.shape)
    return np.round(np.clip(noisy, 0, 1) * 255).astype(np.uint8)
