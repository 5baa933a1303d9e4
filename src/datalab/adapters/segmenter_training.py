"""Training the segmenter: minutes are few, labels are fewer, and the same seed gives the same bytes."""

import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from datalab.adapters.segmenter import Segmenter, members_of
from datalab.adapters.segmenter_augment import Augmentation, Batch, Pool, draw_batch
from datalab.adapters.segmenter_loss import alone, class_weights, segmentation_loss
from datalab.adapters.segmenter_models import new_network
from datalab.adapters.segmenter_network import NetworkSize, SegmenterNetwork
from datalab.adapters.segmenter_processes import (
    compiles_at,
    prepare,
    share_averages,
    share_of,
    start_processes,
    sum_together,
)
from datalab.adapters.segmenter_samples import Sample
from datalab.adapters.segmenter_schedule import (
    Average,
    Best,
    Look,
    Optimiser,
    Sampler,
    Schedule,
    copy_weights,
    cut_generators,
    is_late,
    set_normalisation,
)
from datalab.adapters.segmenter_state import Run, StateFile
from datalab.adapters.stage_progress import stage_bar
from datalab.adapters.torch_threads import side_by_side, single_thread
from datalab.errors import InputError, StateError
from datalab.learning.metrics import confusion_matrix, mean_iou

LONGEST_GRADIENT = 5.0
"""A longer one is cut to this length."""
EARLY_IMAGES = 32
"""Validation images that a look sees which competes with none (`is_late`): of hundreds it would see for nothing."""
EXPLODED = 1000.0
"""Times the first loss, or 1 where that was less: nothing comes back from there, though all numbers may be finite.

Not of objects: the errors of boxes have no bound, and come back from more in the first steps.
"""


@dataclass(frozen=True)
class Recipe:
    """All that decides what is learned from given images."""

    size: NetworkSize
    """`classes` counts the positions that the samples' labels use."""
    schedule: Schedule
    augmentation: Augmentation
    seed: int


@dataclass(frozen=True)
class Step:
    """What a training step needs beside the batch."""

    weights: Tensor
    """(K,) of the classes."""
    trust: Tensor
    """(B, M), how much each member listens to each image of the batch."""
    loss: str
    """One of segmenter_loss.LOSSES."""
    fabric: Fabric | None = None
    """The processes that share the batch; None for this one alone."""
    most: float = math.inf
    """A larger loss has exploded."""
    learned: tuple[nn.Module, ...] = ()
    """Batch normalisation that was learned elsewhere."""
    is_frozen: bool = False
    """Whether that stays as it is in this step."""


def train_segmenter(
    train: Sequence[Sample],
    validation: Sequence[Sample],
    recipe: Recipe,
    backbone: Mapping[str, Tensor] | None = None,
    state: StateFile | None = None,
    on_look: Callable[[Look], None] | None = None,
) -> tuple[SegmenterNetwork, list[Look]]:
    """The network with the best validation mIoU of the late looks, on the CPU, and the curve.

    `backbone` is that of `new_network`. `state`: where the run is kept at every look (by `run_key`); one that was
    killed goes on from there and gives the same bytes. Who saves the model has it forgotten then: before, a kill would
    cost the whole training. `on_look` hears of every look, also of those before a kill. StateError naming step and
    images where loss or gradient is not finite, or the loss EXPLODED; InputError where there is nothing to train on, or
    as `check_recipe` says.
    """
    if not train:
        raise InputError("there is no training image; label more images")
    fabric = start_processes()
    run = _new_run(train, recipe, backbone)
    check_recipe(run.network, recipe, fabric.world_size)
    # before the optimiser's state is taken, which goes to where the weights are
    run.network.to(fabric.device)
    if state is not None and state.take(run) and on_look is not None:
        for look in run.looks:
            on_look(look)
    with single_thread(), reproducible(recipe.seed):
        for look in _learn(run, train, validation, recipe, fabric):
            if on_look is not None:
                on_look(look)
            if state is not None and fabric.is_global_zero:
                state.keep(run)
    # a new one: what has been compiled for a GPU would be compiled once more for the CPU
    network = new_network(recipe.size, recipe.seed, [train[0].embedding])
    network.load_state_dict(run.best.weights)
    return network.eval(), run.looks


