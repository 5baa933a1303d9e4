from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datalab.adapters import segmenter_check
from datalab.adapters.segmenter_augment import Batch, draw_batch
from datalab.adapters.segmenter_check import JUDGED, OF_CONSTANT, OF_FIRST, STEPS, check_learnable
from datalab.adapters.segmenter_loss import LOSSES
from datalab.adapters.segmenter_network import NetworkSize
from datalab.adapters.segmenter_training import Recipe
from datalab.errors import StateError
from tests.adapters.blobs import AUGMENTATION, SCHEDULE, blob_samples

RECIPE = Recipe(NetworkSize(channels=6, classes=3, width=16, members=2), SCHEDULE, AUGMENTATION, seed=0)


@pytest.mark.slow
def test_an_easy_batch_is_learned_by_heart(tmp_path: Path) -> None:
    assert check_learnable(blob_samples(tmp_path, range(4)), RECIPE) < OF_CONSTANT


@pytest.mark.slow
def test_labels_that_are_noise_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = []
    for sample in blob_samples(tmp_path, range(4)):
        assert sample.labels is not None
        noise.append(replace(sample, labels=rng.integers(0, 3, sample.labels.shape, dtype=np.uint8)))
    with pytest.raises(StateError, match="one batch of 4 images cannot be learned by heart") as caught:
        check_learnable(noise, RECIPE)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
def test_it_is_the_same_whatever_the_loss(tmp_path: Path, loss: str) -> None:
    """Dice alone may stay at "all is background" for as long, with labels that fit."""
    samples = blob_samples(tmp_path, range(1, 8))
    usual = check_learnable(samples, RECIPE)
    assert check_learnable(samples, replace(RECIPE, schedule=replace(SCHEDULE, loss=loss))) == usual < OF_CONSTANT


def test_images_that_show_nothing_are_refused_whatever_sam_makes_of_them(tmp_path: Path) -> None:
    samples = [replace(one, image=np.full_like(one.image, 7)) for one in blob_samples(tmp_path, range(1, 5))]
    with pytest.raises(StateError, match="every training image is of one even colour; look"):
        check_learnable(samples, RECIPE)


def test_images_without_an_object_have_no_constant_to_be_compared_with(tmp_path: Path) -> None:
    empty = [replace(one, labels=np.zeros_like(one.labels)) for one in blob_samples(tmp_path, range(3))]
    assert check_learnable(empty, RECIPE) < OF_FIRST


@pytest.mark.slow
def test_the_batch_is_of_images_with_something_to_tell_apart(tmp_path: Path) -> None:
    samples = blob_samples(tmp_path, [0, 4, 8, 12, 16, 1])  # one of the six has objects
    few = replace(RECIPE, schedule=replace(SCHEDULE, batch_size=1))
    assert check_learnable(samples, few) < OF_CONSTANT
    slow = replace(few, schedule=replace(few.schedule, learning_rate=1e-9))
    with pytest.raises(StateError, match=r"batch of 1 images .*, 1\.10 without a look at them"):  # log 3
        check_learnable(samples, slow)


def test_each_step_cuts_the_same_images_elsewhere_and_lays_none_over_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Batch] = []

    def watched(*given: Any) -> Batch:
        drawn.append(draw_batch(*given))
        return drawn[-1]

    monkeypatch.setattr(segmenter_check, "draw_batch", watched)
    mixed = replace(AUGMENTATION, policy=replace(AUGMENTATION.policy, mixup=1.0))
    assert check_learnable(blob_samples(tmp_path, range(1, 6)), replace(RECIPE, augmentation=mixed)) < OF_CONSTANT
    assert {batch.names for batch in drawn} == {drawn[0].names}
    assert {batch.share for batch in drawn} == {None}
    assert not torch.equal(drawn[0].labels, drawn[1].labels)
    assert JUDGED <= len(drawn) < STEPS  # no longer than it takes


@pytest.mark.slow
def test_images_that_nobody_judged_are_refused_and_left_out_of_the_batch(tmp_path: Path) -> None:
    samples = blob_samples(tmp_path, range(4))
    unknown = [replace(one, labels=np.full_like(one.labels, 255)) for one in samples]
    with pytest.raises(StateError, match="no pixel of the training images is judged"):
        check_learnable(unknown, RECIPE)
    some = [*unknown[:3], samples[3]]
    assert 0 < check_learnable(some, RECIPE) < OF_CONSTANT
    balanced = replace(RECIPE, schedule=replace(SCHEDULE, sampling="balanced"))
    assert 0 < check_learnable(some, balanced) < OF_CONSTANT


@pytest.mark.slow
def test_one_image_is_enough_for_a_model_that_wants_two_of_a_batch(tmp_path: Path) -> None:
    light = replace(RECIPE, size=replace(RECIPE.size, model="lraspp_mobilenet_v3_large"))
    assert check_learnable(blob_samples(tmp_path, range(1)), light) < OF_CONSTANT


@pytest.mark.slow
def test_a_step_too_short_to_learn_anything_is_refused(tmp_path: Path) -> None:
    slow = replace(SCHEDULE, learning_rate=1e-9)
    with pytest.raises(StateError, match=r"change train\.learning_rate"):
        check_learnable(blob_samples(tmp_path, range(4)), replace(RECIPE, schedule=slow))
