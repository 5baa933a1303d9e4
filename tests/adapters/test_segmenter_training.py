from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from datalab.adapters.segmenter import Segmenter, predict
from datalab.adapters.segmenter_decoder import EmbeddingDecoder
from datalab.adapters.segmenter_loss import class_weights, segmentation_loss
from datalab.adapters.segmenter_network import NetworkSize
from datalab.adapters.segmenter_training import Best, Look, train_segmenter
from datalab.errors import InputError, StateError
from datalab.learning.metrics import confusion_matrix, iou_per_class
from tests.adapters.blobs import AUGMENTATION, SCHEDULE, blob_image, blob_samples

SIZE = NetworkSize(channels=6, classes=3, width=16, members=3)


@pytest.mark.slow
def test_an_easy_world_is_learned(tmp_path: Path) -> None:
    train, validation, test = (blob_samples(tmp_path, seeds) for seeds in (range(16), range(16, 20), range(20, 28)))
    network, looks = train_segmenter(train, validation, SIZE, SCHEDULE, AUGMENTATION, seed=0)
    assert looks[-1].loss < looks[0].loss
    segmenter = Segmenter(network, (0, 1, 2), ("background", "disc", "square"), 64)
    pooled = sum(
        confusion_matrix(blob_image(seed, 48, 64)[1], predict(segmenter, sample, flip=True).label_map, 3)
        for seed, sample in zip(range(20, 28), test, strict=True)
    )
    assert (iou_per_class(np.asarray(pooled)) > 0.8).all()


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    samples, short = blob_samples(tmp_path, range(4)), replace(SCHEDULE, steps=4, validate_every=2)
    torch.manual_seed(1)
    one, _ = train_segmenter(samples, samples[:2], SIZE, short, AUGMENTATION, seed=0)
    torch.manual_seed(2)
    same, _ = train_segmenter(samples, samples[:2], SIZE, short, AUGMENTATION, seed=0)
    other, _ = train_segmenter(samples, samples[:2], SIZE, short, AUGMENTATION, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), same.state_dict().values(), strict=True))
    assert not torch.equal(next(one.parameters()), next(other.parameters()))
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("classes", [1, 2, 21])
def test_any_number_of_classes_trains(tmp_path: Path, classes: int) -> None:
    samples, short = blob_samples(tmp_path, [0, 4]), replace(SCHEDULE, steps=2)
    size = replace(SIZE, classes=classes)
    network, looks = train_segmenter(samples, [], size, short, AUGMENTATION, seed=0)
    assert looks[-1].validation_miou is None
    assert np.isfinite(looks[-1].loss)
    assert network.size.classes == classes


def test_a_loss_that_is_not_finite_stops_and_names_the_step(tmp_path: Path) -> None:
    samples = blob_samples(tmp_path, range(4))
    with pytest.raises(StateError, match=r"stopped at step \d+: the loss is nan; lower train.learning_rate"):
        train_segmenter(samples, [], SIZE, replace(SCHEDULE, learning_rate=1e30), AUGMENTATION, seed=0)


def test_the_best_weights_come_back_and_patience_runs_out() -> None:
    network = EmbeddingDecoder(SIZE)
    best = Best(network)
    enough = []
    for step, miou in enumerate((0.2, 0.5, 0.5, 0.4, 0.3)):
        torch.nn.init.constant_(network.mean, step)
        enough.append(best.is_enough(Look(step, 1.0, miou), patience=2))
    assert enough == [False, False, False, False, True]
    best.restore()
    assert float(network.mean.mean()) == 2


def test_nothing_to_train_on_is_one_line() -> None:
    with pytest.raises(InputError, match="no training image"):
        train_segmenter([], [], SIZE, SCHEDULE, AUGMENTATION, seed=0)


def test_the_loss_is_nearly_nothing_for_the_truth_and_ignores_what_is_not_judged() -> None:
    labels = torch.tensor([[[0, 1], [2, 255]]])
    sure = torch.full((1, 2, 3, 2, 2), -20.0)
    for row, column, label in ((0, 0, 0), (0, 1, 1), (1, 0, 2)):
        sure[:, :, label, row, column] = 20.0
    ones, trust = torch.ones(3), torch.ones(1, 2)
    assert float(segmentation_loss(sure, labels, ones, trust)) < 1e-3
    changed = sure.clone()
    changed[..., 1, 1] = torch.tensor([5.0, -3.0, 1.0])
    assert float(segmentation_loss(changed, labels, ones, trust)) < 1e-3
    assert float(segmentation_loss(-sure, labels, ones, trust)) > 5


def test_class_weights_raise_the_rare_and_average_to_one(tmp_path: Path) -> None:
    samples = blob_samples(tmp_path, range(1, 4))
    weights = class_weights(samples, 4, imbalance=0.5).numpy()
    counts = sum(np.bincount(sample.labels.ravel(), minlength=4) for sample in samples if sample.labels is not None)
    assert weights[0] < weights[1]
    assert weights[3] == pytest.approx(weights[1:3].max(), rel=1e-5)
    share = np.maximum(counts, np.asarray(counts)[:3].min())
    assert float((weights * share).sum() / share.sum()) == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(class_weights(samples, 3, imbalance=0.0), 1)
