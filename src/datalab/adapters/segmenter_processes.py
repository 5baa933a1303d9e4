"""Where the segmenter learns: on a GPU where there is one, in half precision there, or on several with torchrun.

    torchrun --nproc-per-node 2 -m datalab.stages.train ...

Every process sees its part of each batch. What the loss counts is added up over all of them, so that it is the loss of
the whole batch, and gradients are averaged: two processes learn what one learns, up to rounding.
"""

import os

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.distributed import broadcast
from torch.distributed.nn.functional import all_reduce

from datalab.adapters.segmenter_network import SegmenterNetwork
from datalab.adapters.segmenter_schedule import SETTLED, Schedule


def start_processes() -> Fabric:
    """This process, joined with those that torchrun started beside it."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    on_gpu = torch.cuda.is_available()
    fabric = Fabric(
        accelerator="cuda" if on_gpu else "cpu",
        devices=here,
        num_nodes=max(1, world // here),
        strategy="ddp_find_unused_parameters_true" if world > 1 else "auto",  # of encoders some layers are not asked
        precision="bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported(including_emulation=False) else "32-true",
    )
    fabric.launch()
    return fabric


def is_first_process() -> bool:
    """Whether this process is the one of those that torchrun started which writes files."""
    return int(os.environ.get("RANK", "0")) == 0


def share_of(fabric: Fabric, batch_size: int) -> slice:
    """Which images of a batch are this process's."""
    return slice(fabric.global_rank, batch_size, fabric.world_size)


def sum_together(fabric: Fabric, sums: Tensor) -> Tensor:
    """Sums over all processes; gradients go back to every one."""
    if fabric.world_size == 1:
        return sums
    total: Tensor = all_reduce(sums)  # type: ignore[no-untyped-call]
    return total


@torch.no_grad()
def share_averages(fabric: Fabric, network: nn.Module) -> None:
    """Give every process what batch normalisation has averaged in the first: each has seen other images."""
    if fabric.world_size == 1:
        return
    kept = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
    if not kept:
        return
    together = torch.cat([buffer.flatten() for buffer in kept])
    broadcast(together, src=0)
    for buffer, values in zip(kept, torch.split(together, [buffer.numel() for buffer in kept]), strict=True):
        buffer.copy_(values.view_as(buffer))


def prepare(network: SegmenterNetwork, fabric: Fabric) -> SegmenterNetwork:
    """The network, laid out in place for a GPU where there is one."""
    return network.to(memory_format=torch.channels_last) if fabric.device.type == "cuda" else network


def compiles_at(first: int, schedule: Schedule, fabric: Fabric) -> int | None:
    """The step, of a run that begins with step `first`, before which the network is compiled; None: not at all.

    On a GPU, where `schedule.compile_from` steps or more are to be taken then. Until SETTLED normalisation changes its
    share in every step, for each of which torch would compile anew, and give up after eight.
    """
    step = max(first, SETTLED + 1)
    left = schedule.steps - step + 1
    return step if fabric.device.type == "cuda" and 0 < schedule.compile_from <= left else None
