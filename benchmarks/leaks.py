"""Leaks that were planted, found again: copies of 60 photographs among those and others, and none where there is none.

A copy counts where it is found to show its own photograph. `found` has for every kind of copy how many were, beside how
many ingest's near duplicates hold, by hashes of the images as they are; `ratio` has the shares of all. A line for each
set of photographs. The gate is that nothing is found where nothing is: of CamVid each drive held out in turn, of
BSDS500 its validation photographs; the tiles were photographed several times each, and are asked for copies alone.
python benchmarks/leaks.py [--set camvid]
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import compress
from operator import not_
from pathlib import Path
from typing import TypeVar

import imagehash
import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image
from tqdm import tqdm

from datalab.adapters.files import read_rgb
from datalab.adapters.image_views import view_hashes
from datalab.config import load_number
from datalab.learning.leaks import LEAKS, find_parts, find_turned, together
from datalab.learning.shared_parts import Corners, Grey, find_corners, mirror, to_compare
from measure import parser_of, print_result
from simulated.tiles import tiles_of

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("DATALAB_SHARED_DATA", ROOT.parent / "shared" / "data"))
COPIED = 60
SEED = 5
QUALITY = 80
"""Of the JPEGs."""
Rgb = npt.NDArray[np.uint8]
"""(H, W, 3)."""
Pair = tuple[Rgb, Rgb]
"""What is learned from, and what is judged."""
One = TypeVar("One")
Way = Callable[[Rgb, np.random.Generator], Pair]


def as_jpeg(image: Rgb) -> Rgb:
    """Written and read again."""
    file = BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=QUALITY)
    return np.asarray(Image.open(file))


def mirrored(image: Rgb, _: np.random.Generator) -> Pair:
    """From left to right."""
    return image, as_jpeg(image[:, ::-1])


def turned(image: Rgb, _: np.random.Generator) -> Pair:
    """By 90 degrees, at half the size."""
    height, width = image.shape[:2]
    small = Image.fromarray(image).resize((max(1, width // 2), max(1, height // 2)), Image.Resampling.LANCZOS)
    return image, np.asarray(small.transpose(Image.Transpose.ROTATE_90))


def cut(share: float, is_mirrored: bool = False) -> Way:
    """To a share of either side, anywhere."""

    def way(image: Rgb, rng: np.random.Generator) -> Pair:
        sides = [round(side * share) for side in image.shape[:2]]
        row, column = (int(rng.integers(0, whole - side + 1)) for whole, side in zip(image.shape, sides, strict=False))
        part = image[row : row + sides[0], column : column + sides[1]]
        return image, as_jpeg(part[:, ::-1] if is_mirrored else part)

    return way


def halves(share: float) -> Way:
    """Two of equal width, of which they have a share in common."""

    def way(image: Rgb, _: np.random.Generator) -> Pair:
        width = round(image.shape[1] / (2 - share))
        return image[:, :width], as_jpeg(image[:, -width:])

    return way


WAYS: Mapping[str, Way] = {
    "mirrored": mirrored,
    "turned": turned,
    "cut_90": cut(0.9),
    "cut_80": cut(0.8),
    "cut_60": cut(0.6),
    "cut_60_mirrored": cut(0.6, is_mirrored=True),
    "cut_40": cut(0.4),
    "halves_half": halves(1 / 2),
    "halves_third": halves(1 / 3),
    "halves_fifth": halves(1 / 5),
}


@dataclass(frozen=True)
class Photographs:
    """Of one set."""

    chosen: list[Path]
    """Of which copies are made; no two show the same."""
    others: list[Path]
    """That are learned from, too, and show none of it."""
    apart: list[tuple[list[Path], list[Path]]]
    """Learned from and judged, where none of the latter shows what one of the former does."""


def photographs(name: str) -> Photographs:
    """By the name of the set."""
    files = sorted((SHARED / name).glob("images/*/*.jpg" if name == "magnetic_tile" else "*/images/*.jpg"))
    if name == "magnetic_tile":
        tiles = tiles_of(files)
        first = {tiles[path.stem]: path for path in reversed(files)}
        chosen = set(spread(sorted(first)))
        others = [path for path in files if tiles[path.stem] not in chosen]
        return Photographs([first[tile] for tile in sorted(chosen)], others, [])
    groups = [path.stem[:6] if name == "camvid" else path.parts[-3] for path in files]  # a drive, or train and val
    apart = [parted(files, groups, held_out) for held_out in sorted(set(groups))]
    if name == "bsds500":
        apart = apart[1:]
    others, longest = apart[-1]
    return Photographs(spread(longest), others, apart)


def spread(items: Sequence[One]) -> list[One]:
    """COPIED of them, evenly."""
    return [items[place] for place in np.linspace(0, len(items) - 1, COPIED).astype(int)]


def parted(files: Sequence[Path], groups: Sequence[str], held_out: str) -> tuple[list[Path], list[Path]]:
    """Those of the other groups, and of this one."""
    held = [group == held_out for group in groups]
    return list(compress(files, map(not_, held))), list(compress(files, held))


def hash_of(image: Rgb) -> int:
    """As the catalog has it."""
    return int(str(imagehash.phash(Image.fromarray(image))), 16)


@dataclass(frozen=True)
class Seen:
    """An image, and what it is compared by."""

    image: Rgb
    bits: int
    grey: Grey
    corners: Corners


def see(image: Rgb) -> Seen:
    """As the stage looks at it."""
    grey = to_compare(image)
    return Seen(image, hash_of(image), grey, find_corners(grey))


def leaks_of(learned: Sequence[Seen], judged: Sequence[Seen], distance: int) -> pd.DataFrame:
    """Table LEAKS as the stage makes it without vectors; `image_id` is the image's place of its split, as "test 0"."""
    seen = [*learned, *judged]
    splits = ["train"] * len(learned) + ["test"] * len(judged)
    names = [f"train {place}" for place in range(len(learned))] + [f"test {place}" for place in range(len(judged))]
    index = pd.DataFrame({"image_id": names, "split": splits})
    hashes = np.array([one.bits for one in seen], dtype=np.uint64)
    views = {name: view_hashes(one.image) for name, one in zip(names[len(learned) :], judged, strict=True)}
    mirrored = {place: find_corners(mirror(seen[place].grey)) for place in range(len(learned), len(seen))}
    found = find_parts(index, [one.corners for one in seen], mirrored, lambda place: seen[place].grey)
    parts = [row for row in found if row is not None]
    return together(find_turned(index, hashes, views, distance), pd.DataFrame(parts, columns=list(LEAKS)))


