"""How long the segmenter learns, from what, how fast, and which of its weights are kept.

All of it is a function of seed and step, so that a run that goes on after a kill does what the first would have done.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from datalab.adapters.segmenter_network import SegmenterNetwork
from datalab.adapters.segmenter_samples import Sample
from datalab.errors import InputError
from datalab.masks import IGNORE_ID

SAMPLINGS = ("shuffled", "balanced")
ORDER, CUTS = 1, 2
"""What a generator is for, beside its seed."""
NEWEST = 0.1
"""Share of the newest step in what batch normalisation answers with: torch's own."""
SETTLED = 10
"""The step from which it is that share."""
LATE = 0.6
"""Share of the steps from which looks compete, and patience runs. At full rate the weights jump from step to step: with
eight validation images a look after 20 of 250 steps won on three of four sets of tiles, by a model that saw no defect.
"""


@dataclass(frozen=True)
class Schedule:
    """How the segmenter learns."""

    steps: int
    batch_size: int
    loss: str
    """One of segmenter_loss.LOSSES."""
    sampling: str
    """One of SAMPLINGS: passes over all images, or images of rare classes more often."""
    learning_rate: float
    """Of AdamW at the end of the warm-up; it falls to 0 along a cosine. 0: the network's own."""
    backbone_rate: float
    """Share of the learning rate for a backbone that was learned elsewhere."""
    frozen_share: float
    """Share of the steps in which such a backbone stays as it is."""
    weight_decay: float
    ema: float
    """Share of the averaged weights that a step keeps, 0 for none: then the weights themselves are validated."""
    validate_every: int
    """Steps between two looks at the validation images."""
    patience: int
    """Late looks (`is_late`) without a better validation mIoU before training stops."""
    imbalance: float
    """Class weights are frequency ** -imbalance: 0 = none, 0.5 = square root, 1 = inverse."""
    compile_from: int
    """Steps to take from which the network is compiled for a GPU; 0: never."""


@dataclass(frozen=True)
class Look:
    """One look at the validation images."""

    step: int
    loss: float
    """Mean training loss since the look before."""
    validation_miou: float | None
    """None where no validation pixel is judged."""


def check_sampling(name: str) -> None:
    """InputError listing the known names."""
    if name not in SAMPLINGS:
        raise InputError(f"train.sampling is {name!r}; known: {', '.join(SAMPLINGS)}")


