"""A committee of light heads on frozen features: a second to train, so that hundreds of rounds fit into an hour."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Floats = npt.NDArray[np.float32]


CACHED = 8192
"""Cells at a time: their hidden layer takes 3 MB."""


@dataclass(frozen=True)
class Schedule:
    """The same for every strategy and every round."""

    members: int = 3
    hidden: int = 24
    steps: int = 200
    batch: int = 512
    """Cells per member and step."""
    learning_rate: float = 0.02
    drawn: float = 0.5
    """Training cells are drawn with frequency ** -drawn of their class, so that rare ones are seen at all."""
    imbalance: float = 0.25
    """What of that stays in the answers: 0 is the true frequency, `drawn` is none taken back."""


@dataclass(frozen=True)
class Committee:
    """Two-layer heads side by side: (F, M * hidden), (M * hidden,), block-diagonal (M * hidden, M * K), (M * K,)."""

    weights: tuple[Tensor, Tensor, Tensor, Tensor]
    members: int

    def probabilities(self, cells: Floats) -> Floats:
        """(P, M, K) of (P, F) cells, a block that fits the processor's cache at a time."""
        first, bias, second, shift = self.weights
        found = np.empty((len(cells), self.members, len(shift) // self.members), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(cells), CACHED):
                block = torch.from_numpy(cells[start : start + CACHED])
                logits = torch.addmm(shift, torch.addmm(bias, block, first).relu_(), second)
                found[start : start + CACHED] = logits.reshape(len(block), self.members, -1).softmax(dim=-1).numpy()
        return found


def train_committee(
    cells: Floats, labels: npt.NDArray[np.uint8], classes: int, schedule: Schedule, rng: np.random.Generator
) -> Committee:
    """Train on labelled images: cells (L, G, G, F), labels (L, G, G), 255 not judged.

    Each member weighs every image by a Poisson draw, as a bootstrap would. The weights start by `rng` alone.
    """
    flat, truth = cells.reshape(-1, cells.shape[-1]), labels.ravel()
    per_image = labels[0].size
    counts = np.bincount(truth, minlength=256)[:classes].astype(np.float64)
    appeal = np.zeros(256)
    appeal[:classes] = np.where(counts > 0, np.maximum(counts, 1) ** -schedule.drawn, 0)
    chances = appeal[truth]
    trust = rng.poisson(1.0, (schedule.members, len(labels))).clip(0.2, 3)
    drawn = np.stack(
        [_draws(chances * np.repeat(one, per_image), schedule.steps * schedule.batch, rng) for one in trust]
    ).reshape(schedule.members, schedule.steps, schedule.batch)
    weights = _start(schedule, cells.shape[-1], classes, rng)
    optimizer = torch.optim.AdamW(weights, schedule.learning_rate, weight_decay=0.01)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, schedule.steps)
    for step in range(schedule.steps):
        rows = drawn[:, step]
        given, wanted = torch.from_numpy(flat[rows]), torch.from_numpy(truth[rows].astype(np.int64))
        first, bias, second, shift = weights
        logits = torch.baddbmm(shift, torch.baddbmm(bias, given, first).relu(), second)
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, classes), wanted.reshape(-1)) * schedule.members
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        rate.step()
    back = np.where(counts > 0, np.log(np.maximum(counts, 1)) * (schedule.drawn - schedule.imbalance), 0)
    return _side_by_side([one.detach() for one in weights], torch.from_numpy(back.astype(np.float32)))


def _side_by_side(weights: list[Tensor], back: Tensor) -> Committee:
    """(M, F, hidden), (M, 1, hidden), (M, hidden, K), (M, 1, K) as one wide network; `back` (K,) moves the logits."""
    first, bias, second, shift = weights
    members, features, hidden = first.shape
    wide = first.permute(1, 0, 2).reshape(features, members * hidden).contiguous()
    blocks = torch.block_diag(*second)  # type: ignore[no-untyped-call]
    return Committee((wide, bias.reshape(-1), blocks, (shift + back).reshape(-1)), members)


def _draws(chances: npt.NDArray[np.float64], count: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """`count` rows in proportion to `chances`, with replacement."""
    found = np.searchsorted(np.cumsum(chances), rng.random(count) * chances.sum(), side="right")
    return np.asarray(found.clip(max=len(chances) - 1), dtype=np.intp)


def _start(schedule: Schedule, features: int, classes: int, rng: np.random.Generator) -> list[Tensor]:
    shapes = [(features, schedule.hidden), (1, schedule.hidden), (schedule.hidden, classes), (1, classes)]
    scales = [(2 / features) ** 0.5, 0.0, schedule.hidden**-0.5, 0.0]
    return [
        torch.from_numpy((rng.standard_normal((schedule.members, *shape)) * scale).astype(np.float32)).requires_grad_()
        for shape, scale in zip(shapes, scales, strict=True)
    ]
