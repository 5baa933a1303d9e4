"""Training batches: squares cut from the samples, and varied as the domain allows.

What moves the image moves its labels and the grid of SAM's embedding alike. Each image is varied by a generator of its
own, so that it comes out the same whichever process draws it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as v2

from datalab.adapters.segmenter_network import STRIDE
from datalab.adapters.segmenter_samples import LABELS, Sample
from datalab.errors import InputError
from datalab.masks import IGNORE_ID

BLUR = (0.5, 1.5)
"""Standard deviation in pixels of the working image, from and to."""
MOST_ZOOM = 4.0
"""Five times as large or small: beyond, a cut is a smear of a few pixels, or hardly there."""
Rng = np.random.Generator


@dataclass(frozen=True)
class Policy:
    """What may be done to an image without making another thing of it: differs by domain."""

    horizontal_flip: bool
    vertical_flip: bool
    quarter_turns: bool
    turn: float
    """Degrees, to either side."""
    zoom: float
    """Largest enlargement or reduction, as a fraction."""
    brightness: float
    """Largest change, as a fraction; so are the next two."""
    contrast: float
    saturation: float
    hue: float
    """Largest change, as a fraction of the colour circle, up to 0.5."""
    blur: float
    """Share of the images that are blurred."""
    copy_paste: float
    """Share of the images that get an object of a rare class from another one."""
    cutmix: float
    """Share of the images of which a rectangle comes from another one (Yun et al. 2019)."""
    mixup: float
    """Share of the images that are laid over another one (Zhang et al. 2018)."""


@dataclass(frozen=True)
class Augmentation:
    """How training batches are cut and varied."""

    crop: int
    """Side of the square cut from the working image, in pixels; a multiple of 8."""
    object_share: float
    """Share of the cuts that are centred on a pixel of a class drawn at random among the image's classes."""
    policy: Policy


@dataclass(frozen=True)
class Batch:
    """Tensors of a training step."""

    image: Tensor
    """(B, 3, crop, crop) float32 in [0, 1]."""
    embedding: Tensor
    """(B, C, crop/8, crop/8) float32."""
    labels: Tensor
    """(B, crop/2, crop/2) int64, 255 where not judged."""
    names: tuple[str, ...]
    """Of the images, "b0 with b5" where one has something of another."""
    other_labels: Tensor | None = None
    """Of the images that were laid over these; None where none was."""
    share: Tensor | None = None
    """(B,), how much of each image is its own."""


def check_policy(policy: Policy, name: str) -> None:
    """InputError for a number out of its range."""
    for key in ("blur", "copy_paste", "cutmix", "mixup"):
        if not 0 <= getattr(policy, key) <= 1:
            raise InputError(f"augmentation.{name}.{key} is a share, from 0 to 1, got {getattr(policy, key)}")
    for key in ("brightness", "contrast", "saturation"):
        if not 0 <= getattr(policy, key) < 1:
            raise InputError(
                f"augmentation.{name}.{key} is a fraction, 0 or more and below 1, got {getattr(policy, key)}"
            )
    if not 0 <= policy.hue <= 0.5:
        raise InputError(f"augmentation.{name}.hue is a part of the colour circle, from 0 to 0.5, got {policy.hue}")
    if policy.turn < 0:
        raise InputError(f"augmentation.{name}.turn must be 0 or more, got {policy.turn}")
    if not 0 <= policy.zoom <= MOST_ZOOM:
        raise InputError(f"augmentation.{name}.zoom is a fraction, from 0 to {MOST_ZOOM:g}, got {policy.zoom}")


class Cut(NamedTuple):
    """A square of one sample, or what became of it."""

    image: Tensor
    """(3, crop, crop) uint8."""
    embedding: Tensor
    """(C, crop/8, crop/8) float32."""
    labels: Tensor
    """(1, crop/2, crop/2) uint8."""


