"""Losses by name, against numbers worked out by hand and torchvision's focal loss."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from datalab.adapters.segmenter_loss import LOSSES, check_loss, class_weights, segmentation_loss
from datalab.adapters.segmenter_samples import Sample
from datalab.errors import InputError
from tests.adapters.blobs import blob_samples

ONES, TRUST = torch.ones(3), torch.ones(1, 2)


def sure_of(labels: Tensor, classes: int = 3, members: int = 2) -> Tensor:
    """Logits that say the truth, 255 being taken for class 0."""
    known = torch.where(labels == 255, 0, labels)
    one_hot = torch.nn.functional.one_hot(known, classes).permute(0, 3, 1, 2).float()
    return (40 * one_hot - 20)[:, None].repeat(1, members, 1, 1, 1)


@pytest.mark.parametrize("name", LOSSES)
def test_the_truth_costs_nearly_nothing_and_what_is_not_judged_does_not_count(name: str) -> None:
    labels = torch.tensor([[[0, 1], [2, 255]]])
    sure = sure_of(labels)
    assert float(segmentation_loss(sure, labels, ONES, TRUST, name)) < 1e-3
    changed = sure.clone()
    changed[..., 1, 1] = torch.tensor([5.0, -3.0, 1.0])
    assert float(segmentation_loss(changed, labels, ONES, TRUST, name)) < 1e-3
    assert float(segmentation_loss(-sure, labels, ONES, TRUST, name)) > 0.5


def test_cross_entropy_by_hand() -> None:
    """Probabilities 1/2 and 1/4 of the true classes, weights 1 and 3: (log 2 + 3 log 4) / 4."""
    logits = torch.log(torch.tensor([[0.5, 0.25], [0.25, 0.25], [0.25, 0.5]])).reshape(1, 1, 3, 1, 2)
    labels = torch.tensor([[[0, 1]]])
    loss = segmentation_loss(logits, labels, torch.tensor([1.0, 3, 9]), torch.ones(1, 1), "cross_entropy")
    assert float(loss) == pytest.approx((np.log(2) + 3 * np.log(4)) / 4, rel=1e-5)


def test_focal_loss_of_two_classes_is_torchvisions() -> None:
    torch.manual_seed(0)
    margin, labels = torch.randn(2, 5, 7), torch.randint(0, 2, (2, 5, 7))
    logits = torch.stack([torch.zeros_like(margin), margin], dim=1)[:, None]
    expected = sigmoid_focal_loss(margin, labels.float(), alpha=-1, gamma=2.0, reduction="mean")
    loss = segmentation_loss(logits, labels, torch.ones(2), torch.ones(2, 1), "focal")
    torch.testing.assert_close(loss, expected)


def test_dice_by_hand() -> None:
    """Two pixels of class 1, of which one is found and one of class 0 is taken for it; smoothed by 1."""
    labels = torch.tensor([[[0, 0], [1, 1]]])
    found = sure_of(torch.tensor([[[0, 1], [1, 0]]]), classes=2, members=1)
    loss = segmentation_loss(found, labels, torch.ones(2), torch.ones(1, 1), "dice")
    assert float(loss) == pytest.approx(1 - (2 * 1 + 1) / (2 + 2 + 1), abs=1e-5)


def test_parts_add_up() -> None:
    torch.manual_seed(1)
    logits, labels = torch.randn(2, 2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    asked = (logits, labels, torch.tensor([0.5, 1.0, 2.0]), torch.rand(2, 2) + 0.5)
    for pixel in ("cross_entropy", "focal"):
        parts = sum(segmentation_loss(*asked, name) for name in (pixel, "dice"))
        torch.testing.assert_close(segmentation_loss(*asked, f"{pixel}+dice"), parts)


@pytest.mark.parametrize("name", LOSSES)
def test_an_image_laid_over_another_counts_by_its_share(name: str) -> None:
    """With nothing of the second labels the loss is that of the first, and the other way round."""
    torch.manual_seed(2)
    logits, first, second = torch.randn(1, 2, 3, 4, 4), torch.randint(0, 3, (1, 4, 4)), torch.randint(0, 3, (1, 4, 4))
    both = (logits.repeat(2, 1, 1, 1, 1), torch.cat([first, second]), ONES, TRUST.repeat(2, 1), name)
    for share, alone in ((torch.tensor([1.0, 0.0]), first), (torch.tensor([0.0, 1.0]), second)):
        torch.testing.assert_close(
            segmentation_loss(*both, share=share), segmentation_loss(logits, alone, ONES, TRUST, name)
        )


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_finite_where_all_is_right_and_where_nothing_is_judged(name: str) -> None:
    for labels in (torch.tensor([[[0, 1], [2, 2]]]), torch.full((1, 2, 2), 255)):
        logits = (100 * sure_of(labels)).requires_grad_()
        loss = segmentation_loss(logits, labels, ONES, TRUST, name)
        torch.autograd.backward(loss)
        assert torch.isfinite(loss)
        assert logits.grad is not None
        assert torch.isfinite(logits.grad).all()


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(
        InputError, match=r"train.loss is 'hinge'; known: cross_entropy, focal, dice, cross_entropy\+dice"
    ):
        check_loss("hinge")


def test_class_weights_raise_the_rare_and_average_to_one(tmp_path: Path) -> None:
    samples = blob_samples(tmp_path, range(1, 4))
    weights = class_weights(samples, 4, imbalance=0.5).numpy()
    counts = sum(np.bincount(sample.labels.ravel(), minlength=4) for sample in samples if sample.labels is not None)
    assert weights[0] < weights[1]
    assert weights[3] == pytest.approx(weights[1:3].max(), rel=1e-5)
    share = np.maximum(counts, np.asarray(counts)[:3].min())
    assert float((weights * share).sum() / share.sum()) == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(class_weights(samples, 3, imbalance=0.0), 1)


def test_what_is_drawn_more_often_is_less_rare() -> None:
    def flat(*counts: int) -> Sample:
        labels = np.repeat(np.arange(len(counts), dtype=np.uint8), counts)[None]
        return Sample(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1, 1), np.float16), labels, (1, 1))

    samples, chances = [flat(100, 0), flat(0, 100), flat(100, 0)], np.array([0.25, 0.5, 0.25])
    np.testing.assert_allclose(class_weights(samples, 2, 0.5, chances), 1)
    assert class_weights(samples, 2, 0.5)[1] > class_weights(samples, 2, 0.5)[0]
