"""Images, embeddings and label maps in the size the segmenter works at, and training batches cut from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from datalab.adapters.files import read_label_map, read_rgb
from datalab.adapters.segmenter_network import OUTPUT_STRIDE, STRIDE
from datalab.errors import InputError
from datalab.learning.embeddings import crop_embedding
from datalab.masks import IGNORE_ID

LABELS = STRIDE // OUTPUT_STRIDE
"""Label pixels per cell of the embedding."""


@dataclass(frozen=True)
class Sample:
    """One image at working size (h, w), both multiples of 8."""

    image: npt.NDArray[np.uint8]
    """(h, w, 3) RGB."""
    embedding: npt.NDArray[np.float16]
    """(C, h/8, w/8)."""
    labels: npt.NDArray[np.uint8] | None
    """(h/2, w/2) positions in the model's classes, 255 where not judged; None where there is no truth."""
    size: tuple[int, int]
    """(height, width) of the image on disk."""


@dataclass(frozen=True)
class Augmentation:
    """How training batches are cut and varied."""

    crop: int
    """Side of the square cut from the working image, in pixels; a multiple of 8."""
    object_share: float
    """Share of the cuts that are centred on a pixel of a class drawn at random among the image's classes."""
    vertical_flip: bool
    """Whether the upside-down image is as likely as the upright one."""
    color_jitter: float
    """Largest change of brightness, contrast and each colour channel, as a fraction."""


@dataclass(frozen=True)
class Batch:
    """Tensors of a training step."""

    image: Tensor
    """(B, 3, crop, crop) float32 in [0, 1]."""
    embedding: Tensor
    """(B, C, crop/8, crop/8) float32."""
    labels: Tensor
    """(B, crop/2, crop/2) int64, 255 where not judged."""


def read_sample(
    image: Path, embedding: Path, longest_side: int, labels: Path | None = None, ids: Sequence[int] = ()
) -> Sample:
    """Read one image with its cached embedding and, where given, its label map of class ids.

    `ids[k]` is the class id (pixel value) of position k; another value of the label map than these and 255 is an
    InputError, as is a label map of another size than the image.
    """
    pixels = read_rgb(image)
    height, width = pixels.shape[:2]
    scale = longest_side / max(height, width)
    rows, columns = (max(1, round(side * scale / STRIDE)) for side in (height, width))
    grid = _on_grid(read_embedding(embedding), (height, width), (rows, columns))
    truth: npt.NDArray[np.uint8] | None = None
    if labels is not None:
        positions = positions_of(read_label_map(labels), ids, labels)
        if positions.shape != (height, width):
            raise InputError(f"{labels} is {positions.shape[::-1]}, its image {(width, height)}; run dvc repro dataset")
        size = (columns * LABELS, rows * LABELS)
        truth = np.asarray(cv2.resize(positions, size, interpolation=cv2.INTER_NEAREST_EXACT), dtype=np.uint8)
    return Sample(_resized(pixels, (rows, columns)), grid, truth, (height, width))


def with_pixels(sample: Sample, pixels: npt.NDArray[np.uint8], embedding: npt.NDArray[np.float16] | None) -> Sample:
    """The sample as if its image looked like `pixels` (H, W, 3), of any size in its proportions; labels stay.

    `embedding`: SAM's (C, h, w) of these pixels; None keeps the sample's own, for a model that looks at none.
    """
    cells = (sample.embedding.shape[1], sample.embedding.shape[2])
    grid = sample.embedding if embedding is None else _on_grid(embedding, pixels.shape[:2], cells)
    return Sample(_resized(pixels, cells), grid, sample.labels, sample.size)


def read_embedding(path: Path) -> npt.NDArray[np.float16]:
    """The float16 (C, h, w) of data/embeddings/<image_id>.npy; InputError where it is missing, broken or not finite."""
    try:
        embedding: npt.NDArray[np.float16] = np.load(path, allow_pickle=False)
    except FileNotFoundError as exc:
        raise InputError(f"{path} does not exist; run dvc repro embed") from exc
    except (OSError, ValueError) as exc:
        raise InputError(f"{path} is no embedding ({exc}); delete it and run dvc repro embed") from exc
    if embedding.ndim != 3 or not np.isfinite(embedding).all():
        raise InputError(f"{path} holds no finite (C, h, w) embedding; delete it and run dvc repro embed")
    return embedding


def draw_batch(samples: Sequence[Sample], places: Sequence[int], how: Augmentation, rng: np.random.Generator) -> Batch:
    """Cut, flip and recolour the samples at `places`; smaller images are padded with pixels that are not judged."""
    cuts = [_cut(samples[place], how, rng) for place in places]
    images, embeddings, labels = (np.stack(parts) for parts in zip(*cuts, strict=True))
    return Batch(
        torch.from_numpy(_recolor(images, how.color_jitter, rng)),
        torch.from_numpy(embeddings.astype(np.float32)),
        torch.from_numpy(labels.astype(np.int64)),
    )


