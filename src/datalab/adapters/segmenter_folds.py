"""Out-of-fold predictions of the segmenter: each image by a network that was trained without it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from torch import Tensor

from datalab.adapters.segmenter import Segmenter, members_of
from datalab.adapters.segmenter_samples import Sample
from datalab.adapters.segmenter_training import Recipe, train_segmenter


def out_of_fold(
    samples: Sequence[Sample],
    folds: Sequence[int],
    recipe: Recipe,
    backbone: Mapping[str, Tensor] | None = None,
) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """(place in `samples`, (K, h/2, w/2) probabilities) of every image, fold by fold.

    For each fold a network learns from all the others, for all its steps: there is nothing left to stop it by. What
    comes out is the mean of the committee, mirrored image included.
    """
    classes = recipe.size.classes
    ids, names = tuple(range(classes)), ("",) * classes
    for fold in sorted(set(folds)):
        others = [sample for sample, own in zip(samples, folds, strict=True) if own != fold]
        network, _ = train_segmenter(others, [], replace(recipe, seed=recipe.seed + fold), backbone)
        segmenter = Segmenter(network, ids, names, longest_side=0)
        for place, own in enumerate(folds):
            if own == fold:
                yield place, members_of(segmenter, samples[place], flip=True).mean(axis=0)
