"""Mask R-CNN: what it learns from, and how objects become probabilities."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from datalab.adapters.segmenter import Segmenter, predict
from datalab.adapters.segmenter_augment import Augmentation
from datalab.adapters.segmenter_instances import MASK_RCNN, Instance, InstanceSegmenter, _targets, _unjudged, _without
from datalab.adapters.segmenter_models import new_network
from datalab.adapters.segmenter_network import NetworkSize
from datalab.adapters.segmenter_training import Recipe, check_recipe, train_segmenter
from datalab.errors import InputError
from tests.adapters.blobs import PLAIN, SCHEDULE, blob_samples

SIZE = NetworkSize(channels=6, classes=3, width=16, members=1, model=MASK_RCNN)
RECIPE = Recipe(SIZE, replace(SCHEDULE, steps=2, batch_size=2, validate_every=2), Augmentation(64, 1.0, PLAIN), seed=0)


@pytest.fixture(scope="module")
def network() -> InstanceSegmenter:
    made = new_network(SIZE, 0, [])
    assert isinstance(made, InstanceSegmenter)
    return made.eval()


def test_targets_are_the_connected_pieces_at_twice_the_size() -> None:
    labels = np.zeros((6, 8), dtype=np.uint8)
    labels[1:3, 1:4] = 1
    labels[4:6, 5:8] = 1
    labels[0, 7] = 2  # a single pixel is no object
    labels[5, 0] = 255
    found = _targets(labels, torch.device("cpu"))
    assert found["labels"].tolist() == [1, 1]
    assert found["boxes"].tolist() == [[2, 2, 8, 6], [10, 8, 16, 12]]
    assert found["masks"].shape == (2, 12, 16)
    assert found["masks"].sum(dim=(1, 2)).tolist() == [24, 24]


def test_what_nobody_judged_is_painted_over_and_a_rim_is_not() -> None:
    labels = np.zeros((8, 8), dtype=np.uint8)
    labels[0:3, 0:3] = 255
    labels[0:2, 0:2] = 1  # an object with its rim
    labels[5:7, 5:7] = 255  # something of which nobody knows whether it is there
    image = torch.rand(3, 16, 16)
    shown = _without(image, _unjudged(labels))
    changed = (shown != image).all(dim=0).numpy()
    assert changed[10:14, 10:14].all()
    assert changed.sum() == 16
    torch.testing.assert_close(shown[:, 11, 11], image.mean(dim=(1, 2)))
    assert _without(image, np.zeros((8, 8), dtype=np.bool_)) is image


def test_padding_below_an_object_that_is_cut_off_is_painted_over() -> None:
    labels = np.zeros((12, 8), dtype=np.uint8)
    labels[4:, :] = 255  # the image ends here
    labels[1:4, 2:6] = 1
    found = _unjudged(labels)
    assert not found[:4].any()
    assert not found[4:7].any()  # as near as an outline in doubt
    assert found[7:].all()
    assert _unjudged(np.full((2, 2), 255, dtype=np.uint8)).all()


@pytest.mark.slow
def test_an_image_without_an_object_is_learned_from_too(network: InstanceSegmenter) -> None:
    labels = torch.zeros(2, 16, 16, dtype=torch.int64)
    labels[0, 4:12, 4:12] = 2
    loss = network.train().instance_loss(torch.rand(2, 3, 32, 32), labels)
    assert torch.isfinite(loss)
    assert loss.requires_grad


def test_a_pixel_is_background_as_far_as_no_object_is_there(network: InstanceSegmenter) -> None:
    left = torch.zeros(4, 8)
    left[:, :4] = 1.0
    found = [Instance(1, 0.8, left), Instance(2, 0.5, torch.ones(4, 8))]
    chances = network.logits(found, (4, 8)).softmax(dim=1)[0]
    assert chances.shape == (3, 2, 4)
    # left: background (1 - 0.8)(1 - 0.5), over 0.1 + 0.8 + 0.5; right: 0.5 and 0.5
    torch.testing.assert_close(chances[:, 0, 0], torch.tensor([0.1, 0.8, 0.5]) / 1.4, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(chances[:, 0, 3], torch.tensor([0.5, 0.0, 0.5]), atol=1e-4, rtol=1e-4)
    empty = network.logits([], (4, 8)).softmax(dim=1)[0]
    assert float(empty[0].min()) > 0.999


def test_what_is_found_comes_at_the_images_size(
    tmp_path: Path, network: InstanceSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = blob_samples(tmp_path, [1], longest_side=32)[0]
    square = torch.zeros(24, 32)
    square[6:18, 8:24] = 0.9
    monkeypatch.setattr(network, "instances", lambda image: [Instance(2, 0.95, square)])
    found = predict(Segmenter(network, (0, 7, 9), ("a", "b", "c"), 32), sample, flip=True)
    assert found.members.shape == (2, 3, 12, 16)
    assert found.objects is not None
    (one,) = found.objects
    assert one.mask.shape == (48, 64)
    assert (one.position, one.score) == (2, 0.95)
    assert set(np.unique(found.label_map)) == {0, 9}


def test_as_many_objects_may_be_found_as_boxes_are_looked_at(network: InstanceSegmenter) -> None:
    heads = network.net.roi_heads
    boxes = [torch.tensor([[10.0 * (place % 16), 10.0 * (place // 16), 9, 9] for place in range(240)])]
    boxes[0][:, 2:] += boxes[0][:, :2]
    sure = torch.tensor([[0.0, 5.0, 0.0]] * 240)
    found, _, _ = heads.postprocess_detections(sure, torch.zeros(240, 12), boxes, [(160, 160)])
    assert len(found[0]) == 240


@pytest.mark.slow
def test_it_takes_steps_and_finds_something(tmp_path: Path) -> None:
    samples = blob_samples(tmp_path, [1, 2, 3])
    _, looks = train_segmenter(samples, samples[:1], RECIPE)
    assert np.isfinite(looks[-1].loss)
    assert looks[-1].validation_miou is not None


@pytest.mark.slow
def test_mixup_is_refused(tmp_path: Path) -> None:
    mixed = replace(RECIPE, augmentation=Augmentation(32, 1.0, replace(PLAIN, mixup=1.0)))
    with pytest.raises(InputError, match="learns objects, which mixup makes none of"):
        train_segmenter(blob_samples(tmp_path, [1, 2]), [], mixed)


def test_a_little_mixup_is_refused_before_the_first_step(network: InstanceSegmenter) -> None:
    rare = replace(RECIPE, augmentation=Augmentation(32, 1.0, replace(PLAIN, mixup=0.02)))
    with pytest.raises(InputError, match="mixup makes none of"):
        check_recipe(network, rare)
    with pytest.raises(InputError, match="learns in one process"):
        check_recipe(network, replace(RECIPE, schedule=replace(RECIPE.schedule, batch_size=4)), processes=2)
    check_recipe(network, RECIPE)


@pytest.mark.slow
@pytest.mark.parametrize("training", [False, True])
def test_an_image_is_seen_as_it_comes(training: bool) -> None:
    """Padded to multiples of 32, at which its deepest layer works, and not enlarged."""
    made = new_network(SIZE, 0, [])
    assert isinstance(made, InstanceSegmenter)
    seen, _ = made.net.transform.train(training)([torch.rand(3, 48, 64)])
    assert tuple(seen.tensors.shape) == (1, 3, 64, 64)
    assert seen.image_sizes == [(48, 64)]
