"""The segmentation models of torchvision as segmenters: they see the image only."""

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

BACKBONES = {
    "lraspp_mobilenet_v3_large": "mobilenet_v3_large",
    "deeplabv3_mobilenet_v3_large": "mobilenet_v3_large",
    "deeplabv3_resnet50": "resnet50",
    "fcn_resnet50": "resnet50",
}
"""By the name of the model."""


class TorchvisionSegmenter(SegmenterNetwork):
    """One of BACKBONES, its last layer as wide as the whole committee: each head is a layer of its own on one body."""

    uses_embedding: ClassVar[bool] = False
    least_batch: ClassVar[int] = 2
    """Batch normalisation needs two values of a channel, and pooling to one pixel leaves one per image."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, size: NetworkSize) -> None:
        """Random weights from torch's global generator."""
        # torchvision takes seconds to import, and the default model does without
        from torchvision.models import segmentation  # noqa: PLC0415

        super().__init__(size)
        build = getattr(segmentation, size.model)
        whole = build(weights=None, weights_backbone=None, num_classes=size.members * size.classes)
        self.backbone, self.classifier = whole.backbone, whole.classifier
        self.sees_two_levels = size.model.startswith("lraspp")
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).reshape(-1, 1, 1))
        self.register_buffer("deviation", torch.tensor(IMAGENET_DEVIATION).reshape(-1, 1, 1))

    def take_backbone(self, weights: Mapping[str, Tensor]) -> None:
        """Start from these weights of the classification model; what only classifies is left out."""
        named = {name.removeprefix("features."): value for name, value in weights.items()}
        self.backbone.load_state_dict({name: named[name] for name in self.backbone.state_dict()})

    def backbone_parameters(self) -> Iterator[nn.Parameter]:
        """All that classified."""
        return iter(self.backbone.parameters())

    def forward(self, image: Tensor, embedding: Tensor) -> Tensor:
        """Logits (B, M, K, H/2, W/2) of images (B, 3, H, W) in [0, 1]; the embeddings are not looked at."""
        levels = self.backbone((image - self.mean) / self.deviation)
        answer = self.classifier(levels if self.sees_two_levels else levels["out"])
        size = [side // OUTPUT_STRIDE for side in image.shape[-2:]]
        grown: Tensor = functional.interpolate(answer, size=size, mode="bilinear", align_corners=False)
        return grown.reshape(len(image), self.size.members, self.size.classes, *size)
