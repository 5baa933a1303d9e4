"""Real labelled images as frozen features on a grid of cells: what a light head learns from in a second."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import imagehash
import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.decomposition import PCA
from tqdm import tqdm

from datalab.adapters.files import read_label_map, read_rgb
from datalab.adapters.images_groups import duplicate_groups
from datalab.adapters.sam import load_sam
from datalab.adapters.sam_embed import embed_image
from datalab.learning.embeddings import crop_embedding, image_vector
from datalab.masks import IGNORE_ID
from datalab.sample.write import write_sample
from simulated.filters import FILTERS, filter_bank
from simulated.tiles import tiles_of

GRID = 48
"""Cells per side of the cached features; the head sees half as many, each the mean and the highest of four."""
SEMANTIC = 24
"""Principal components of SAM's embedding per cell."""
TILE_KINDS = ("blowhole", "break", "crack", "fray", "uneven", "free")
CAMVID = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist")
NEAR = 4
"""Bits of the perceptual hash, as in ingest.near_duplicate_distance."""


EDITION = 3
"""Of what is cached: exposures of a tile were split in the first, those of another day or kind in the second."""


@dataclass(frozen=True)
class Images:
    """A data set as the simulation sees it; one row per image."""

    name: str
    cells: npt.NDArray[np.float32]
    """(N, GRID / 2, GRID / 2, F) frozen features, each of zero mean and unit deviation."""
    labels: npt.NDArray[np.uint8]
    """(N, GRID / 2, GRID / 2) classes, 0 background, 255 not judged."""
    vectors: npt.NDArray[np.float32]
    """(N, D) of the whole image, unit length."""
    groups: npt.NDArray[np.int64]
    """(N,) images of one thing (exposures of one tile, frames that follow each other) share a number: they go to pool
    or test together."""
    classes: tuple[str, ...]

    def shown(self) -> npt.NDArray[np.bool_]:
        """(N, K - 1): which classes beside background each image shows."""
        flat = self.labels.reshape(len(self.labels), -1)
        return np.stack([(flat == one).any(axis=1) for one in range(1, len(self.classes))], axis=1)


def load_images(name: str, shared: Path, cache: Path) -> Images:
    """The features of a data set, from the cache where they have been made before (one to two minutes on one core)."""
    path = cache / f"{name}-{GRID // 2}-{SEMANTIC}-{EDITION}.npz"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        _make(name, shared, path)
    with np.load(path, allow_pickle=False) as kept:
        return Images(
            name,
            kept["cells"].astype(np.float32),
            kept["labels"],
            kept["vectors"],
            kept["groups"],
            tuple(kept["classes"].tolist()),
        )


