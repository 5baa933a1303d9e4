"""Before hours are spent: can the network learn a single batch by heart? If not, labels and images do not fit."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from tqdm import tqdm

from datalab.adapters.segmenter_augment import Pool, draw_batch
from datalab.adapters.segmenter_loss import class_weights
from datalab.adapters.segmenter_models import new_network
from datalab.adapters.segmenter_samples import Sample
from datalab.adapters.segmenter_schedule import Sampler, cut_generators
from datalab.adapters.segmenter_training import Recipe, Step, check_recipe, reproducible, train_step
from datalab.adapters.torch_threads import single_thread
from datalab.errors import StateError
from datalab.masks import IGNORE_ID

STEPS = 40
"""Four seconds. On the sample images the loss falls to a third by then, on label noise it keeps nearly all."""
MUST_FALL_TO = 0.7
"""Share of the first loss that has to be reached."""


def check_learnable(train: Sequence[Sample], recipe: Recipe, backbone: Mapping[str, Tensor] | None = None) -> float:
    """Share of the first loss that is left after STEPS on one batch that does not change.

    Raises:
        StateError: It did not fall below MUST_FALL_TO; training on more of the same would be in vain. Or no pixel of
            the training images is judged.
        InputError: As `check_recipe` says.
    """
    schedule, size, seed = recipe.schedule, recipe.size, recipe.seed
    judged = [sample for sample in train if sample.labels is not None and (sample.labels != IGNORE_ID).any()]
    if not judged:
        raise StateError("training refused: no pixel of the training images is judged; adjudicate what is disputed")
    network = new_network(size, seed, [sample.embedding for sample in train], backbone)
    check_recipe(network, recipe)
    sampler = Sampler(judged, schedule, seed)
    places = sampler.places(1)[: max(len(judged), network.least_batch)]
    rngs = cut_generators(seed, 0, len(places))
    batch = draw_batch(Pool(judged), places, recipe.augmentation, rngs)
    trust = torch.ones((len(places), size.members))
    needed = Step(class_weights(judged, size.classes, schedule.imbalance, sampler.chances), trust, schedule.loss)
    optimizer = torch.optim.AdamW(network.parameters(), schedule.learning_rate or network.learning_rate)
    with single_thread(), reproducible(seed):
        losses = [
            train_step(network, optimizer, batch, needed, step)
            for step in tqdm(range(1, STEPS + 1), "one batch by heart", unit="step", leave=False, disable=None)
        ]
    left = min(losses[-5:]) / max(losses[0], 1e-12)
    if left > MUST_FALL_TO:
        raise StateError(
            f"training refused: one batch of {len(places)} images cannot be learned by heart (loss {losses[0]:.2f}, "
            f"after {STEPS} steps {losses[-1]:.2f}); look at reports/plots/training_sheet.png whether the "
            "outlines fit, and change train.learning_rate"
        )
    return left
