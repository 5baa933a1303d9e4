"""What the segmenter is trained to make small: losses by name, `train.loss` in params.yaml."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from datalab.adapters.segmenter_samples import Sample
from datalab.errors import InputError
from datalab.masks import IGNORE_ID

FOCUS = {"cross_entropy": 0.0, "focal": 2.0}
"""Power of (1 - probability) by which a pixel that is right already counts less (Lin et al. 2017 use 2)."""
DICE = "dice"
LOSSES = ("cross_entropy", "focal", "dice", "cross_entropy+dice", "focal+dice")
Together = Callable[[Tensor], Tensor]
"""Sums over the processes that share a batch."""


def check_loss(name: str) -> None:
    """InputError listing the known names."""
    if name not in LOSSES:
        raise InputError(f"train.loss is {name!r}; known: {', '.join(LOSSES)}")


def alone(sums: Tensor) -> Tensor:
    """The sums of the only process there is."""
    return sums


def segmentation_loss(
    logits: Tensor,
    labels: Tensor,
    weights: Tensor,
    trust: Tensor,
    name: str,
    together: Together = alone,
    share: Tensor | None = None,
) -> Tensor:
    """The loss of a committee, the sum of the parts that `name` (one of LOSSES) names.

    Args:
        logits: (B, M, K, H, W).
        labels: (B, H, W) int64, 255 where not judged.
        weights: (K,) of the classes, for cross entropy and focal loss.
        trust: (B, M), how much each member listens to each image.
        name: One of LOSSES.
        together: Adds up what several processes counted, each on its part of the batch, so that the loss is that of
            the whole batch.
        share: (B,), how much of each image has these labels; all of it where None.

    Returns:
        A scalar. Cross entropy and focal loss are weighted means over pixels; soft Dice is averaged over the classes
        present in the batch: in it a small object counts as much as a large one.
    """
    known = torch.where(labels != IGNORE_ID, labels, 0)
    judged = (labels != IGNORE_ID).to(logits.dtype)
    if share is not None:
        judged = judged * share[:, None, None]
    log_p = logits.log_softmax(dim=2)
    parts = name.split("+")
    loss = log_p.new_zeros(())
    if parts[0] in FOCUS:
        pixel_weight = (weights[known] * judged)[:, None] * trust[:, :, None, None]
        loss = loss + _pixel_loss(log_p, known, pixel_weight, FOCUS[parts[0]], together)
    if DICE in parts:
        loss = loss + _dice_loss(log_p.exp(), known, judged, together)
    return loss


def class_weights(
    samples: Sequence[Sample], classes: int, imbalance: float, chances: npt.NDArray[np.float64] | None = None
) -> Tensor:
    """(K,) with mean 1 over the pixels; a class without a pixel gets the weight of the rarest one.

    `chances` (N,) of the images to be drawn, where they are not alike: a class that is drawn more often is less rare,
    and what sampling has made up for is not made up for again.
    """
    counts = np.zeros(classes)
    for sample, chance in zip(samples, np.ones(len(samples)) if chances is None else chances, strict=True):
        assert sample.labels is not None
        counts += chance * np.bincount(sample.labels.ravel(), minlength=256)[:classes]
    floor = counts[counts > 0].min() if counts.any() else 1.0
    share = np.maximum(counts, floor)
    share = share / share.sum()
    weights = share**-imbalance
    return torch.from_numpy((weights / (weights * share).sum()).astype(np.float32))


def _pixel_loss(log_p: Tensor, known: Tensor, pixel_weight: Tensor, focus: float, together: Together) -> Tensor:
    """Mean of -(1 - p) ** focus * log p of the true class, weighted by (B, M, H, W)."""
    batch, members = log_p.shape[:2]
    chosen = log_p.gather(2, known[:, None, None].expand(batch, members, 1, *known.shape[1:]))[:, :, 0]
    # the power's slope at 0 is not finite, and a pixel that is surely right costs nothing
    missing = (1 - chosen.exp()).clamp(min=1e-6) ** focus if focus else 1.0
    cost, weight = together(torch.stack([-(missing * chosen * pixel_weight).sum(), pixel_weight.sum()]))
    mean: Tensor = cost / weight.clamp(min=1e-6)
    return mean


def _dice_loss(p: Tensor, known: Tensor, judged: Tensor, together: Together) -> Tensor:
    """1 - soft Dice of each member and class (Milletari et al. 2016), over the pixels (B, H, W) that are judged."""
    truth = functional.one_hot(known, p.shape[2]).permute(0, 3, 1, 2) * judged[:, None]
    overlap = torch.einsum("bmkhw,bkhw->mk", p, truth)
    mass = torch.einsum("bmkhw,bhw->mk", p, judged)
    there = truth.sum(dim=(0, 2, 3))[None]
    members = len(overlap)
    counted = together(torch.cat([overlap, mass, there]))
    overlap, mass, there = counted[:members], counted[members : 2 * members], counted[2 * members :]
    present = there[0] > 0
    dice = (1 - (2 * overlap + 1) / (mass + there + 1))[:, present]
    mean: Tensor = dice.mean() if present.any() else dice.sum()
    return mean