def _halved(
    cells: npt.NDArray[np.float32], labels: npt.NDArray[np.uint8], classes: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Cells of twice the side: means of all features, highest value of the filters, and the label.

    The label is the rarest class of the data set that covers at least half of the cell's four quarters, so that thin
    defects stay; else the most frequent one. 255 where nothing is judged.
    """
    count, side = labels.shape[0], labels.shape[1] // 2
    quarters = cells.reshape(count, side, 2, side, 2, -1)
    joined = np.concatenate([quarters.mean(axis=(2, 4)), quarters[..., :FILTERS].max(axis=(2, 4))], axis=-1)
    split = labels.reshape(count, side, 2, side, 2).transpose(0, 1, 3, 2, 4).reshape(count, side, side, 4)
    votes = np.stack([(split == one).sum(axis=-1) for one in range(classes)], axis=-1)
    rarity = 1 / (1 + np.bincount(labels.ravel(), minlength=256)[:classes])
    pressed = np.where(votes >= 2, 10 + rarity / rarity.max(), votes)
    found = np.where(votes.sum(axis=-1) > 0, pressed.argmax(axis=-1), IGNORE_ID).astype(np.uint8)
    return joined, found


def _make(name: str, shared: Path, path: Path) -> None:
    files, classes = _files(name, shared, path.parent)
    sam = load_sam("small")
    count = len(files)
    local = np.empty((count, GRID, GRID, FILTERS), dtype=np.float32)
    semantic = np.empty((count, 128, GRID // 3, GRID // 3), dtype=np.float32)
    labels = np.empty((count, GRID, GRID), dtype=np.uint8)
    vectors = []
    for place, (image, mask, kind, _group) in enumerate(tqdm(files, desc=f"features of {name}", disable=None)):
        pixels = read_rgb(image)
        local[place] = filter_bank(pixels, GRID)
        embedding = embed_image(sam, pixels)
        vectors.append(image_vector(embedding, *pixels.shape[:2]))
        seen = crop_embedding(embedding, *pixels.shape[:2]).astype(np.float32)
        semantic[place] = cv2.resize(seen.transpose(1, 2, 0), (GRID // 3, GRID // 3)).transpose(2, 0, 1)
        truth: npt.NDArray[np.uint8] = read_label_map(mask)
        if kind is not None:
            truth = np.asarray(np.where(truth > 0, kind, 0), dtype=np.uint8)
        if name == "camvid":
            truth = np.asarray(np.where(truth >= len(classes), IGNORE_ID, truth), dtype=np.uint8)
        labels[place] = cv2.resize(truth, (GRID, GRID), interpolation=cv2.INTER_NEAREST_EXACT)
    cells = np.concatenate([local, _components(semantic)], axis=-1)
    cells = (cells - cells.mean(axis=(0, 1, 2))) / np.maximum(cells.std(axis=(0, 1, 2)), 1e-6)
    found = [group or hashed for (*_, group), hashed in zip(files, _look_alikes(files), strict=True)]
    names = sorted(set(found))
    groups = np.array([names.index(group) for group in found], dtype=np.int64)
    with path.with_suffix(".part.npz").open("wb") as out:
        seen, truths = _halved(cells, labels, len(classes))
        np.savez(out, cells=seen.astype(np.float16), labels=truths, vectors=np.stack(vectors), groups=groups,
                 classes=np.array(classes))  # fmt: skip
    path.with_suffix(".part.npz").rename(path)


def _components(semantic: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(N, C, h, w) to (N, GRID, GRID, SEMANTIC): principal components of all cells, no label used."""
    count, channels, rows, columns = semantic.shape
    flat = semantic.transpose(0, 2, 3, 1).reshape(-1, channels)
    sample = np.random.default_rng(0).permutation(len(flat))[:50_000]
    found = PCA(SEMANTIC, random_state=0).fit(flat[sample]).transform(flat).astype(np.float32)
    grids = found.reshape(count, rows, columns, SEMANTIC)
    return np.stack([cv2.resize(grid, (GRID, GRID), interpolation=cv2.INTER_LINEAR) for grid in grids])


Row = tuple[Path, Path, int | None, str]


def _files(name: str, shared: Path, cache: Path) -> tuple[list[Row], tuple[str, ...]]:
    """(image, mask, class of its foreground or None, group or "" where looks decide) and the classes."""
    if name == "magnetic_tile":
        folder = shared / name
        paths = [path for kind in TILE_KINDS for path in sorted((folder / "images" / kind).glob("*.jpg"))]
        tiles = tiles_of(paths)
        rows: list[Row] = []
        for image in paths:
            kind = image.parent.name
            mask = folder / "masks" / kind / f"{image.stem}.png"
            rows.append((image, mask, 1 + TILE_KINDS.index(kind), tiles[image.stem]))
        return rows, ("background", *TILE_KINDS[:-1])
    if name == "camvid":
        rows = []
        for part in ("train", "val"):
            images = sorted((shared / name / part / "images").glob("*.jpg"))
            masks = shared / name / part / "masks"
            rows += [(image, masks / f"{image.stem}.png", None, _stretch(image.stem)) for image in images]
        return rows, CAMVID
    return _sample_files(cache / "sample"), ("background", "coin", "cup", "person")


def _stretch(stem: str) -> str:
    """Frames of one second and a half share a group: 0016E5_07959 and its neighbours within 45 frames."""
    drive, frame = stem.rsplit("_", 1)
    return f"{drive}_{int(''.join(filter(str.isdigit, frame))) // 45}"


def _sample_files(folder: Path) -> list[Row]:
    """The sample set that datalab makes itself."""
    if not folder.exists():
        write_sample(folder, 400, 7)
    images = sorted(path for path in (folder / "images").glob("*.*") if path.stem.isdigit())
    return [(image, folder / "masks" / f"{image.stem}.png", None, "") for image in images]


def _look_alikes(files: list[Row]) -> list[str]:
    """The group of near duplicates of every image, by its perceptual hash."""
    hashes = []
    for image, *_ in files:
        with Image.open(image) as opened:
            hashes.append(str(imagehash.phash(opened.convert("L"))))
    return duplicate_groups([f"{place:06d}" for place in range(len(files))], hashes, NEAR)