class Pool:
    """The training samples, and where their rare classes are."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        """Samples with labels."""
        self.samples = samples
        counts = np.array([_pixels_per_class(sample) for sample in samples])
        counts[:, 0] = 0  # background is nowhere rare
        totals = counts.sum(axis=0)
        self.shows = counts > 0
        rarity = np.where(totals > 0, 1 / np.maximum(totals, 1), 0)
        self.rarity = rarity / rarity.sum() if rarity.any() else rarity
        """(256,) chance of each class to be looked for: the fewer pixels, the more often."""


def draw_batch(pool: Pool, places: Sequence[int], how: Augmentation, rngs: Sequence[Rng]) -> Batch:
    """Cut and vary the samples at `places`, each by its generator; smaller images are padded with unjudged pixels."""
    made = [_varied(pool, place, how, rng) for place, rng in zip(places, rngs, strict=True)]
    images, embeddings, labels, others, shares, names = zip(*made, strict=True)
    mixed = any(share < 1 for share in shares)
    return Batch(
        torch.stack(images),
        torch.stack(embeddings),
        torch.stack(labels).long(),
        names,
        torch.stack(others).long() if mixed else None,
        torch.tensor(shares, dtype=torch.float32) if mixed else None,
    )


def _varied(pool: Pool, place: int, how: Augmentation, rng: Rng) -> tuple[Tensor, Tensor, Tensor, Tensor, float, str]:
    """Image in [0, 1], embedding, labels, the labels of what was laid over it, the image's own share, and all names."""
    policy = how.policy
    cut, names = _moved(_cut(pool.samples[place], how, rng), policy, rng), [pool.samples[place].name]
    if rng.random() < policy.copy_paste and pool.rarity.any():
        cut, name = _pasted(cut, pool, how, rng)
        names.append(name)
    if rng.random() < policy.cutmix:
        other, name = _other(pool, how, rng)
        cut = _with_rectangle(cut, other, rng)
        names.append(name)
    image, embedding, labels = _recoloured(cut.image, policy, rng), cut.embedding, cut.labels[0]
    if rng.random() >= policy.mixup:
        return image, embedding, labels, labels, 1.0, _together(names)
    (other, name), share = _other(pool, how, rng), float(rng.uniform(0.5, 1))
    laid = _recoloured(other.image, policy, rng)
    return (
        share * image + (1 - share) * laid,
        share * embedding + (1 - share) * other.embedding,
        labels,
        other.labels[0],
        share,
        _together([*names, name]),
    )


def _together(names: Sequence[str]) -> str:
    """The image, and what was put into it once each."""
    first, *others = dict.fromkeys(names)
    return f"{first} with {' and '.join(others)}" if others else first


def _other(pool: Pool, how: Augmentation, rng: Rng) -> tuple[Cut, str]:
    """Of an image drawn at random, with its name."""
    sample = pool.samples[int(rng.integers(len(pool.samples)))]
    return _moved(_cut(sample, how, rng), how.policy, rng), sample.name


def _cut(sample: Sample, how: Augmentation, rng: Rng, wanted: int | None = None) -> Cut:
    """A square at random, or with a pixel of class `wanted` in its middle."""
    assert sample.labels is not None
    cells = how.crop // STRIDE
    top, left = _corner(sample.labels, cells, how.object_share, rng, wanted)
    image, labels = (
        grid[top * scale : (top + cells) * scale, left * scale : (left + cells) * scale]
        for grid, scale in ((sample.image, STRIDE), (sample.labels, LABELS))
    )
    embedding = sample.embedding[:, top : top + cells, left : left + cells]
    below, right = cells - embedding.shape[1], cells - embedding.shape[2]
    image = np.pad(image, ((0, below * STRIDE), (0, right * STRIDE), (0, 0)), mode="edge")
    labels = np.pad(labels, ((0, below * LABELS), (0, right * LABELS)), constant_values=IGNORE_ID)
    embedding = np.pad(embedding, ((0, 0), (0, below), (0, right)), mode="edge")
    return Cut(
        torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
        torch.from_numpy(embedding.astype(np.float32)),
        torch.from_numpy(labels[None]),
    )