class Sampler:
    """Which training images a step sees."""

    def __init__(self, samples: Sequence[Sample], schedule: Schedule, seed: int) -> None:
        """At least one sample."""
        self.count, self.size, self.seed = len(samples), schedule.batch_size, seed
        self.chances = class_balanced(samples) if schedule.sampling == "balanced" else None

    def places(self, step: int) -> list[int]:
        """Rows of the training images for step 1, 2, ...: shuffled passes over all of them, or draws by chance."""
        if self.chances is not None:
            drawn = self._rng(step).choice(self.count, self.size, p=self.chances)
            return [int(place) for place in drawn]
        asked = range((step - 1) * self.size, step * self.size)
        passes = {number: self._rng(number).permutation(self.count) for number in {n // self.count for n in asked}}
        return [int(passes[n // self.count][n % self.count]) for n in asked]

    def _rng(self, number: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, ORDER, number])


def class_balanced(samples: Sequence[Sample]) -> npt.NDArray[np.float64]:
    """(N,) chance of each image: every class that occurs is as likely to be looked for, background among them."""
    shows = np.zeros((len(samples), 256), dtype=bool)
    for place, sample in enumerate(samples):
        assert sample.labels is not None
        shows[place, np.unique(sample.labels)] = True
    shows[:, IGNORE_ID] = False
    images = shows.sum(axis=0)
    chances = (shows[:, images > 0] / images[images > 0]).sum(axis=1)
    # an image without a judged pixel teaches nothing, but all may be such
    return np.asarray(chances / chances.sum() if chances.any() else np.full(len(samples), 1 / len(samples)))


def cut_generators(seed: int, step: int, count: int) -> list[np.random.Generator]:
    """One for each image of a step."""
    return [np.random.default_rng([seed, CUTS, step, place]) for place in range(count)]


def rate(step: int, steps: int) -> float:
    """Share of the full learning rate: a linear warm-up over a twentieth of the steps, then a cosine to 0."""
    warm_up = max(1, steps // 20)
    if step <= warm_up:
        return step / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


class Optimiser:
    """AdamW with a slower rate, and a late start, for a backbone that was learned elsewhere."""

    def __init__(self, network: SegmenterNetwork, schedule: Schedule, is_pretrained: bool) -> None:
        """`is_pretrained`: whether the backbone knows something already; else all learn alike."""
        self.schedule = schedule
        self.full = schedule.learning_rate or network.learning_rate
        backbone = list(network.backbone_parameters()) if is_pretrained else []
        known = {id(parameter) for parameter in backbone}
        layers = (layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d))
        self.learned = tuple(layer for layer in layers if id(layer.weight) in known)
        """Batch normalisation of a backbone that was learned elsewhere."""
        rest = [parameter for parameter in network.parameters() if id(parameter) not in known]
        groups: list[dict[str, Any]] = [{"params": rest, "share": 1.0, "is_backbone": False}]
        if backbone:
            groups.append({"params": backbone, "share": schedule.backbone_rate, "is_backbone": True})
        self.adam = torch.optim.AdamW(groups, self.full, weight_decay=schedule.weight_decay)

    def prepare(self, step: int) -> None:
        """Set the rates of step 1, 2, ...; a backbone that does not learn yet has none."""
        is_frozen = self.is_frozen(step)
        full = self.full * rate(step, self.schedule.steps)
        for group in self.adam.param_groups:
            group["lr"] = 0.0 if group["is_backbone"] and is_frozen else full * group["share"]

    def is_frozen(self, step: int) -> bool:
        """Whether such a backbone stays as it is in step 1, 2, ..."""
        return step <= self.schedule.frozen_share * self.schedule.steps


def set_normalisation(network: nn.Module, step: int, learned: Collection[nn.Module] = ()) -> None:
    """Have batch normalisation answer, from step 1, 2, ... on, with means and deviations of the steps there were.

    Some encoders take a hundredth of the newest step, for trainings of days: after a few hundred steps they still
    answered with what they had started from (CamVid: a validation mIoU of 0.03 instead of 0.28). What the layers of
    `learned` have started from is not to be forgotten in the first step.
    """
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = NEWEST if step >= SETTLED or layer in learned else 1 / step


class Average:
    """Weights averaged over the steps (Polyak and Juditsky 1992), quick to forget at first."""

    def __init__(self, network: nn.Module, keep: float) -> None:
        """`keep` 0: the weights as they are."""
        self.keep = keep
        self.weights = copy_weights(network) if keep else {}

    @torch.no_grad()
    def follow(self, network: nn.Module, step: int) -> None:
        """Move towards the network's weights after step 1, 2, ..."""
        if not self.keep:
            return
        keep = min(self.keep, step / (step + 9))
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                self.weights[name].lerp_(value.to(self.weights[name].device), 1 - keep)
            else:
                self.weights[name].copy_(value)

    def of(self, network: nn.Module) -> dict[str, Tensor]:
        """The averaged weights, or the network's own."""
        return self.weights if self.keep else network.state_dict()


def is_late(step: int, steps: int) -> bool:
    """Whether the look after step 1, 2, ... has a say in what is kept: the rate has fallen."""
    return step >= LATE * steps


class Best:
    """Remembers the weights of the best late look, and before there is one those of the newest."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        """Start from these."""
        self.weights = {name: value.clone() for name, value in weights.items()}
        self.miou = -1.0
        self.stale = 0

    def is_enough(self, look: Look, weights: dict[str, Tensor], schedule: Schedule) -> bool:
        """Take the look in; True where patience has run out. Equal is better: the later weights are the calmer ones."""
        miou = look.validation_miou if is_late(look.step, schedule.steps) else None
        if miou is None or miou >= self.miou:
            self.weights = {name: value.clone() for name, value in weights.items()}
            self.stale = 0
            self.miou = self.miou if miou is None else miou
        else:
            self.stale += 1
        return self.stale >= schedule.patience


def copy_weights(network: nn.Module) -> dict[str, Tensor]:
    """Weights and buffers, apart from the network."""
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
