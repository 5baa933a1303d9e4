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


def model_cost(segmenter: Segmenter, path: Path, seconds: Sequence[float]) -> dict[str, Any]:
    """`parameters`, `file_bytes`, `seconds_per_image` (median), `images`, `peak_memory_mb`, `device`, `threads`.

    `seconds`: of each image, in order; the first, which warms up, counts only where it is the only one. The memory is
    the largest this process held, libraries and images included, on a GPU the largest that was allocated there. All but
    the first two differ from run to run.
    """
    device = next(segmenter.network.parameters()).device
    on_gpu = device.type == "cuda"
    held = torch.cuda.max_memory_allocated() if on_gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "parameters": sum(one.numel() for one in segmenter.network.parameters()),
        "file_bytes": path.stat().st_size,
        "seconds_per_image": round(statistics.median(seconds[1:] or seconds), 4),
        "images": len(seconds),
        "peak_memory_mb": round(held / MEBIBYTE),
        "device": torch.cuda.get_device_name() if on_gpu else platform.machine(),
        "threads": 1,
    }
