from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datalab.adapters.segmenter_check import MUST_FALL_TO, check_learnable
from datalab.adapters.segmenter_network import NetworkSize
from datalab.adapters.segmenter_training import Recipe
from datalab.errors import StateError
from tests.adapters.blobs import AUGMENTATION, SCHEDULE, blob_samples

RECIPE = Recipe(NetworkSize(channels=6, classes=3, width=16, members=2), SCHEDULE, AUGMENTATION, seed=0)


def test_an_easy_batch_is_learned_by_heart(tmp_path: Path) -> None:
    assert check_learnable(blob_samples(tmp_path, range(4)), RECIPE) < MUST_FALL_TO


def test_labels_that_are_noise_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = []
    for sample in blob_samples(tmp_path, range(4)):
        assert sample.labels is not None
        noise.append(replace(sample, labels=rng.integers(0, 3, sample.labels.shape, dtype=np.uint8)))
    with pytest.raises(StateError, match="one batch of 4 images cannot be learned by heart") as caught:
        check_learnable(noise, RECIPE)
    assert "\n" not in str(caught.value)


def test_images_that_nobody_judged_are_refused_and_left_out_of_the_batch(tmp_path: Path) -> None:
    samples = blob_samples(tmp_path, range(4))
    unknown = [replace(one, labels=np.full_like(one.labels, 255)) for one in samples]
    with pytest.raises(StateError, match="no pixel of the training images is judged"):
        check_learnable(unknown, RECIPE)
    some = [*unknown[:3], samples[3]]
    assert 0 < check_learnable(some, RECIPE) < MUST_FALL_TO
    balanced = replace(RECIPE, schedule=replace(SCHEDULE, sampling="balanced"))
    assert 0 < check_learnable(some, balanced) < MUST_FALL_TO


def test_one_image_is_enough_for_a_model_that_wants_two_of_a_batch(tmp_path: Path) -> None:
    light = replace(RECIPE, size=replace(RECIPE.size, model="lraspp_mobilenet_v3_large"))
    assert check_learnable(blob_samples(tmp_path, range(1)), light) < MUST_FALL_TO


def test_a_step_too_short_to_learn_anything_is_refused(tmp_path: Path) -> None:
    slow = replace(SCHEDULE, learning_rate=1e-9)
    with pytest.raises(StateError, match=r"change train\.learning_rate"):
        check_learnable(blob_samples(tmp_path, range(4)), replace(RECIPE, schedule=slow))
