"""What objects and grounds look like: crops of public-domain photographs, noise, stripes and plain colours.

docs/small-sam.md lists the photographs with their terms.
"""

from collections.abc import Sequence
from importlib.resources import files

import cv2
import matplotlib
import numpy as np
import numpy.typing as npt

SCIKIT_IMAGE = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "cell.png",
    "chelsea.png",
    "clock_motion.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "retina.jpg",
    "rocket.jpg",
    "text.png",
)
MATPLOTLIB = "sample_data/grace_hopper.jpg"

Picture = npt.NDArray[np.uint8]
Colours = npt.NDArray[np.float32]
"""(H, W, 3), 0 to 255."""
Weights = npt.NDArray[np.float32]
"""(H, W), 0 to 1."""
Size = tuple[int, ...]
"""Height and width."""
Rng = np.random.Generator


def load_photographs() -> list[Picture]:
    """The photographs as (H, W, 3) uint8 RGB."""
    folder = files("skimage") / "data"
    contents = [(folder / name).read_bytes() for name in SCIKIT_IMAGE]
    contents.append((files(matplotlib) / "mpl-data" / MATPLOTLIB).read_bytes())
    pictures = [cv2.imdecode(np.frombuffer(one, np.uint8), cv2.IMREAD_COLOR) for one in contents]
    return [np.ascontiguousarray(one[..., ::-1], dtype=np.uint8) for one in pictures if one is not None]


def surface(photographs: Sequence[Picture], size: Size, rng: Rng) -> Colours:
    """A surface: a part of a photograph, noise between two colours, stripes, or a plain colour with a gradient."""
    kind = rng.random()
    if kind < 0.55:
        return jitter_colour(crop(photographs[int(rng.integers(len(photographs)))], size, rng), rng)
    first, second = rng.uniform(0, 255, (2, 3)).astype(np.float32)
    if kind < 0.72:
        second = np.clip(first + rng.normal(0, 50, 3), 0, 255).astype(np.float32)
        weight = noise(size, rng)
    elif kind < 0.8:
        weight = stripes(size, rng)
    else:
        second = np.clip(first + rng.normal(0, 25, 3), 0, 255).astype(np.float32)
        weight = ramp(size, rng)
    mixed: Colours = first + (second - first) * weight[..., None]
    return mixed


def shaded(base: Colours, rng: Rng) -> Colours:
    """Lighter towards one side."""
    return np.clip(base * (0.7 + 0.6 * ramp(base.shape[:2], rng)[..., None]), 0, 255).astype(np.float32)


def crop(photograph: Picture, size: Size, rng: Rng) -> Colours:
    """A random part of a photograph at a random scale, flipped and turned."""
    height, width = photograph.shape[:2]
    side = int(min(height, width) * rng.uniform(0.15, 1.0))
    top, left = int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1))
    square = np.rot90(photograph[top : top + side, left : left + side], int(rng.integers(4)))
    if rng.random() < 0.5:
        square = square[::-1]
    # a part with the proportions that are wanted, so that nothing is stretched much
    rows, columns = (max(2, side * length // max(size)) for length in size)
    part = np.ascontiguousarray(square[:rows, :columns])
    return cv2.resize(part, size[::-1], interpolation=cv2.INTER_AREA).astype(np.float32)


def jitter_colour(base: Colours, rng: Rng) -> Colours:
    """Contrast, brightness and a tint."""
    if rng.random() < 0.3:
        base = base[..., rng.permutation(3)]
    gain = (rng.uniform(0.5, 1.3) * rng.uniform(0.75, 1.25, 3)).astype(np.float32)
    return np.clip((base - 128) * gain + np.float32(128 + rng.normal(0, 30)), 0, 255)


def noise(size: Size, rng: Rng, finest: float = 7.0) -> Weights:
    """Smooth noise at a random scale, sometimes two scales on top of each other."""
    total = np.zeros(size, dtype=np.float32)
    for _ in range(int(rng.integers(1, 3))):
        cells = int(2 ** rng.uniform(2, finest))
        rows, columns = (max(2, cells * length // max(size)) for length in size)
        coarse = rng.random((rows, columns), dtype=np.float32)
        total += np.asarray(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC), dtype=np.float32)
    return (total / max(float(total.max()), 1e-6)).clip(0, 1)


def stripes(size: Size, rng: Rng) -> Weights:
    """Waves or hard stripes at a random angle."""
    wave: Weights = 0.5 + 0.5 * np.sin(ramp(size, rng) * np.float32(rng.uniform(10, 120)))
    return (wave > 0.5).astype(np.float32) if rng.random() < 0.5 else wave


def ramp(size: Size, rng: Rng) -> Weights:
    """A linear gradient at a random angle."""
    angle = rng.uniform(0, 2 * np.pi)
    y = np.linspace(-0.5, 0.5, size[0], dtype=np.float32)[:, None] * np.float32(np.sin(angle))
    x = np.linspace(-0.5, 0.5, size[1], dtype=np.float32)[None] * np.float32(np.cos(angle))
    return np.clip(x + y + np.float32(0.5), 0, 1)