def check_recipe(network: nn.Module, recipe: Recipe, processes: int = 1) -> None:
    """InputError where the network cannot learn so: from too few images in a process, or objects that are mixed."""
    assert isinstance(network, SegmenterNetwork)
    model, images = recipe.size.model, recipe.schedule.batch_size // processes
    if images < network.least_batch:
        raise InputError(
            f"train.model {model} needs train.batch_size {network.least_batch} or more in each process, got {images}"
        )
    if network.learns_instances and processes > 1:
        raise InputError(f"train.model {model} learns in one process; start it without torchrun")
    if network.learns_instances and recipe.augmentation.policy.mixup:
        raise InputError(f"train.model {model} learns objects, which mixup makes none of; set mixup of the policy to 0")


def _new_run(train: Sequence[Sample], recipe: Recipe, backbone: Mapping[str, Tensor] | None) -> Run:
    network = new_network(recipe.size, recipe.seed, [sample.embedding for sample in train], backbone)
    optimiser = Optimiser(network, recipe.schedule, backbone is not None)
    return Run(network, optimiser, Average(network, recipe.schedule.ema), Best(copy_weights(network)), [])


def _learn(
    run: Run, train: Sequence[Sample], validation: Sequence[Sample], recipe: Recipe, fabric: Fabric
) -> Iterator[Look]:
    """Step on from where the run is; gives every look when the run has taken it in."""
    schedule = recipe.schedule
    sampler = Sampler(train, schedule, recipe.seed)
    weights = class_weights(train, recipe.size.classes, schedule.imbalance, sampler.chances)
    trust = _trust(len(train), recipe)
    assert isinstance(run.network, SegmenterNetwork)
    module, adam = fabric.setup(prepare(run.network, fabric), run.optimiser.adam)
    mine = share_of(fabric, schedule.batch_size)
    losses: list[float] = []
    compiled_before = compiles_at(run.step + 1, schedule, fabric)
    batches = _drawn(run, Pool(train), sampler, recipe, mine)
    with (
        stage_bar("train", schedule.steps, "step", done=run.step, hidden=not fabric.is_global_zero) as bar,
        closing(batches),
    ):
        for places, batch in batches:
            run.step += 1
            run.optimiser.prepare(run.step)
            if run.step == compiled_before:
                run.network.compile()
            torch.manual_seed(recipe.seed * schedule.steps + run.step)
            learned, is_frozen = run.optimiser.learned, run.optimiser.is_frozen(run.step)
            needed = Step(weights, trust[places], schedule.loss, fabric, run.most, learned, is_frozen)
            losses.append(train_step(module, adam, batch, needed, run.step))
            if run.step == 1 and not run.network.learns_instances:
                run.most = EXPLODED * max(losses[0], 1.0)
            share_averages(fabric, run.network)
            run.average.follow(run.network, run.step)
            bar.update()
            if run.step % schedule.validate_every == 0 or run.step == schedule.steps:
                look = _look(run, validation, float(np.mean(losses)), schedule)
                run.is_enough = fabric.broadcast(run.is_enough)
                losses.clear()
                bar.set_postfix(loss=f"{look.loss:.3f}", miou=look.validation_miou, refresh=False)
                yield look
            if run.is_enough:
                return


def _drawn(
    run: Run, pool: Pool, sampler: Sampler, recipe: Recipe, mine: slice
) -> Generator[tuple[list[int], Batch], None, None]:
    """Places and batch of every step that is left, some drawn ahead on the other cores; the same whoever draws them."""

    def draw(step: int) -> tuple[list[int], Batch]:
        places = sampler.places(step)[mine]
        rngs = cut_generators(recipe.seed, step, recipe.schedule.batch_size)[mine]
        return places, draw_batch(pool, places, recipe.augmentation, rngs)

    yield from side_by_side(draw, () if run.is_enough else range(run.step + 1, recipe.schedule.steps + 1))


def _trust(images: int, recipe: Recipe) -> Tensor:
    """(N, M): how much each member of the committee listens to each image, as if it had drawn a sample of its own."""
    drawn = np.random.default_rng(recipe.seed).poisson(1.0, (images, recipe.size.members))
    return torch.from_numpy(drawn.clip(0.2, 3).astype(np.float32))


