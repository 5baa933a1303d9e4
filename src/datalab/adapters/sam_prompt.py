"""One object out of an image embedding, from clicks or a box: the decoder's part of SAM, milliseconds a prompt."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from segment_anything.modeling import Sam

from datalab.adapters.embedding_cache import Embedding
from datalab.adapters.mask_generator import empty_predictor
from datalab.adapters.sam_zoom import zooms_in
from datalab.masks import BoolMask

Logits = npt.NDArray[np.float32]
Point = tuple[float, float, bool]
"""x, y in pixels of the image, and whether the object lies there."""


@dataclass(frozen=True)
class Prompt:
    """What was pointed at: points of one object, or the box (left, top, right, bottom) about it, in pixels."""

    points: tuple[Point, ...] = ()
    box: tuple[float, float, float, float] | None = None


def mask_at(sam: Sam, embedding: Embedding, height: int, width: int, prompt: Prompt) -> tuple[BoolMask, float]:
    """Mask (height, width) of the object and the IoU in [0, 1] that SAM predicts for it; nothing is encoded.

    `embedding`: (C, h, w) of this image. A box gives SAM's single mask. Points give the one of its three masks that
    agrees with most of the points, the better predicted one of equals: which of them was meant is what later clicks
    tell. The small SAM gives its single mask for points too, which was closer on four of five sets of images. The mask
    may be empty.
    """
    transform = empty_predictor(sam).transform
    size = (height, width)
    with torch.inference_mode():
        features = torch.from_numpy(np.asarray(embedding, dtype=np.float32))[None].to(sam.device)
        points, boxes = None, None
        if prompt.points:
            places = transform.apply_coords(np.array([point[:2] for point in prompt.points]), size)
            inside = [[int(point[2]) for point in prompt.points]]
            points = (_tensor(places[None], sam), torch.tensor(inside, device=sam.device))
        if prompt.box is not None:
            boxes = _tensor(transform.apply_boxes(np.array([prompt.box]), size), sam)
        sparse, dense = sam.prompt_encoder(points=points, boxes=boxes, masks=None)
        logits, quality = sam.mask_decoder(
            image_embeddings=features,
            image_pe=sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=prompt.box is None and not zooms_in(sam),
        )
        agreeing = np.zeros(logits.shape[1]) if points is None else _agreeing(sam, logits[0], points)
        predicted = quality[0].float().cpu().numpy()
        best = int(np.lexsort((predicted, agreeing))[-1])
        # from here on only this one is worked on: scaling is most of the time of a click on a large photograph
        low = logits[0, best].float().cpu().numpy() - sam.mask_threshold
    side = sam.image_encoder.img_size
    used = transform.get_preprocess_shape(height, width, side)
    return _scaled(_without_crumbs(low, prompt.points, max(size)), side, used, size), float(
        np.clip(predicted[best], 0, 1)
    )


def _tensor(values: npt.NDArray[np.float64], sam: Sam) -> torch.Tensor:
    return torch.as_tensor(values, dtype=torch.float32, device=sam.device)


def _agreeing(sam: Sam, logits: torch.Tensor, points: tuple[torch.Tensor, torch.Tensor]) -> npt.NDArray[np.int64]:
    """How many points lie where each of the masks (K, h, w) says they do."""
    cells = (points[0][0] * logits.shape[-1] / sam.image_encoder.img_size).long().clamp(0, logits.shape[-1] - 1)
    inside = logits[:, cells[:, 1], cells[:, 0]] > sam.mask_threshold
    agreeing: npt.NDArray[np.int64] = (inside == (points[1] == 1)).sum(dim=1).cpu().numpy()
    return agreeing


def _without_crumbs(low: Logits, points: tuple[Point, ...], longest: int) -> Logits:
    """`low` (h, w) without the parts below a tenth of the largest; what was clicked on is no crumb, however small."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats((low > 0).astype(np.uint8), connectivity=8)
    if count <= 2:
        return low
    areas = stats[:, cv2.CC_STAT_AREA]
    kept = areas >= 0.1 * areas[1:].max()
    for x, y, inside in points:
        row, column = (min(int(value * low.shape[0] / longest), low.shape[0] - 1) for value in (y, x))
        kept[parts[row, column]] |= inside
    return np.where(kept[parts], low, np.minimum(low, -1))


def _scaled(low: Logits, side: int, used: tuple[int, int], size: tuple[int, int]) -> BoolMask:
    """Logits (h, w) of SAM's square at an image's size and cut at 0: `Sam.postprocess_masks`, three times as fast."""
    square = cv2.resize(low, (side, side), interpolation=cv2.INTER_LINEAR)
    inside: BoolMask = cv2.resize(square[: used[0], : used[1]], size[::-1], interpolation=cv2.INTER_LINEAR) > 0
    return inside
