"""CamVid at 240 x 180 and the magnetic tiles, made once into images, label maps and SAM's embeddings, split by clip."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from datalab.adapters.files import read_json, read_label_map, read_rgb, write_json, write_label_map
from datalab.adapters.sam import load_sam, model_version
from datalab.adapters.sam_embed import embed_image
from datalab.adapters.segmenter_samples import Sample, read_sample
from datalab.masks import IGNORE_ID
from simulated.data import CAMVID, TILE_KINDS
from simulated.tiles import tiles_of

CLASSES = {"camvid": CAMVID, "magnetic_tile": ("background", *TILE_KINDS[:-1])}
SIDE = {"camvid": 240, "magnetic_tile": 256}
"""Longest side in pixels, at which the images are kept, learned from and judged."""
POLICY = {"camvid": "road", "magnetic_tile": "inspection"}
SAMPLING = {"camvid": "shuffled", "magnetic_tile": "balanced"}
"""Seven of ten tiles are free of defects."""
LAST_OF_TRAIN = 37
"""Frames of CamVid's training drives that stop the training; the drives' last, since neighbours look alike."""
SPLITS = ("train", "validation", "test")
SEED = 3
EDITION = {"camvid": 2, "magnetic_tile": 3}
"""Of how images are split: the first parted photographs of a tile, the second those of another day or kind."""
Row = tuple[Path, npt.NDArray[np.uint8], str]
"""Image, label map and split."""


@dataclass(frozen=True)
class Split:
    """Images of one split."""

    samples: list[Sample]
    truths: list[npt.NDArray[np.uint8]]
    """(h, w) each, at the size of the kept image."""


def read_splits(name: str, shared: Path, cache: Path) -> dict[str, Split]:
    """By "train", "validation" and "test"; made into `cache` where it has not been."""
    folder = cache / f"{name}-{SIDE[name]}-{model_version('small')}-{EDITION[name]}"
    if not (folder / "splits.json").exists():
        _make(name, shared, folder)
    splits: dict[str, list[str]] = read_json(folder / "splits.json")
    ids = range(len(CLASSES[name]))
    found = {}
    for split in SPLITS:
        samples, truths = [], []
        for key in splits[split]:
            mask = folder / "masks" / f"{key}.png"
            image, embedding = folder / "images" / f"{key}.png", folder / "embeddings" / f"{key}.npy"
            samples.append(read_sample(image, embedding, SIDE[name], mask, ids))
            truths.append(read_label_map(mask))
        found[split] = Split(samples, truths)
    return found


def _make(name: str, shared: Path, folder: Path) -> None:
    rows = list(_camvid(shared / name) if name == "camvid" else _magnetic_tile(shared / name))
    sam = load_sam("small")
    for kind in ("images", "masks", "embeddings"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    for path, labels, split in tqdm(rows, f"{name}: images and embeddings", disable=None):
        pixels = read_rgb(path)
        scale = SIDE[name] / max(pixels.shape[:2])
        size = round(pixels.shape[1] * scale), round(pixels.shape[0] * scale)
        small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        truth = np.asarray(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT), dtype=np.uint8)
        cv2.imwrite(str(folder / "images" / f"{path.stem}.png"), small[..., ::-1])
        write_label_map(folder / "masks" / f"{path.stem}.png", truth)
        np.save(folder / "embeddings" / f"{path.stem}.npy", embed_image(sam, small))
        splits[split].append(path.stem)
    write_json(folder / "splits.json", splits)


def _camvid(folder: Path) -> Iterator[Row]:
    """Train and test as given, which are different drives; of the training drives the last frames validate."""
    for part in ("train", "val"):
        images = sorted((folder / part / "images").glob("*.jpg"))
        for place, path in enumerate(images):
            labels = read_label_map(folder / part / "masks" / f"{path.stem}.png")
            judged = np.where(labels < len(CLASSES["camvid"]), labels, IGNORE_ID).astype(np.uint8)
            stops = place >= len(images) - LAST_OF_TRAIN
            yield path, judged, "test" if part == "val" else SPLITS[int(stops)]


def _magnetic_tile(folder: Path) -> Iterator[Row]:
    """Thirteen twentieths of the tiles train, one validates, six test; photographs of one tile stay together."""
    images = [path for kind in TILE_KINDS for path in sorted((folder / "images" / kind).glob("*.jpg"))]
    tiles = tiles_of(images)
    splits: dict[str, str] = {}
    for kind in TILE_KINDS:
        splits |= _dealt([tile for tile in tiles.values() if tile.startswith(f"{kind} ")])
    for path in images:
        kind = path.parent.name
        mask = read_label_map(folder / "masks" / kind / f"{path.stem}.png") > 0
        labels = np.where(mask, 1 + TILE_KINDS.index(kind), 0).astype(np.uint8)
        yield path, labels, splits[tiles[path.stem]]


def _dealt(tiles: Sequence[str]) -> dict[str, str]:
    names = sorted(set(tiles))
    order = np.random.default_rng(SEED).permutation(len(names))
    ends = np.searchsorted([0.65, 0.7], (np.arange(len(names)) + 0.5) / len(names), side="right")
    return {names[place]: SPLITS[end] for place, end in zip(order, ends, strict=True)}