def found_again(chosen: Sequence[Rgb], others: Sequence[Seen], way: Way, distance: int) -> list[int]:
    """How many of the copies are found to be of their own photograph, by us and by hashes of the images as they are."""
    rng = np.random.default_rng(SEED)
    pairs = [(see(one), see(other)) for one, other in (way(image, rng) for image in chosen)]
    leaks = leaks_of([*(one for one, _ in pairs), *others], [other for _, other in pairs], distance)
    ours = int((leaks["image_id"].str.removeprefix("test ") == leaks["other_id"].str.removeprefix("train ")).sum())
    near = sum((one.bits ^ other.bits).bit_count() <= distance for one, other in pairs)
    return [ours, near]


def false_finds(apart: Sequence[tuple[Sequence[Path], Sequence[Path]]], distance: int) -> Iterator[tuple[int, int]]:
    """Of every pair how many are found, of how many."""
    for learned, judged in tqdm(apart, "held out", disable=None):
        there, here = ([see(read_rgb(path)) for path in paths] for paths in (learned, judged))
        leaks = leaks_of(there, here, distance)
        yield len(leaks), len(judged)


def main() -> None:
    """Plant, look and print."""
    parser = parser_of(__doc__)
    names = ("camvid", "bsds500", "magnetic_tile")
    parser.add_argument("--set", choices=names, help="these photographs alone")
    given = parser.parse_args()
    distance = load_number(ROOT / "params.yaml", "ingest", "near_duplicate_distance", int)
    for name in names if given.set is None else (given.set,):
        there = photographs(name)
        chosen = [read_rgb(path) for path in there.chosen]
        others = [see(read_rgb(path)) for path in there.others]
        found = {key: found_again(chosen, others, way, distance) for key, way in tqdm(WAYS.items(), name, disable=None)}
        apart = list(false_finds(there.apart, distance))
        shares = np.mean(list(found.values()), axis=0) / len(chosen)
        ratio = dict(zip(("found", "found_by_hash"), shares.tolist(), strict=True))
        sizes = {"set": name, "copies": len(chosen), "others": len(others), "found": found, "false_finds": apart}
        peer = f"near duplicates by the perceptual hash, {distance} bits of 64"
        print_result("leaks", ratio, peer, sizes, 1, not any(count for count, _ in apart))


if __name__ == "__main__":
    main()
