"""U-Nets of segmentation-models-pytorch as segmenters: they see the image only."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from datalab.adapters.segmenter_network import (
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    OUTPUT_STRIDE,
    NetworkSize,
    SegmenterNetwork,
)

ENCODERS = {
    "unet_efficientnet_b0": "efficientnet-b0",
    "unet_mobilenet_v2": "mobilenet_v2",
    "unet_resnet34": "resnet34",
}
"""By the name of the model; the library's names."""
DEEPEST = 32
"""Pixels of the image in one place of the encoder's last level."""


class UNet(SegmenterNetwork):
    """One of ENCODERS with the library's decoder, whose last layer is as wide as the whole committee."""

    uses_embedding: ClassVar[bool] = False
    least_batch: ClassVar[int] = 2
    """Batch normalisation needs two values of a channel."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, size: NetworkSize) -> None:
        """Random weights from torch's global generator."""
        # the library takes seconds to import, and the default model does without
        from segmentation_models_pytorch import Unet  # noqa: PLC0415

        super().__init__(size)
        self.net = Unet(ENCODERS[size.model], encoder_weights=None, classes=size.members * size.classes)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).reshape(-1, 1, 1))
        self.register_buffer("deviation", torch.tensor(IMAGENET_DEVIATION).reshape(-1, 1, 1))

    def take_backbone(self, weights: Mapping[str, Tensor]) -> None:
        """Start from these weights of the encoder."""
        self.net.encoder.load_state_dict(dict(weights))

    def backbone_parameters(self) -> Iterator[nn.Parameter]:
        """The encoder's."""
        return iter(self.net.encoder.parameters())

    def forward(self, image: Tensor, embedding: Tensor) -> Tensor:
        """Logits (B, M, K, H/2, W/2) of images (B, 3, H, W) in [0, 1]; the embeddings are not looked at."""
        height, width = image.shape[-2:]
        normal = (image - self.mean) / self.deviation
        # the encoder halves five times
        fitting = functional.pad(normal, (0, -width % DEEPEST, 0, -height % DEEPEST), mode="replicate")
        answer = self.net(fitting)[..., :height, :width]
        half = functional.avg_pool2d(answer, OUTPUT_STRIDE)
        logits: Tensor = half.reshape(len(image), self.size.members, self.size.classes, *half.shape[-2:])
        return logits
