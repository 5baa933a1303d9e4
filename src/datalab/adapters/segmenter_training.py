"""Training the segmenter on the CPU: minutes are few, labels are fewer, and the same seed gives the same bytes."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from datalab.adapters.segmenter import Segmenter, predict
from datalab.adapters.segmenter_loss import class_weights, segmentation_loss
from datalab.adapters.segmenter_models import new_network
from datalab.adapters.segmenter_network import NetworkSize, SegmenterNetwork
from datalab.adapters.segmenter_samples import Augmentation, Batch, Sample, draw_batch
from datalab.adapters.torch_threads import single_thread
from datalab.errors import InputError, StateError
from datalab.learning.metrics import confusion_matrix, mean_iou


@dataclass(frozen=True)
class Schedule:
    """How long and how fast the segmenter learns."""

    steps: int
    batch_size: int
    learning_rate: float
    """Of AdamW at the end of the warm-up; it falls to 0 along a cosine."""
    weight_decay: float
    validate_every: int
    """Steps between two looks at the validation images."""
    patience: int
    """Looks without a better validation mIoU before training stops."""
    imbalance: float
    """Class weights are frequency ** -imbalance: 0 = none, 0.5 = square root, 1 = inverse."""


@dataclass(frozen=True)
class Look:
    """One look at the validation images."""

    step: int
    loss: float
    """Mean training loss since the look before."""
    validation_miou: float | None
    """None where no validation pixel is judged."""


def train_segmenter(
    train: Sequence[Sample],
    validation: Sequence[Sample],
    size: NetworkSize,
    schedule: Schedule,
    augmentation: Augmentation,
    seed: int,
    backbone: Mapping[str, Tensor] | None = None,
) -> tuple[SegmenterNetwork, list[Look]]:
    """The network with the best validation mIoU, and the curve.

    `size.classes` counts the positions that the samples' labels use; `backbone` is that of `new_network`. StateError
    naming the step where the loss is not finite; InputError where there is nothing to train on, or the batch is smaller
    than the model can learn from.
    """
    if not train:
        raise InputError("there is no training image; label more images")
    rng = np.random.default_rng(seed)
    network = new_network(size, seed, [sample.embedding for sample in train], backbone)
    weights = class_weights(train, size.classes, schedule.imbalance)
    trust = torch.from_numpy(rng.poisson(1.0, (len(train), size.members)).clip(0.2, 3).astype(np.float32))
    optimizer = torch.optim.AdamW(network.parameters(), schedule.learning_rate, weight_decay=schedule.weight_decay)
    looks: list[Look] = []
    best = Best(network)
    losses: list[float] = []
    with single_thread(), reproducible(seed), tqdm(total=schedule.steps, desc="train", unit="step") as bar:
        for step, places in enumerate(_places(len(train), schedule, rng), start=1):
            for group in optimizer.param_groups:
                group["lr"] = schedule.learning_rate * _rate(step, schedule.steps)
            batch = draw_batch(train, places, augmentation, rng)
            losses.append(train_step(network, optimizer, batch, weights, trust[places], step))
            bar.update()
            if step % schedule.validate_every == 0 or step == schedule.steps:
                looks.append(Look(step, float(np.mean(losses)), _validate(network, validation)))
                losses.clear()
                bar.set_postfix(loss=f"{looks[-1].loss:.3f}", miou=looks[-1].validation_miou)
                if best.is_enough(looks[-1], schedule.patience):
                    break
    best.restore()
    return network.eval(), looks


def train_step(
    network: SegmenterNetwork,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    weights: Tensor,
    trust: Tensor,
    step: int,
) -> float:
    """The loss before the step; StateError with the step's number where it is not finite.

    InputError where the batch has fewer images than the network can learn from.
    """
    if len(batch.image) < network.least_batch:
        raise InputError(
            f"train.model {network.size.model} needs train.batch_size {network.least_batch} or more, "
            f"got {len(batch.image)}"
        )
    loss = segmentation_loss(network.train()(batch.image, batch.embedding), batch.labels, weights, trust)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise StateError(f"training stopped at step {step}: the loss is {value}; lower train.learning_rate")
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    optimizer.step()
    return value


class Best:
    """Remembers the weights of the best look."""

    def __init__(self, network: SegmenterNetwork) -> None:
        """Start from the network as it is."""
        self.network = network
        self.weights = _copy(network)
        self.miou = -1.0
        self.stale = 0

    def is_enough(self, look: Look, patience: int) -> bool:
        """Take the look in; True where patience has run out. Equal is better: the later weights are the calmer ones."""
        if look.validation_miou is None or look.validation_miou >= self.miou:
            self.weights, self.stale = _copy(self.network), 0
            self.miou = self.miou if look.validation_miou is None else look.validation_miou
        else:
            self.stale += 1
        return self.stale >= patience

    def restore(self) -> None:
        """Put the best weights back into the network."""
        self.network.load_state_dict(self.weights)


def _copy(network: SegmenterNetwork) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def _places(images: int, schedule: Schedule, rng: np.random.Generator) -> Iterator[list[int]]:
    """Rows of the training images for every step: shuffled passes over all of them."""
    waiting: list[int] = []
    for _ in range(schedule.steps):
        while len(waiting) < schedule.batch_size:
            waiting += rng.permutation(images).tolist()
        yield waiting[: schedule.batch_size]
        waiting = waiting[schedule.batch_size :]


def _rate(step: int, steps: int) -> float:
    """Share of the full learning rate: a linear warm-up over a twentieth of the steps, then a cosine to 0."""
    warm_up = max(1, steps // 20)
    if step <= warm_up:
        return step / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


def _validate(network: SegmenterNetwork, samples: Sequence[Sample]) -> float | None:
    """mIoU at working size, pooled over the images."""
    classes = network.size.classes
    asked = Segmenter(network.eval(), tuple(range(classes)), ("",) * classes, longest_side=0)
    pooled = np.zeros((classes, classes), dtype=np.int64)
    for sample in samples:
        assert sample.labels is not None
        probabilities = predict(asked, sample, flip=False).members.mean(axis=0)
        pooled += confusion_matrix(sample.labels, probabilities.argmax(axis=0), classes)
    miou = float(mean_iou(pooled))
    return None if math.isnan(miou) else miou


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """Within the block torch computes the same for the same seed, dropout included; afterwards all is as before."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.use_deterministic_algorithms(before)
