"""The photographs inside scikit-image's wheel that the sample images are made of, and the parts used as backgrounds.

All are in the public domain, CC0 or without known copyright restrictions: docs/sample-images.md lists them.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import cv2
import numpy as np
import numpy.typing as npt

from datalab.errors import InputError

Rgb = npt.NDArray[np.float32]
"""(H, W, 3), red, green, blue, 0 to 1."""
WIDTH, HEIGHT = 320, 256


@dataclass(frozen=True)
class Ground:
    """A part of a photograph to lie behind the objects: `box` is left, top, right, bottom in pixels of the file."""

    file: str
    box: tuple[int, int, int, int]
    tint: tuple[float, float, float]
    """Colour given to a grey photograph; (1, 1, 1) leaves it as it is."""
    turns: bool
    """Whether any side may be up."""
    weight: float


GROUNDS = (
    Ground("brick.png", (0, 0, 512, 512), (1.0, 0.78, 0.68), True, 2.0),
    Ground("grass.png", (0, 0, 512, 512), (0.85, 1.0, 0.6), True, 2.0),
    Ground("gravel.png", (0, 0, 512, 512), (1.0, 0.95, 0.86), True, 2.0),
    Ground("coffee.png", (430, 0, 600, 130), (1.0, 1.0, 1.0), True, 1.5),
    Ground("chelsea.png", (0, 150, 110, 300), (1.0, 1.0, 1.0), True, 0.7),
    Ground("camera.png", (330, 255, 512, 512), (0.9, 1.0, 0.75), True, 1.0),
    Ground("camera.png", (330, 0, 512, 260), (0.86, 0.93, 1.0), False, 0.8),
    Ground("text.png", (0, 0, 448, 172), (1.0, 0.97, 0.9), False, 1.2),
    Ground("hubble_deep_field.jpg", (0, 0, 1000, 872), (1.0, 1.0, 1.0), True, 0.8),
    Ground("ihc.png", (0, 0, 512, 512), (1.0, 1.0, 1.0), True, 0.8),
    Ground("retina.jpg", (330, 330, 1080, 1080), (1.0, 1.0, 1.0), True, 0.7),
    Ground("rocket.jpg", (0, 0, 290, 427), (1.0, 1.0, 1.0), False, 0.8),
    Ground("clock_motion.png", (0, 0, 190, 300), (0.95, 1.0, 1.05), True, 0.5),
)


@cache
def photograph(name: str) -> Rgb:
    """A photograph of scikit-image's wheel; InputError where this version does not carry it."""
    path = files("skimage") / "data" / name
    if not path.is_file():
        raise InputError(f"this scikit-image carries no {name}; install the versions of requirements.txt (make setup)")
    bgr = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert bgr is not None
    return bgr[..., ::-1].astype(np.float32) / np.float32(255)


def background(rng: np.random.Generator) -> Rgb:
    """A (HEIGHT, WIDTH, 3) crop of one of GROUNDS: any place, 45 to 100% of its size, own light and tint."""
    weights = np.array([ground.weight for ground in GROUNDS])
    ground = GROUNDS[int(rng.choice(len(GROUNDS), p=weights / weights.sum()))]
    left, top, right, bottom = ground.box
    part = photograph(ground.file)[top:bottom, left:right]
    if ground.turns:
        part = np.rot90(part, int(rng.integers(4)))
    if rng.random() < 0.5:
        part = part[:, ::-1]
    crop = _crop(part, rng)
    shrinks = crop.shape[1] > WIDTH
    sized = cv2.resize(crop, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    tint = np.array(ground.tint) * rng.normal(1.0, 0.04, 3)
    lit = (sized - 0.5) * rng.uniform(0.75, 1.1) + 0.5 + rng.uniform(-0.1, 0.1)
    return np.clip(lit * tint, 0, 1).astype(np.float32)


def _crop(part: Rgb, rng: np.random.Generator) -> Rgb:
    """A random window with the images' aspect ratio."""
    height, width = part.shape[:2]
    largest = min(width / WIDTH, height / HEIGHT)
    scale = largest * rng.uniform(0.45, 1.0)
    crop_width, crop_height = int(WIDTH * scale), int(HEIGHT * scale)
    x = int(rng.integers(width - crop_width + 1))
    y = int(rng.integers(height - crop_height + 1))
    return np.ascontiguousarray(part[y : y + crop_height, x : x + crop_width])