def train_step(module: nn.Module, optimiser: torch.optim.Optimizer, batch: Batch, needed: Step, step: int) -> float:
    """The loss before the step, of all processes' images together.

    StateError with the step's number and images where loss or gradient is not finite, or the loss more than
    `needed.most`.
    """
    fabric = needed.fabric
    set_normalisation(module, step, needed.learned)
    loss = _loss(module, batch if fabric is None else _moved(batch, fabric), needed)
    value = float(loss.detach())
    optimiser.zero_grad(set_to_none=True)
    if fabric is None:
        torch.autograd.backward(loss)
    else:
        fabric.backward(loss)
    length = float(nn.utils.clip_grad_norm_(module.parameters(), LONGEST_GRADIENT))
    if not (math.isfinite(value) and math.isfinite(length)):
        raise StateError(
            f"training stopped at step {step}: the loss is {value}, its gradient has length {length}, on the images "
            f"{', '.join(batch.names)}; look at their labels, or lower train.learning_rate"
        )
    if value > needed.most:
        raise StateError(
            f"training stopped at step {step}: the loss is {value:.0f}, over {EXPLODED:.0f} times the first, on the "
            f"images {', '.join(batch.names)}; lower train.learning_rate"
        )
    optimiser.step()
    return value


def _loss(module: nn.Module, batch: Batch, needed: Step) -> Tensor:
    network: Any = getattr(module, "module", module)  # within what Fabric wraps round it
    module.train()
    for layer in needed.learned if needed.is_frozen else ():
        layer.eval()
    if network.learns_instances:
        objects: Tensor = network.instance_loss(batch.image, batch.labels)
        return objects
    together = alone if needed.fabric is None else partial(sum_together, needed.fabric)
    logits = module(batch.image, batch.embedding)
    labels, trust, share = batch.labels, needed.trust.to(logits.device), batch.share
    if batch.other_labels is not None and share is not None:
        # the same answer has to be right about both images, as far as each is there
        logits, labels, trust = (
            torch.cat(pair) for pair in ((logits, logits), (labels, batch.other_labels), (trust, trust))
        )
        share = torch.cat([share, 1 - share])
    weights = needed.weights.to(logits.device)
    return segmentation_loss(logits.float(), labels, weights, trust, needed.loss, together, share)


def _moved(batch: Batch, fabric: Fabric) -> Batch:
    """On the device."""
    tensors = {name: value for name, value in vars(batch).items() if isinstance(value, Tensor)}
    return replace(batch, **fabric.to_device(tensors))


def _look(run: Run, validation: Sequence[Sample], loss: float, schedule: Schedule) -> Look:
    """Validate the averaged weights, or the network's own, and take the result in."""
    assert isinstance(run.network, SegmenterNetwork)
    weights = run.average.of(run.network)
    if run.average.keep:
        own = copy_weights(run.network)
        run.network.load_state_dict(weights)
    seen = validation if is_late(run.step, schedule.steps) else validation[:EARLY_IMAGES]
    look = Look(run.step, loss, _validate(run.network, seen))
    if run.average.keep:
        run.network.load_state_dict(own)
    run.looks.append(look)
    run.is_enough = run.best.is_enough(look, weights, schedule)
    return look


def _validate(network: SegmenterNetwork, samples: Sequence[Sample]) -> float | None:
    """mIoU at working size, pooled over the images."""
    classes = network.size.classes
    asked = Segmenter(network.eval(), tuple(range(classes)), ("",) * classes, longest_side=0)
    pooled = np.zeros((classes, classes), dtype=np.int64)
    for sample in samples:
        assert sample.labels is not None
        probabilities = members_of(asked, sample, flip=False).mean(axis=0)
        pooled += confusion_matrix(sample.labels, probabilities.argmax(axis=0), classes)
    miou = float(mean_iou(pooled))
    return None if math.isnan(miou) else miou


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """Within the block torch computes the same for the same seed, dropout included; afterwards all is as before.

    On a GPU some sums have no fixed order; it warns of those.
    """
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            yield
    finally:
        torch.use_deterministic_algorithms(before)
