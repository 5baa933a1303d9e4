"""The default model: a light decoder on SAM's image embedding, with the image itself for exact edges."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from datalab.adapters.segmenter_network import NetworkSize, SegmenterNetwork


class EmbeddingDecoder(SegmenterNetwork):
    """About 0.15 million weights.

    Each head adds what it reads off the coarse features, which are wide enough to tell many classes apart, and off the
    fine ones, which know where edges are.
    """

    learning_rate: ClassVar[float] = 0.006
    """With 0.003 it had not learned as much after 200 steps."""
    mean: Tensor
    deviation: Tensor

    def __init__(self, size: NetworkSize) -> None:
        """Random weights from torch's global generator."""
        super().__init__(size)
        width, half, fine = size.width, size.width // 2, max(16, size.width // 4)
        self.register_buffer("mean", torch.zeros(size.channels, 1, 1))
        self.register_buffer("deviation", torch.ones(size.channels, 1, 1))
        self.project = _block(size.channels, width, kernel=1)
        self.eighth = _block(half, half, stride=2)
        self.merge_eighth = _block(width + half, width)
        self.context = _block(width, width, dilation=3)
        self.stem = _block(3, fine, stride=2)
        self.quarter = _block(fine, half, stride=2)
        self.merge_quarter = _block(width + half, half)
        self.merge_stem = _block(half + fine, fine)
        self.fine_heads = nn.ModuleList(_head(fine, size.classes) for _ in range(size.members))
        self.coarse_heads = nn.ModuleList(nn.Conv2d(width, size.classes, 1) for _ in range(size.members))

    def scale_by(self, embeddings: Sequence[npt.NDArray[np.float16]]) -> None:
        """Have the input scaled by mean and deviation of these (C, h, w) embeddings."""
        # image by image: all of them in one array, and in float32, would take gigabytes
        count, sums = 0, np.zeros((2, self.size.channels))
        for item in embeddings:
            values = item.reshape(self.size.channels, -1).astype(np.float64)
            count += values.shape[1]
            sums += values.sum(axis=1), np.square(values).sum(axis=1)
        mean, square = sums / count
        deviation = np.sqrt(np.maximum(square - mean**2, 1e-6))
        self.mean.copy_(torch.from_numpy(mean).reshape(-1, 1, 1))
        self.deviation.copy_(torch.from_numpy(deviation).reshape(-1, 1, 1))

    def forward(self, image: Tensor, embedding: Tensor) -> Tensor:
        """Logits (B, M, K, H/2, W/2) of images (B, 3, H, W) in [0, 1] and embeddings (B, C, H/8, W/8)."""
        stem = self.stem(image - 0.5)
        quarter = self.quarter(stem)
        semantic = self.project((embedding - self.mean) / self.deviation)
        eighth = self.merge_eighth(torch.cat([semantic, self.eighth(quarter)], dim=1))
        deep = eighth + self.context(eighth)
        middle = self.merge_quarter(torch.cat([_grow(deep, quarter), quarter], dim=1))
        features = self.merge_stem(torch.cat([_grow(middle, stem), stem], dim=1))
        coarse = [_grow(head(deep), features) for head in self.coarse_heads]
        return torch.stack([head(features) + rough for head, rough in zip(self.fine_heads, coarse, strict=True)], dim=1)


def _block(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    reach = dilation * (kernel // 2)
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, reach, dilation, bias=False)
    return nn.Sequential(convolution, nn.GroupNorm(4, outputs), nn.ReLU(inplace=True))


def _head(inputs: int, classes: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, 16, 1), nn.ReLU(inplace=True), nn.Conv2d(16, classes, 1))


def _grow(features: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(features, size=like.shape[-2:], mode="bilinear", align_corners=False)
