"""Bad pictures made of good ones: what cameras, weather and storage do, at three severities.

Kinds and strengths are those of Hendrycks and Dietterich 2019, "Benchmarking Neural Network Robustness to Common
Corruptions and Perturbations", levels 1, 3 and 5; lengths are in shares of the longest side, of which theirs had 224
pixels. Fog's strengths are our own: with these clouds the higher ones of theirs look alike; and so is darkness, which
they leave out. Pixels are (H, W, 3) uint8 RGB, in and out; the input is left as it is.
"""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

Pixels = npt.NDArray[np.uint8]
Light = npt.NDArray[np.float32]
"""(H, W, 3) in [0, 1]."""
SEVERITIES = (1, 2, 3)
FOG_OCTAVES = 6
GAMMA = 2.2
"""Of the light in pixel values: one half of it is 0.73 of the value."""


def corrupt(pixels: Pixels, kind: str, severity: int, rng: np.random.Generator) -> Pixels:
    """`pixels` with one of CORRUPTIONS, at severity 1, 2 or 3; 0 gives a copy."""
    if severity == 0:
        return pixels.copy()
    change, strengths = CORRUPTIONS[kind]
    changed = change(pixels.astype(np.float32) / np.float32(255), strengths[severity - 1], rng)
    return np.asarray(np.rint(np.clip(changed, 0, 1) * 255), dtype=np.uint8)


def noise(light: Light, deviation: float, rng: np.random.Generator) -> Light:
    """Normal noise of each value, as of a sensor in the dark."""
    return light + rng.normal(0, deviation, light.shape).astype(np.float32)


def blur(light: Light, share: float, rng: np.random.Generator) -> Light:
    """Gaussian blur; `share`: its deviation, of the longest side."""
    sigma = share * max(light.shape[:2])
    return np.asarray(ndimage.gaussian_filter(light, (sigma, sigma, 0), mode="nearest"), dtype=np.float32)


def jpeg(light: Light, quality: float, rng: np.random.Generator) -> Light:
    """Written and read as JPEG of this quality, 1 to 95."""
    buffer = BytesIO()
    Image.fromarray(np.asarray(np.rint(light * 255), dtype=np.uint8)).save(buffer, "JPEG", quality=int(quality))
    with Image.open(buffer) as image:
        return np.asarray(image, dtype=np.float32) / np.float32(255)


def brightness(light: Light, more: float, rng: np.random.Generator) -> Light:
    """Overexposed: the largest of red, green and blue grows by `more`, the others with it, so that the hue stays."""
    value = light.max(axis=2, keepdims=True)
    scale = np.minimum(value + more, 1) / np.maximum(value, np.float32(1e-6))
    return np.where(value > 0, light * scale, np.float32(more)).astype(np.float32)


def darkness(light: Light, stops: float, rng: np.random.Generator) -> Light:
    """Underexposed: each of so many `stops` halves the light that comes in."""
    return np.asarray(light * np.float32(2 ** (-stops / GAMMA)), dtype=np.float32)


def contrast(light: Light, factor: float, rng: np.random.Generator) -> Light:
    """Differences from the mean colour shrunk to `factor`."""
    mean = light.mean(axis=(0, 1), keepdims=True)
    return np.asarray((light - mean) * np.float32(factor) + mean, dtype=np.float32)


def fog(light: Light, density: float, rng: np.random.Generator) -> Light:
    """White clouds added, and all darkened so that the brightest value stays."""
    brightest = float(light.max())
    clouds = density * _clouds(light.shape[0], light.shape[1], rng)[..., None]
    return np.asarray((light + clouds) * (brightest / max(brightest + density, 1e-6)), dtype=np.float32)


def _clouds(height: int, width: int, rng: np.random.Generator) -> Light:
    """Fractal noise (H, W) in [0, 1]: octaves of smooth random fields, each twice as fine and half as strong."""
    total = np.zeros((height, width), dtype=np.float32)
    for octave in range(FOG_OCTAVES):
        cells = 2 ** (octave + 1) + 1
        grid = rng.random((cells, cells), dtype=np.float32)
        rows, columns = (np.linspace(0, cells - 1, side) for side in (height, width))
        places = np.meshgrid(rows, columns, indexing="ij")
        total += ndimage.map_coordinates(grid, places, order=1) / 2**octave
    span = float(np.ptp(total))
    return np.asarray((total - total.min()) / np.float32(span or 1), dtype=np.float32)


Change = Callable[[Light, float, np.random.Generator], Light]

CORRUPTIONS: dict[str, tuple[Change, tuple[float, float, float]]] = {
    "noise": (noise, (0.08, 0.18, 0.38)),
    "blur": (blur, (1 / 224, 3 / 224, 6 / 224)),
    "jpeg": (jpeg, (25, 15, 7)),
    "brightness": (brightness, (0.1, 0.3, 0.5)),
    "darkness": (darkness, (1.5, 3, 5)),
    "contrast": (contrast, (0.4, 0.2, 0.05)),
    "fog": (fog, (0.75, 1.5, 3.0)),
}
"""What is done, and how much of it at severity 1, 2 and 3."""
