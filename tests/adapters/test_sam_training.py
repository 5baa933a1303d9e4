"""Against the official decoder, and losses of masks typed by hand."""

import pytest
import torch
from segment_anything.modeling import Sam

from datalab.adapters.sam import load_sam
from datalab.adapters.sam_training import BOX, CLICK, CLICKS, mask_loss, prompted_masks


@pytest.fixture(scope="module")
def sam() -> Sam:
    return load_sam("small").requires_grad_(False)


def test_prompts_on_several_images_are_answered_as_the_official_decoder_answers_each(sam: Sam) -> None:
    torch.manual_seed(3)
    embeddings = torch.randn(2, 128, 16, 16)
    boxes = torch.tensor([[[10.0, 20, 90, 100]] * 3, [[0.0, 0, 256, 256]] * 3])
    points, inside = torch.rand(2, 3, 3, 2) * 256, torch.tensor([[[1, 0, 1]] * 3] * 2)
    kinds = torch.tensor([[BOX, CLICK, CLICKS], [CLICK, BOX, CLICKS]])
    logits, quality, rows = prompted_masks(sam, embeddings, boxes, points, inside, kinds)
    assert sorted(rows.tolist()) == list(range(6))
    for row, masks, scores in zip(rows.tolist(), logits, quality, strict=True):
        image, place = divmod(row, 3)
        shown = {BOX: 0, CLICK: 1, CLICKS: 3}[int(kinds[image, place])]
        clicks = (points[image, place, :shown][None], inside[image, place, :shown][None])
        sparse, dense = sam.prompt_encoder(
            points=clicks if shown else None, boxes=None if shown else boxes[image, place][None], masks=None
        )
        expected, iou = sam.mask_decoder.predict_masks(
            image_embeddings=embeddings[image][None],
            image_pe=sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
        )
        torch.testing.assert_close(masks, expected[0], atol=1e-3, rtol=1e-4)
        torch.testing.assert_close(scores, iou[0], atol=1e-4, rtol=1e-4)


TRUTH = torch.zeros(1, 4, 4, dtype=torch.bool)
TRUTH[:, :2] = True
RIGHT, WRONG = torch.where(TRUTH, 20.0, -20.0), torch.where(TRUTH, -20.0, 20.0)


def loss_of(masks: list[torch.Tensor], quality: list[float], kind: int) -> tuple[float, float]:
    logits = torch.stack(masks, dim=1)
    loss, iou = mask_loss(logits, torch.tensor([quality]), TRUTH, torch.tensor([kind]))
    return float(loss), float(iou)


def test_the_best_of_three_counts_and_the_single_mask_only_where_it_can_be_right() -> None:
    masks = [WRONG, WRONG, RIGHT, WRONG]
    of_click, iou = loss_of(masks, [0, 0, 1, 0], CLICK)
    of_box, _ = loss_of(masks, [0, 0, 1, 0], BOX)
    assert iou == 1
    # two blank others, each with cross-entropy 20 and dice 1 - 1 / 17, count a twentieth of a third
    assert of_click == pytest.approx(0.05 * 2 / 3 * (20 + 16 / 17), rel=1e-3)
    assert of_box == pytest.approx(of_click + 20 + 16 / 17, rel=1e-3)


def test_a_wrong_predicted_iou_costs_its_square() -> None:
    masks = [RIGHT, RIGHT, RIGHT, RIGHT]
    right, _ = loss_of(masks, [1, 1, 1, 1], BOX)
    off, _ = loss_of(masks, [1, 1, 1, 0.5], BOX)
    assert right == pytest.approx(0, abs=1e-6)
    assert off == pytest.approx(0.25 / 4, rel=1e-3)
