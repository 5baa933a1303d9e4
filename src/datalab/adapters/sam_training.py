"""What a SAM is taught: masks from boxes and clicks, the best of three, and how good each is."""

import torch
from segment_anything.modeling import Sam
from torch import Tensor
from torch.nn import functional

BOX, CLICK, CLICKS = 0, 1, 2
"""Kinds of prompts: a box, one click, several clicks."""
OTHERS = 0.05
"""Weight of the masks that were not the best of three: with none, one of the three learns and the others stay blank."""


def prompted_masks(
    sam: Sam, embeddings: Tensor, boxes: Tensor, points: Tensor, inside: Tensor, kinds: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Mask logits (B * P, 4, 4h, 4w), predicted IoU (B * P, 4), and which of the B * P prompts each row answers.

    `embeddings` (B, C, h, w), and P prompts on each: `boxes` (B, P, 4) as x0, y0, x1, y1 and `points` (B, P, n, 2) as
    x, y in pixels of SAM's square, `inside` (B, P, n) 1 where a point lies in the object, else 0, and `kinds` (B, P),
    which says whether the box, the first point or all of them are shown. Mask 0 is the single-mask answer.
    """
    images = torch.arange(len(embeddings), device=embeddings.device).repeat_interleave(kinds.shape[1])
    boxes, points, inside, kinds = (one.flatten(0, 1) for one in (boxes, points, inside, kinds))
    answers = []
    for kind in (BOX, CLICK, CLICKS):
        rows = torch.nonzero(kinds == kind).flatten()
        if len(rows) == 0:
            continue
        # in full precision: half of it blurs places
        with torch.autocast(embeddings.device.type, enabled=False):
            sparse, dense = _encode(sam, boxes[rows], points[rows], inside[rows], kind)
        answers.append((*_decode(sam, embeddings[images[rows]], sparse, dense), rows))
    logits, quality, answered = (torch.cat(parts) for parts in zip(*answers, strict=True))
    return logits, quality, answered


def mask_loss(
    logits: Tensor, quality: Tensor, targets: Tensor, kinds: Tensor, whole: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The loss, and the IoU (N,) of the best of three.

    `logits` (N, 4, h, w) and `quality` (N, 4) of the prompts' `kinds` (N,); `targets` (N, H, W): the true masks.
    `whole`: kinds (M,) of all prompts of a batch of which these are a part; the losses of its parts sum to the batch's.
    """
    batch = kinds if whole is None else whole
    share = len(kinds) / len(batch)
    truth = functional.interpolate(targets[:, None].float(), logits.shape[-2:], mode="area")
    # the paper's focal loss (weight 20) left a network this young with empty masks; plain cross-entropy does not
    each = _cross_entropy(logits, truth) + _dice(logits, truth)
    best = each[:, 1:].min(dim=1).values.mean() + OTHERS * each[:, 1:].mean()
    # one click leaves open which object is meant; only of other prompts has the single mask a right answer
    plain = (kinds != CLICK).float()
    single = (each[:, 0] * plain).sum() / (batch != CLICK).float().sum().clamp(min=1)
    iou = _iou(logits, truth)
    return share * best + single + share * functional.mse_loss(quality, iou), iou[:, 1:].max(dim=1).values


def _encode(sam: Sam, boxes: Tensor, points: Tensor, inside: Tensor, kind: int) -> tuple[Tensor, Tensor]:
    if kind == BOX:
        encoded = sam.prompt_encoder(points=None, boxes=boxes, masks=None)
    else:
        used = 1 if kind == CLICK else points.shape[1]
        encoded = sam.prompt_encoder(points=(points[:, :used], inside[:, :used]), boxes=None, masks=None)
    sparse, dense = encoded
    return sparse, dense


def _decode(sam: Sam, embeddings: Tensor, sparse: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
    """`MaskDecoder.predict_masks` for prompts each of which has an image of its own: `embeddings` (N, C, h, w)."""
    decoder = sam.mask_decoder
    own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([own.expand(len(sparse), -1, -1), sparse], dim=1)
    places = sam.prompt_encoder.get_dense_pe().expand(len(sparse), -1, -1, -1)
    tokens, image = decoder.transformer(embeddings + dense, places, tokens)
    upscaled = decoder.output_upscaling(image.transpose(1, 2).reshape(embeddings.shape))
    hyper = torch.stack([net(tokens[:, 1 + k]) for k, net in enumerate(decoder.output_hypernetworks_mlps)], dim=1)
    masks = (hyper @ upscaled.flatten(2)).unflatten(2, upscaled.shape[2:])
    return masks.float(), decoder.iou_prediction_head(tokens[:, 0]).float()


def _cross_entropy(logits: Tensor, truth: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, truth.expand_as(logits), reduction="none").mean((-2, -1))


def _dice(logits: Tensor, truth: Tensor) -> Tensor:
    inside = logits.sigmoid()
    both = (inside * truth).sum((-2, -1))
    return 1 - (2 * both + 1) / (inside.sum((-2, -1)) + truth.sum((-2, -1)) + 1)


@torch.no_grad()
def _iou(logits: Tensor, truth: Tensor) -> Tensor:
    inside, target = logits > 0, truth >= 0.5
    return (inside & target).sum((-2, -1)) / (inside | target).sum((-2, -1)).clamp(min=1)