def positions_of(label_map: npt.NDArray[np.uint8], ids: Sequence[int], path: Path) -> npt.NDArray[np.uint8]:
    """A (H, W) label map of class ids as positions in `ids`; 255 stays, another value is an InputError with `path`."""
    table = np.full(256, IGNORE_ID, dtype=np.uint8)
    table[list(ids)] = np.arange(len(ids), dtype=np.uint8)
    unknown = sorted({int(value) for value in np.unique(label_map)} - {*ids, IGNORE_ID})
    if unknown:
        raise InputError(f"{path} has the pixel value(s) {unknown}, known are {list(ids)}; run dvc repro dataset")
    return np.asarray(table[label_map], dtype=np.uint8)


def _resized(pixels: npt.NDArray[np.uint8], cells: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Working image of this many rows and columns of cells."""
    wanted = (cells[1] * STRIDE, cells[0] * STRIDE)
    return np.asarray(cv2.resize(pixels, wanted, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _on_grid(
    embedding: npt.NDArray[np.float16], size: tuple[int, ...], cells: tuple[int, int]
) -> npt.NDArray[np.float16]:
    """What of the embedding lies on the image of `size` (height, width), in rows and columns of cells."""
    valid = torch.from_numpy(crop_embedding(embedding, size[0], size[1]).astype(np.float32))[None]
    grid: Tensor = functional.interpolate(valid, size=cells, mode="bilinear", align_corners=False)
    return grid[0].numpy().astype(np.float16)


Cut = tuple[npt.NDArray[np.uint8], npt.NDArray[np.float16], npt.NDArray[np.uint8]]


def _cut(sample: Sample, how: Augmentation, rng: np.random.Generator) -> Cut:
    """A square of image (crop, crop, 3), embedding (C, crop/8, crop/8) and labels (crop/2, crop/2)."""
    assert sample.labels is not None
    cells = how.crop // STRIDE
    top, left = _corner(sample.labels, cells, how.object_share, rng)
    image, labels = (
        grid[top * scale : (top + cells) * scale, left * scale : (left + cells) * scale]
        for grid, scale in ((sample.image, STRIDE), (sample.labels, LABELS))
    )
    embedding = sample.embedding[:, top : top + cells, left : left + cells]
    below, right = cells - embedding.shape[1], cells - embedding.shape[2]
    image = np.pad(image, ((0, below * STRIDE), (0, right * STRIDE), (0, 0)), mode="edge")
    labels = np.pad(labels, ((0, below * LABELS), (0, right * LABELS)), constant_values=IGNORE_ID)
    embedding = np.pad(embedding, ((0, 0), (0, below), (0, right)), mode="edge")
    if rng.random() < 0.5:
        image, embedding, labels = image[:, ::-1], embedding[:, :, ::-1], labels[:, ::-1]
    if how.vertical_flip and rng.random() < 0.5:
        image, embedding, labels = image[::-1], embedding[:, ::-1], labels[::-1]
    return image, embedding, labels


def _corner(
    labels: npt.NDArray[np.uint8], cells: int, object_share: float, rng: np.random.Generator
) -> tuple[int, int]:
    """Top and left cell of a cut, uniform or such that a pixel of a class drawn at random lies in its middle."""
    room = np.maximum(np.array(labels.shape) // LABELS - cells, 0)
    present = np.setdiff1d(np.unique(labels), [0, IGNORE_ID])
    if present.size == 0 or rng.random() >= object_share:
        top, left = rng.integers(0, room + 1)
        return int(top), int(left)
    inside = np.argwhere(labels == rng.choice(present))
    middle = inside[rng.integers(len(inside))] // LABELS - cells // 2
    top, left = np.clip(middle, 0, room)
    return int(top), int(left)


def _recolor(images: npt.NDArray[np.uint8], strength: float, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """(B, h, w, 3) uint8 to (B, 3, h, w) float32 in [0, 1], each image with its own brightness, contrast and tint."""
    shape = (len(images), 1, 1, 1)
    contrast = 1 + rng.uniform(-strength, strength, shape)
    brightness = rng.uniform(-strength, strength, shape)
    tint = 1 + rng.uniform(-strength, strength, (len(images), 1, 1, 3)) / 2
    varied = ((images / np.float32(255) - 0.5) * contrast + 0.5 + brightness) * tint
    return np.ascontiguousarray(np.clip(varied, 0, 1).transpose(0, 3, 1, 2), dtype=np.float32)
