"""The segmenters by name, `train.model` in params.yaml."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from datalab.adapters.segmenter_decoder import EmbeddingDecoder
from datalab.adapters.segmenter_instances import MASK_RCNN, InstanceSegmenter
from datalab.adapters.segmenter_network import EMBEDDING_DECODER, NetworkSize, SegmenterNetwork
from datalab.adapters.segmenter_torchvision import BACKBONES, TorchvisionSegmenter
from datalab.adapters.segmenter_unet import ENCODERS, UNet
from datalab.errors import InputError

MODELS: dict[str, type[SegmenterNetwork]] = {
    EMBEDDING_DECODER: EmbeddingDecoder,
    **dict.fromkeys(BACKBONES, TorchvisionSegmenter),
    **dict.fromkeys(ENCODERS, UNet),
    MASK_RCNN: InstanceSegmenter,
}


def check_model(name: str) -> None:
    """InputError listing the known names."""
    if name not in MODELS:
        raise InputError(f"train.model is {name!r}; known: {', '.join(MODELS)}")


def build_network(size: NetworkSize) -> SegmenterNetwork:
    """The network with weights from torch's global generator; InputError for an unknown name."""
    check_model(size.model)
    return MODELS[size.model](size)


def new_network(
    size: NetworkSize,
    seed: int,
    embeddings: Sequence[npt.NDArray[np.float16]],
    backbone: Mapping[str, Tensor] | None = None,
) -> SegmenterNetwork:
    """A network with random weights by `seed`, fitted to what it is going to see.

    The embedding decoder is scaled by these (C, h, w) embeddings; the other models start from the weights `backbone` of
    their classification model or encoder, where given. The global random state of torch is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(size)
    if isinstance(network, EmbeddingDecoder):
        network.scale_by(embeddings)
    elif isinstance(network, TorchvisionSegmenter | UNet | InstanceSegmenter) and backbone is not None:
        network.take_backbone(backbone)
    return network
