"""Objects to measure a SAM on: pictures with the exact mask of one object each, never used for training."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from simulated.tiles import named_tiles
from small_sam.composites import compose
from small_sam.shapes import Mask
from small_sam.surfaces import Picture, Rng, load_photographs

HELD_OUT_SEED = 1007
"""Training pictures come from seed 7."""
SMALLEST, LARGEST = 0.002, 0.6
"""Share of the picture an object may have."""
PER_PICTURE = 2


@dataclass(frozen=True)
class Example:
    """A (H, W, 3) uint8 picture and the (H, W) mask of one object in it."""

    picture: Picture
    mask: Mask
    group: str
    """Of objects that are no independent samples beside each other: of one picture, or of one tile."""


def composites(count: int, rng: Rng) -> list[Example]:
    """From the same photographs and the same code as the training pictures, from another seed."""
    photographs = load_photographs()
    pictures = (compose(photographs, np.random.default_rng([HELD_OUT_SEED, number])) for number in range(10 * count))
    return _choose(((str(number), *one) for number, one in enumerate(pictures)), count, rng)


def sample_images(folder: Path, count: int, rng: Rng) -> list[Example]:
    """Composites of real cut-outs as `datalab sample` writes them: `folder` with images/ and masks/."""
    masks = _shuffled(folder / "masks", "*.png", rng)
    pairs = ((next((folder / "images").glob(f"{path.stem}.*")), path) for path in masks)
    parts = ((path.stem, _picture(image), _parts(_map(path), ignore={0, 255})) for image, path in pairs)
    return _choose(parts, count, rng)


def camvid(folder: Path, count: int, rng: Rng) -> list[Example]:
    """Connected parts of the classes of road scenes; 11 is unlabelled."""
    images = _shuffled(folder / "val" / "images", "*", rng)
    maps = folder / "val" / "masks"
    parts = ((path.stem, _picture(path), _parts(_map(maps / f"{path.stem}.png"), ignore={11, 255})) for path in images)
    return _choose(parts, count, rng)


def bsds500(folder: Path, count: int, rng: Rng) -> list[Example]:
    """Regions that the first annotator drew in natural photographs."""
    images = _shuffled(folder / "val" / "images", "*", rng)
    maps = folder / "val" / "segmentations"
    first = ((path, min(maps.glob(f"{path.stem}_*.png"))) for path in images)
    parts = ((image.stem, _picture(image), _parts(_map(path), ignore=set())) for image, path in first)
    return _choose(parts, count, rng)


def magnetic_tile(folder: Path, count: int, rng: Rng) -> list[Example]:
    """Defects on photographs of magnetic tiles, most of which were photographed six times."""
    tiles = named_tiles((folder / "images").glob("*/*"))
    masks = [path for path in _shuffled(folder / "masks", "*/*.png", rng) if path.parent.name != "free"]
    images = ((next((folder / "images" / path.parent.name).glob(f"{path.stem}.*")), path) for path in masks)
    parts = (
        (tiles[path.stem], _picture(image), _parts((_map(path) > 127).astype(np.uint8), ignore={0}))
        for image, path in images
    )
    return _choose(parts, count, rng)


READERS: dict[str, Callable[[Path, int, Rng], list[Example]]] = {
    "camvid": camvid,
    "bsds500": bsds500,
    "magnetic_tile": magnetic_tile,
}


def _choose(pictures: Iterator[tuple[str, Picture, list[Mask]]], count: int, rng: Rng) -> list[Example]:
    """At most PER_PICTURE objects of each picture, given with its group, until there are `count`."""
    chosen: list[Example] = []
    for group, picture, masks in pictures:
        fitting = [mask for mask in masks if SMALLEST <= mask.mean() <= LARGEST]
        for place in rng.permutation(len(fitting))[:PER_PICTURE]:
            chosen.append(Example(picture, fitting[place], group))
        if len(chosen) >= count:
            break
    return chosen[:count]


def _parts(label_map: Picture, ignore: set[int]) -> list[Mask]:
    """The connected parts of every value of a (H, W) map that is not in `ignore`."""
    parts: list[Mask] = []
    for value in sorted(set(np.unique(label_map).tolist()) - ignore):
        count, labels = cv2.connectedComponents((label_map == value).astype(np.uint8))
        parts += [labels == number for number in range(1, count)]
    return parts


def _shuffled(folder: Path, pattern: str, rng: Rng) -> list[Path]:
    paths = sorted(folder.glob(pattern))
    if not paths:
        raise FileNotFoundError(f"nothing matches {pattern} in {folder}")
    return [paths[place] for place in rng.permutation(len(paths))]


def _picture(path: Path) -> Picture:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), dtype=np.uint8)


def _map(path: Path) -> Picture:
    with Image.open(path) as image:
        return np.asarray(image.convert("L") if image.mode == "1" else image, dtype=np.uint8)
