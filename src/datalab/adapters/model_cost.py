"""What a model costs whoever uses it: size, seconds and memory on this machine."""

import platform
import resource
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from datalab.adapters.segmenter import Segmenter

MEBIBYTE = 2**20


def model_size(segmenter: Segmenter, path: Path) -> dict[str, int]:
    """`parameters` and `file_bytes`: the same wherever and whenever they are asked for."""
    return {
        "parameters": sum(one.numel() for one in segmenter.network.parameters()),
        "file_bytes": path.stat().st_size,
    }


def model_cost(segmenter: Segmenter, seconds: Sequence[float]) -> dict[str, Any]:
    """`seconds_per_image` (median), `images`, `peak_memory_mb`, `device`, `threads`; they differ from run to run.

    `seconds`: of each image, in order; the first, which warms up, counts only where it is the only one. The memory is
    the largest this process held, libraries and images included, on a GPU the largest that was allocated there.
    """
    device = next(segmenter.network.parameters()).device
    on_gpu = device.type == "cuda"
    held = torch.cuda.max_memory_allocated() if on_gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "seconds_per_image": round(statistics.median(seconds[1:] or seconds), 4),
        "images": len(seconds),
        "peak_memory_mb": round(held / MEBIBYTE),
        "device": torch.cuda.get_device_name() if on_gpu else platform.machine(),
        "threads": 1,
    }
