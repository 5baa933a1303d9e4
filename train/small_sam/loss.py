"""What the small SAM is trained to do: masks from a point or a box, the best of three, and how good each is."""

import torch
from segment_anything.modeling import Sam
from torch.nn import functional as F


def prompted_masks(
    sam: Sam, embeddings: torch.Tensor, points: torch.Tensor, boxes: torch.Tensor, use_box: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mask logits (B*P, 4, 64, 64) and predicted IoU (B*P, 4); mask 0 is the single-mask answer.

    `embeddings` (B, C, 16, 16), `points` (B, P, 2), `boxes` (B, P, 4) in pixels x y of the 256 picture,
    `use_box` (B, P) says which of the two a prompt is.
    """
    logits, qualities = [], []
    for embedding, some_points, some_boxes, by_box in zip(embeddings, points, boxes, use_box, strict=True):
        for chosen, kind in ((~by_box, "point"), (by_box, "box")):
            if chosen.any():
                sparse, dense = _encode(sam, some_points[chosen], some_boxes[chosen], kind)
                masks, quality = sam.mask_decoder.predict_masks(
                    image_embeddings=embedding[None],
                    image_pe=sam.prompt_encoder.get_dense_pe(),
                    sparse_prompt_embeddings=sparse,
                    dense_prompt_embeddings=dense,
                )
                logits.append(masks)
                qualities.append(quality)
    return torch.cat(logits), torch.cat(qualities)


def in_decoder_order(targets: torch.Tensor, use_box: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """`targets` (B, P, H, W) and `use_box` (B, P) in the order in which `prompted_masks` gives its rows."""
    order = [torch.cat([torch.nonzero(~row)[:, 0], torch.nonzero(row)[:, 0]]) for row in use_box]
    return (
        torch.cat([target[places] for target, places in zip(targets, order, strict=True)]),
        torch.cat([row[places] for row, places in zip(use_box, order, strict=True)]),
    )


def mask_loss(
    logits: torch.Tensor, quality: torch.Tensor, targets: torch.Tensor, by_box: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss and the mean IoU of the best of three. `targets` (N, 256, 256) booleans, `by_box` (N,)."""
    truth = F.interpolate(targets[:, None].float(), logits.shape[-2:], mode="area")
    # the paper's focal loss (weight 20) left a network this young with empty masks; plain cross-entropy does not
    each = _cross_entropy(logits, truth) + _dice(logits, truth)
    best = each[:, 1:].min(dim=1)
    # a box leaves no doubt which object is meant, so only there the single-mask answer has a right one
    single = (each[:, 0] * by_box).sum() / by_box.sum().clamp(min=1)
    iou = _iou(logits, truth)
    total = best.values.mean() + single + F.mse_loss(quality.float(), iou)
    return total, iou[:, 1:].max(dim=1).values.mean()


def _encode(sam: Sam, points: torch.Tensor, boxes: torch.Tensor, kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    if kind == "point":
        labels = torch.ones(len(points), 1, dtype=torch.int64)
        encoded = sam.prompt_encoder(points=(points[:, None], labels), boxes=None, masks=None)
    else:
        encoded = sam.prompt_encoder(points=None, boxes=boxes, masks=None)
    sparse, dense = encoded
    return sparse, dense


def _cross_entropy(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(logits.float(), truth.expand_as(logits), reduction="none").mean((-2, -1))


def _dice(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    inside = logits.float().sigmoid()
    both = (inside * truth).sum((-2, -1))
    return 1 - (2 * both + 1) / (inside.sum((-2, -1)) + truth.sum((-2, -1)) + 1)


@torch.no_grad()
def _iou(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    inside, target = logits > 0, truth >= 0.5
    return (inside & target).sum((-2, -1)) / (inside | target).sum((-2, -1)).clamp(min=1)