def _corner(
    labels: npt.NDArray[np.uint8], cells: int, object_share: float, rng: Rng, wanted: int | None
) -> tuple[int, int]:
    """Top and left cell of a cut, uniform or such that a pixel of a class drawn at random lies in its middle."""
    room = np.maximum(np.array(labels.shape) // LABELS - cells, 0)
    present = np.setdiff1d(np.unique(labels), [0, IGNORE_ID])
    if wanted is None and (present.size == 0 or rng.random() >= object_share):
        top, left = rng.integers(0, room + 1)
        return int(top), int(left)
    inside = np.argwhere(labels == (rng.choice(present) if wanted is None else wanted))
    middle = inside[rng.integers(len(inside))] // LABELS - cells // 2
    top, left = np.clip(middle, 0, room)
    return int(top), int(left)


def _moved(cut: Cut, policy: Policy, rng: Rng) -> Cut:
    """Flipped, turned and enlarged, all three alike."""
    if policy.horizontal_flip and rng.random() < 0.5:
        cut = Cut(*(v2.horizontal_flip(part) for part in cut))
    if policy.vertical_flip and rng.random() < 0.5:
        cut = Cut(*(v2.vertical_flip(part) for part in cut))
    if policy.quarter_turns:
        turns = int(rng.integers(4))
        cut = Cut(*(torch.rot90(part, turns, (1, 2)) for part in cut))
    if not policy.turn and not policy.zoom:
        return cut
    angle = float(rng.uniform(-policy.turn, policy.turn))
    scale = float(np.exp(rng.uniform(-1, 1) * np.log1p(policy.zoom)))
    smooth = {"interpolation": InterpolationMode.BILINEAR, "fill": 0}
    how = {"angle": angle, "translate": [0, 0], "scale": scale, "shear": [0.0, 0.0]}
    labels = v2.affine(tv_tensors.Mask(cut.labels), **how, interpolation=InterpolationMode.NEAREST, fill=IGNORE_ID)
    return Cut(
        v2.affine(cut.image, **how, **smooth),
        v2.affine(cut.embedding, **how, **smooth),
        labels.as_subclass(torch.Tensor),
    )


def _recoloured(image: Tensor, policy: Policy, rng: Rng) -> Tensor:
    """float32 in [0, 1], with another brightness, contrast, saturation and hue, sometimes blurred."""
    made: Tensor = v2.to_dtype(image, torch.float32, scale=True)
    for change, strength in (
        (v2.adjust_brightness, policy.brightness),
        (v2.adjust_contrast, policy.contrast),
        (v2.adjust_saturation, policy.saturation),
    ):
        if strength:
            made = change(made, float(1 + rng.uniform(-strength, strength)))
    if policy.hue:
        made = v2.adjust_hue(made, float(rng.uniform(-policy.hue, policy.hue)))
    if rng.random() < policy.blur:
        made = v2.gaussian_blur(made, [5, 5], [float(rng.uniform(*BLUR))] * 2)
    return made


def _pasted(cut: Cut, pool: Pool, how: Augmentation, rng: Rng) -> tuple[Cut, str]:
    """The cut with the pixels of a rare class of another image on top, where they lie in it (Ghiasi et al. 2021).

    And the other image's name.
    """
    wanted = int(rng.choice(len(pool.rarity), p=pool.rarity))
    source = pool.samples[int(rng.choice(np.flatnonzero(pool.shows[:, wanted])))]
    other = _moved(_cut(source, how, rng, wanted), how.policy, rng)
    return _over(cut, other, other.labels == wanted), source.name


def _with_rectangle(cut: Cut, other: Cut, rng: Rng) -> Cut:
    """The cut with a rectangle of another one, a tenth to a half of its area."""
    rows, columns = cut.labels.shape[1:]
    height = rng.uniform(0.3, 0.9)
    width = min(0.9, rng.uniform(0.1, 0.5) / height)
    inside = torch.zeros_like(cut.labels, dtype=torch.bool)
    top, left = (int(rng.uniform(0, 1 - share) * side) for share, side in ((height, rows), (width, columns)))
    inside[:, top : top + round(height * rows), left : left + round(width * columns)] = True
    return _over(cut, other, inside)


def _over(cut: Cut, other: Cut, inside: Tensor) -> Cut:
    """`other` where `inside` (1, crop/2, crop/2), else the cut; of the embedding the cells that lie mostly inside."""
    large = inside.repeat_interleave(STRIDE // LABELS, 1).repeat_interleave(STRIDE // LABELS, 2)
    coarse = torch.nn.functional.avg_pool2d(inside.float(), LABELS) > 0.5
    return Cut(
        torch.where(large, other.image, cut.image),
        torch.where(coarse, other.embedding, cut.embedding),
        torch.where(inside, other.labels, cut.labels),
    )


def _pixels_per_class(sample: Sample) -> npt.NDArray[np.int64]:
    """(256,), nothing for pixels that are not judged."""
    assert sample.labels is not None
    counts = np.bincount(sample.labels.ravel(), minlength=256)
    counts[IGNORE_ID] = 0
    return counts
