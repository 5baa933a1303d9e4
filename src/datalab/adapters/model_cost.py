"""What a model costs whoever uses it: size, seconds and memory on this machine."""

import platform
import resource
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from segment_anything.modeling import Sam

from datalab.adapters.files import read_rgb
from datalab.adapters.sam_embed import embed_image
from datalab.adapters.segmenter import Segmenter
from datalab.adapters.torch_threads import single_thread

MEBIBYTE = 2**20


@dataclass(frozen=True)
class EmbeddingCost:
    """What it takes to embed a new image, for a model that looks at SAM's embedding."""

    seconds: float
    parameters: int


NO_EMBEDDING = EmbeddingCost(0.0, 0)
"""Of a model that looks at none."""


def embedding_cost(sam: Sam, images: Sequence[Path]) -> EmbeddingCost:
    """The median over the images, on one thread; of several the first only warms up."""
    seconds = []
    with single_thread():
        for path in images:
            pixels = read_rgb(path)
            started = time.perf_counter()
            embed_image(sam, pixels)
            seconds.append(time.perf_counter() - started)
    return EmbeddingCost(_typical(seconds), sum(one.numel() for one in sam.image_encoder.parameters()))


def model_size(segmenter: Segmenter, path: Path) -> dict[str, int]:
    """`parameters` and `file_bytes`: the same wherever and whenever they are asked for."""
    return {
        "parameters": sum(one.numel() for one in segmenter.network.parameters()),
        "file_bytes": path.stat().st_size,
    }


def model_cost(segmenter: Segmenter, seconds: Sequence[float], embedding: EmbeddingCost) -> dict[str, Any]:
    """`seconds_per_image` (median), of it `seconds_embedding`, `parameters_embedding`, `images`, `peak_memory_mb`,
    `device`, `threads`; all but the parameters differ from run to run.

    `seconds`: of each image, in order, once it is embedded; the first, which warms up, counts only where it is the only
    one. The memory is the largest this process held, libraries and images included, on a GPU the largest that was
    allocated there.
    """
    device = next(segmenter.network.parameters()).device
    on_gpu = device.type == "cuda"
    held = torch.cuda.max_memory_allocated() if on_gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "seconds_per_image": round(_typical(seconds) + embedding.seconds, 4),
        "seconds_embedding": round(embedding.seconds, 4),
        "parameters_embedding": embedding.parameters,
        "images": len(seconds),
        "peak_memory_mb": round(held / MEBIBYTE),
        "device": torch.cuda.get_device_name() if on_gpu else platform.machine(),
        "threads": 1,
    }


def _typical(seconds: Sequence[float]) -> float:
    return statistics.median(seconds[1:] or seconds)
