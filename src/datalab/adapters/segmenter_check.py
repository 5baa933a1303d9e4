"""Before hours are spent: can the network learn a few images by heart? If not, they say nothing of their labels."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from datalab.adapters.segmenter_augment import Pool, draw_batch
from datalab.adapters.segmenter_models import new_network
from datalab.adapters.segmenter_network import SegmenterNetwork
from datalab.adapters.segmenter_samples import Sample
from datalab.adapters.segmenter_schedule import cut_generators
from datalab.adapters.segmenter_training import Recipe, Step, check_recipe, reproducible, train_step
from datalab.adapters.stage_progress import stage_bar
from datalab.adapters.torch_threads import single_thread
from datalab.errors import StateError
from datalab.masks import IGNORE_ID

STEPS = 120
"""At most. Where images and labels fit, far fewer are enough on CamVid, magnetic tiles and the sample images."""
JUDGED = 20
"""The newest steps, by whose mean loss it is judged."""
LOSS = "cross_entropy"
"""Whatever `train.loss` is: Dice alone may stay at "all is background" for as many steps, with labels that fit."""
OF_CONSTANT = 0.9
"""Share to be reached of the loss of the best answer that is the same for every pixel. Labels that are noise leave all
of it or nearly; a deep network from scratch may leave 0.85 after STEPS of labels that fit, and may not be refused.
"""
OF_FIRST = 0.7
"""Share of the first loss, where there is no such answer to compare with."""


def check_learnable(train: Sequence[Sample], recipe: Recipe, backbone: Mapping[str, Tensor] | None = None) -> float:
    """Share of the loss of the best constant answer that is left when the images of one batch are learned by heart.

    Where they show one class, or the model learns objects by a loss of its own, the share is of the first loss.

    Raises:
        StateError: It did not fall to OF_CONSTANT (OF_FIRST) in STEPS; training on more of the same would be in vain.
            Or no pixel of the training images is judged, or none of the images shows anything.
        InputError: As `check_recipe` says.
    """
    judged = _judged(train)
    network = new_network(recipe.size, recipe.seed, [sample.embedding for sample in train], backbone)
    check_recipe(network, recipe)
    pool = Pool(judged)
    places = _richest(pool, max(network.least_batch, min(recipe.schedule.batch_size, len(judged))))
    losses, constants = [], []
    with single_thread(), reproducible(recipe.seed):
        for loss, constant in _steps(network, pool, places, recipe):
            losses.append(loss)
            constants.append(constant)
            blind, must = _blind(losses, constants, network)
            left = float(np.mean(losses[-JUDGED:])) / max(blind, 1e-12)
            if len(losses) >= JUDGED and left <= must:
                return left
    raise StateError(
        f"training refused: one batch of {len(places)} images cannot be learned by heart (loss {left * blind:.2f} "
        f"after {STEPS} steps, {blind:.2f} without a look at them); look at reports/plots/training_sheet.png whether "
        "images and outlines are there and fit, and change train.learning_rate"
    )


def _judged(train: Sequence[Sample]) -> list[Sample]:
    """The samples with a judged pixel; StateError where there is none, or nothing to see on any."""
    judged = [sample for sample in train if sample.labels is not None and (sample.labels != IGNORE_ID).any()]
    if not judged:
        raise StateError("training refused: no pixel of the training images is judged; adjudicate what is disputed")
    # SAM's embedding of a black image still tells its places apart, by which much can be learned
    if not any(np.ptp(sample.image) for sample in judged):
        raise StateError(
            "training refused: every training image is of one even colour; look at them on "
            "reports/plots/training_sheet.png, and take them in anew"
        )
    return judged


def _richest(pool: Pool, count: int) -> list[int]:
    """Places of the images with the most classes, repeated where there are fewer: others have nothing to tell apart."""
    order = np.argsort(-pool.shows.sum(axis=1), kind="stable")
    return [int(place) for place in np.resize(order, count)]


def _steps(
    network: SegmenterNetwork, pool: Pool, places: Sequence[int], recipe: Recipe
) -> Iterator[tuple[float, float]]:
    """Loss of each step, and that of the best constant answer to it.

    Each step cuts the same images elsewhere: in cuts that stay, places are learned as quickly as images. All classes
    of a step weigh alike, so that small objects count, and the constant's loss is the logarithm of their number.
    """
    # where another image was laid over one the labels are not certain, and cannot be known by heart
    how = replace(recipe.augmentation, policy=replace(recipe.augmentation.policy, mixup=0.0))
    optimizer = torch.optim.AdamW(network.parameters(), recipe.schedule.learning_rate or network.learning_rate)
    trust = torch.ones((len(places), recipe.size.members))
    for step in stage_bar("one batch by heart", STEPS, "step", range(1, STEPS + 1)):
        batch = draw_batch(pool, places, how, cut_generators(recipe.seed, step, len(places)))
        weights = _balanced(batch.labels, recipe.size.classes)
        loss = train_step(network, optimizer, batch, Step(weights, trust, LOSS), step)
        yield loss, math.log(max(1, int((weights > 0).sum())))


def _blind(losses: Sequence[float], constants: Sequence[float], network: SegmenterNetwork) -> tuple[float, float]:
    """The loss without a look at the images, and the share of it to be reached."""
    constant = float(np.mean(constants[-JUDGED:]))
    return (constant, OF_CONSTANT) if constant > 0 and not network.learns_instances else (losses[0], OF_FIRST)


def _balanced(labels: Tensor, classes: int) -> Tensor:
    """(K,) weights with which all classes of these labels count alike; 0 for one without a pixel."""
    pixels = torch.bincount(labels[labels != IGNORE_ID], minlength=classes)
    return torch.where(pixels > 0, 1 / pixels.clamp(min=1), 0.0)
