"""What the segmenter is trained to make small."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from datalab.adapters.segmenter_samples import Sample
from datalab.masks import IGNORE_ID


def segmentation_loss(logits: Tensor, labels: Tensor, weights: Tensor, trust: Tensor) -> Tensor:
    """Weighted cross entropy plus soft Dice loss of a committee.

    Args:
        logits: (B, M, K, H, W).
        labels: (B, H, W) int64, 255 where not judged.
        weights: (K,) of the classes.
        trust: (B, M), how much each member listens to each image.

    Returns:
        A scalar. Dice is averaged over the classes present in the batch: in it a small object counts as much as a
        large one.
    """
    batch, members, classes = logits.shape[:3]
    judged = labels != IGNORE_ID
    known = torch.where(judged, labels, 0)
    log_p = logits.log_softmax(dim=2)
    chosen = log_p.gather(2, known[:, None, None].expand(batch, members, 1, *labels.shape[1:]))[:, :, 0]
    pixel_weight = (weights[known] * judged)[:, None] * trust[:, :, None, None]
    entropy = -(chosen * pixel_weight).sum() / pixel_weight.sum().clamp(min=1e-6)

    truth = functional.one_hot(known, classes).permute(0, 3, 1, 2) * judged[:, None].float()
    p = log_p.exp()
    overlap = torch.einsum("bmkhw,bkhw->mk", p, truth)
    mass = torch.einsum("bmkhw,bhw->mk", p, judged.float()) + truth.sum(dim=(0, 2, 3))
    present = truth.sum(dim=(0, 2, 3)) > 0
    dice = (1 - (2 * overlap + 1) / (mass + 1))[:, present]
    return entropy + (dice.mean() if present.any() else 0.0)


def class_weights(samples: Sequence[Sample], classes: int, imbalance: float) -> Tensor:
    """(K,) with mean 1 over the pixels; a class without a pixel gets the weight of the rarest one."""
    counts = np.zeros(classes)
    for sample in samples:
        assert sample.labels is not None
        counts += np.bincount(sample.labels.ravel(), minlength=256)[:classes]
    floor = counts[counts > 0].min() if counts.any() else 1.0
    share = np.maximum(counts, floor)
    share = share / share.sum()
    weights = share**-imbalance
    return torch.from_numpy((weights / (weights * share).sum()).astype(np.float32))
