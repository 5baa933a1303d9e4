"""A tiny world to learn: red discs (1) and blue squares (2) on grey noise, with embeddings made of their colours."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from datalab.adapters.files import write_label_map
from datalab.adapters.segmenter_augment import Augmentation, Policy
from datalab.adapters.segmenter_samples import Sample, read_sample
from datalab.adapters.segmenter_schedule import Schedule

CELLS = 16
PLAIN = Policy(
    horizontal_flip=True,
    vertical_flip=False,
    quarter_turns=False,
    turn=0.0,
    zoom=0.0,
    brightness=0.0,
    contrast=0.0,
    saturation=0.0,
    hue=0.0,
    blur=0.0,
    copy_paste=0.0,
    cutmix=0.0,
    mixup=0.0,
)
AUGMENTATION = Augmentation(
    crop=48, object_share=0.5, policy=replace(PLAIN, vertical_flip=True, brightness=0.1, contrast=0.1)
)
SCHEDULE = Schedule(
    steps=60,
    batch_size=4,
    loss="cross_entropy+dice",
    sampling="shuffled",
    learning_rate=0.01,
    backbone_rate=0.1,
    frozen_share=0.0,
    weight_decay=0.01,
    ema=0.0,
    validate_every=20,
    patience=5,
    imbalance=0.5,
    compile_from=0,
)


def blob_image(seed: int, height: int, width: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """(H, W, 3) RGB and its (H, W) label map; every fourth image is empty."""
    rng = np.random.default_rng(seed)
    image = rng.normal(110, 12, (height, width, 3))
    labels = np.zeros((height, width), dtype=np.uint8)
    rows, columns = np.mgrid[:height, :width]
    for class_id, color in ((1, (210, 50, 40)), (2, (40, 60, 210))) if seed % 4 else ():
        row, column, radius = rng.integers(12, height - 12), rng.integers(12, width - 12), rng.integers(7, 12)
        far = np.abs(rows - row), np.abs(columns - column)
        inside = np.hypot(*far) <= radius if class_id == 1 else np.maximum(*far) <= radius
        image[inside] = np.array(color) + rng.normal(0, 8, 3)
        labels[inside] = class_id
    return np.clip(image, 0, 255).astype(np.uint8), labels


def blob_embedding(image: npt.NDArray[np.uint8], channels: int = 6) -> npt.NDArray[np.float16]:
    """(channels, 16, 16): colours mixed, on the square that SAM pads an image to."""
    side = max(image.shape[:2])
    square = np.zeros((side, side, 3), dtype=np.float32)
    square[: image.shape[0], : image.shape[1]] = image / np.float32(255)
    cells = cv2.resize(square, (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    mixed = np.asarray(cells) @ np.random.default_rng(7).normal(size=(3, channels))
    return np.ascontiguousarray(mixed.transpose(2, 0, 1), dtype=np.float16)


def write_blob(folder: Path, name: str, seed: int, height: int = 48, width: int = 64) -> None:
    """images/<name>.png, embeddings/<name>.npy and masks/<name>.png below `folder`."""
    for part in ("images", "embeddings", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    image, labels = blob_image(seed, height, width)
    Image.fromarray(image).save(folder / "images" / f"{name}.png")
    np.save(folder / "embeddings" / f"{name}.npy", blob_embedding(image))
    write_label_map(folder / "masks" / f"{name}.png", labels)


def blob_samples(folder: Path, seeds: Sequence[int], longest_side: int = 64) -> list[Sample]:
    """The blobs of these seeds, written and read back."""
    samples = []
    for seed in seeds:
        write_blob(folder, f"b{seed}", seed)
        paths = (folder / "images" / f"b{seed}.png", folder / "embeddings" / f"b{seed}.npy")
        samples.append(read_sample(*paths, longest_side, folder / "masks" / f"b{seed}.png", (0, 1, 2)))
    return samples
