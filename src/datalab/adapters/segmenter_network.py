"""What every segmenter's network is: images and SAM's embeddings in, the logits of a committee out."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

STRIDE = 8
"""Pixels of the working image per cell of the embedding the network sees."""
OUTPUT_STRIDE = 2
"""Pixels of the working image per value of the output."""
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
"""Of the colours on which backbones were learned."""
EMBEDDING_DECODER = "embedding_decoder"
"""Name of the default model."""


@dataclass(frozen=True)
class NetworkSize:
    """What a checkpoint has to say for the network to be built again."""

    channels: int
    """C of the embedding."""
    classes: int
    """K, background included."""
    width: int
    """Channels of the embedding decoder at 1/8; 1/4 and 1/2 have fewer. The other models have widths of their own."""
    members: int
    """Heads of the committee."""
    model: str = EMBEDDING_DECODER
    """A name of segmenter_models.MODELS; models written before there was a choice have none."""


class SegmenterNetwork(nn.Module, ABC):
    """Image and embedding to the logits of a committee.

    The heads share all features. They differ by their start and by the weight each gave to each image in training, so
    what they disagree about is what the few labels leave open.
    """

    uses_embedding: ClassVar[bool] = True
    """Whether another SAM checkpoint makes another model."""
    least_batch: ClassVar[int] = 1
    """Images a training step needs at least."""
    learning_rate: ClassVar[float] = 0.001
    """Of AdamW, where the settings leave it to the network."""
    learns_instances: ClassVar[bool] = False
    """Whether it learns from objects instead of label maps, by a loss of its own."""
    least_score: ClassVar[float] = 0.0
    """Objects it finds less surely are none of its answers, and judged by their average precision alone."""

    def __init__(self, size: NetworkSize) -> None:
        """Random weights from torch's global generator."""
        super().__init__()
        self.size = size

    def backbone_parameters(self) -> Iterator[nn.Parameter]:
        """Of the part that may have been learned elsewhere; none where all of it starts anew."""
        return iter(())

    @abstractmethod
    def forward(self, image: Tensor, embedding: Tensor) -> Tensor:
        """Logits (B, M, K, H/2, W/2) of images (B, 3, H, W) in [0, 1] and embeddings (B, C, H/8, W/8)."""
