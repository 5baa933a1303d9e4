"""Masks for everything in an image: a grid of points, decoded in batches, filtered while the masks are still small.

The same masks as segment_anything's SamAutomaticMaskGenerator with the same thresholds. It is quicker because the
decoder makes shared products once (`sam_decoder`), because a prompt whose masks are not good enough never gets any, and
because masks are enlarged one by one, only where they lie (`mask_windows`): no stack of full-size masks is ever made.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from segment_anything import SamPredictor
from segment_anything.modeling import Sam
from segment_anything.utils.amg import build_point_grid, generate_crop_boxes, is_box_near_crop_edge
from segment_anything.utils.transforms import ResizeLongestSide
from torchvision.ops import box_area, nms

from datalab.adapters.mask_windows import Enlarger, Outline, outline_to_rle
from datalab.adapters.sam_decoder import PointDecoder
from datalab.adapters.sam_encoder import precision_for

LOGGER = logging.getLogger(__name__)
PLACES_PER_BATCH = {"cpu": 1 << 14, "cuda": 1 << 18}
"""Prompts of a batch times places of the image: on a CPU what its caches hold (16 times as much took twice as long),
on a GPU 64 prompts of the official models, with hundreds of MB of tensors."""
BOXES_PER_BATCH = 16
STABILITY_OFFSET = 1.0
SAME_BOX_IOU = 0.7
"""Of two boxes that overlap more the one with the lower predicted IoU goes; the value of SAM's authors."""
TILE_OVERLAP = 512 / 1500
COARSE_MARGIN = 0.1
"""Stability counted on small logits is off by less than this where the mask has COARSE_CELLS; then it may decide."""
COARSE_CELLS = 100

Pixels = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class GeneratorParams:
    """What to look for."""

    points_per_side: int
    min_predicted_iou: float
    min_stability: float
    tile_layers: int
    """0: the whole image; 1: also its four quarters, overlapping; 2: also sixteen parts."""


@dataclass(frozen=True)
class FoundMask:
    """A mask of the image's size."""

    rle: str
    """COCO compressed RLE."""
    box: Box
    """x0, y0, x1, y1 of the outermost pixels, the ends included."""
    area: int
    predicted_iou: float
    stability: float


@dataclass(frozen=True)
class _Candidate:
    outline: Outline
    predicted_iou: float


def generate_masks(
    sam: Sam, pixels: Pixels, params: GeneratorParams, encoded: SamPredictor | None = None
) -> list[FoundMask]:
    """Masks of a (H, W, 3) uint8 RGB image; of masks with nearly the same box the best one, by predicted IoU.

    `encoded`: a predictor that has this image already, which spares encoding it again.
    """
    height, width = pixels.shape[:2]
    tiles, layers = generate_crop_boxes((height, width), params.tile_layers, TILE_OVERLAP)
    found: list[FoundMask] = []
    areas: list[float] = []
    with torch.inference_mode():
        for tile, layer in zip(tiles, layers, strict=True):
            x0, y0, x1, y1 = tile
            if x1 <= x0 or y1 <= y0:
                continue  # an image of a pixel or two has no quarters
            whole = encoded if encoded is not None and layer == 0 else encode(sam, pixels[y0:y1, x0:x1])
            kept = _of_tile(whole, (x0, y0, x1, y1), (height, width), params)
            found += kept
            areas += [float(box_area(torch.tensor([tile]))[0])] * len(kept)
        if len(tiles) > 1 and found:
            # the smaller tile saw it larger
            boxes = torch.tensor([one.box for one in found], dtype=torch.float)
            found = [found[place] for place in nms(boxes, 1 / torch.tensor(areas), SAME_BOX_IOU).tolist()]
    return found


def masks_in_boxes(
    encoded: SamPredictor, boxes: npt.NDArray[np.float64], tile: Box | None = None, size: tuple[int, int] | None = None
) -> list[FoundMask]:
    """One mask for each of (n, 4) boxes x0, y0, x1, y1 in the pixels that were encoded; may be empty.

    Where only a `tile` (x0, y0, x1, y1) of an image of `size` (height, width) was encoded, the masks have that size.
    """
    height, width = encoded.original_size
    tile, size = tile or (0, 0, width, height), size or (height, width)
    side, found = encoded.model.image_encoder.img_size, []
    with torch.inference_mode():
        asked = torch.as_tensor(encoded.transform.apply_boxes(boxes, (height, width)), device=encoded.device)
        for batch in torch.split(asked.float(), BOXES_PER_BATCH):
            sparse, dense = encoded.model.prompt_encoder(points=None, boxes=batch, masks=None)
            logits, scores = encoded.model.mask_decoder(
                image_embeddings=encoded.features,
                image_pe=encoded.model.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=False,
            )
            enlarger = Enlarger(tuple(logits.shape[2:]), side, encoded.input_size, (height, width))
            for small, score in zip(logits[:, 0].cpu().numpy(), scores[:, 0].tolist(), strict=True):
                outline = enlarger.outline(small, encoded.model.mask_threshold, STABILITY_OFFSET)
                found.append(_found(_Candidate(outline, score), tile, *size))
    return found


def encode(sam: Sam, pixels: Pixels) -> SamPredictor:
    """A predictor that holds the embedding of a (H, W, 3) uint8 RGB image."""
    predictor = empty_predictor(sam)
    predictor.set_image(np.ascontiguousarray(pixels))
    return predictor


def empty_predictor(sam: Sam) -> SamPredictor:
    """A predictor without an image, for images of any proportions."""
    predictor = SamPredictor(sam)
    predictor.transform = _AtLeastOnePixel(sam.image_encoder.img_size)
    return predictor


class _AtLeastOnePixel(ResizeLongestSide):  # type: ignore[misc]  # the vendor's class has no types
    """Of an image more than 512 times as wide as high, or as high as wide, the vendor's own leaves no pixel."""

    @staticmethod
    def get_preprocess_shape(oldh: int, oldw: int, long_side_length: int) -> tuple[int, int]:
        """(height, width) of the image in SAM's input."""
        height, width = ResizeLongestSide.get_preprocess_shape(oldh, oldw, long_side_length)
        return max(1, height), max(1, width)


def _of_tile(encoded: SamPredictor, tile: Box, size: tuple[int, int], params: GeneratorParams) -> list[FoundMask]:
    height, width = size
    candidates = list(_candidates(encoded, params))
    if not candidates:
        return []
    boxes = torch.tensor([one.outline.box for one in candidates])
    inner = ~is_box_near_crop_edge(boxes, list(tile), [0, 0, width, height])
    scores = torch.tensor([one.predicted_iou for one in candidates])
    inside = torch.nonzero(inner).flatten()
    kept = inside[nms(boxes[inside].float(), scores[inside], SAME_BOX_IOU)]
    return [_found(candidates[place], tile, height, width) for place in kept.tolist()]


def _found(candidate: _Candidate, tile: Box, height: int, width: int) -> FoundMask:
    outline, (x, y, _, _) = candidate.outline, tile
    return FoundMask(
        rle=outline_to_rle(outline, tile, height, width),
        box=(outline.box[0] + x, outline.box[1] + y, outline.box[2] + x, outline.box[3] + y),
        area=outline.area,
        predicted_iou=candidate.predicted_iou,
        stability=outline.stability,
    )


def _candidates(predictor: SamPredictor, params: GeneratorParams) -> Iterator[_Candidate]:
    """Every mask of the grid's points that is good enough, as an outline in the pixels that were encoded."""
    sam, (height, width) = predictor.model, predictor.original_size
    # on a CPU half the precision would save a seventh of the time
    precision = precision_for(predictor.device) if predictor.device.type == "cuda" else torch.float32
    decoder = PointDecoder(sam, predictor.features, precision)
    grid = build_point_grid(params.points_per_side) * np.array([width, height])
    points = torch.as_tensor(predictor.transform.apply_coords(grid, (height, width)), device=predictor.device)
    side = sam.image_encoder.img_size
    cells = (4 * decoder.grid[0], 4 * decoder.grid[1])
    enlarger = Enlarger(cells, side, predictor.input_size, (height, width))
    used = (-(-predictor.input_size[0] * cells[0] // side), -(-predictor.input_size[1] * cells[1] // side))
    size, start = max(1, PLACES_PER_BATCH[predictor.device.type] // (decoder.grid[0] * decoder.grid[1])), 0
    while start < len(points):
        try:
            good = _good_logits(decoder, points[start : start + size], used, params)
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            size //= 2
            LOGGER.warning("the GPU's memory is full: going on with %d prompts at a time", size)
            continue
        start += size
        for logits, score in good:
            outline = enlarger.outline(logits, sam.mask_threshold, STABILITY_OFFSET)
            if outline.stability >= params.min_stability:
                yield _Candidate(outline, score)


def _good_logits(
    decoder: PointDecoder, points: torch.Tensor, used: tuple[int, int], params: GeneratorParams
) -> list[tuple[npt.NDArray[np.float32], float]]:
    """(4h, 4w) logits and predicted IoU of the masks of `points` worth enlarging; `used`: cells that are no padding."""
    decoded = decoder.decode(points)
    good = decoded.predicted_iou > params.min_predicted_iou
    prompts = torch.nonzero(good.any(dim=1)).flatten()
    if len(prompts) == 0:
        return []
    found = []
    for part in torch.split(prompts, max(1, len(points) // 4)):
        logits, scores = decoder.masks(decoded, part)[good[part]], decoded.predicted_iou[part][good[part]]
        steady = _may_be_stable(logits[:, : used[0], : used[1]], decoder.sam.mask_threshold, params.min_stability)
        found += list(zip(logits[steady].cpu().numpy(), scores[steady].tolist(), strict=True))
    return found


def _may_be_stable(inside: torch.Tensor, threshold: float, least: float) -> torch.Tensor:
    """(n,) bool: which of (n, h, w) logits may reach the stability once enlarged."""
    union = (inside > threshold - STABILITY_OFFSET).sum(dim=(1, 2))
    stable = (inside > threshold + STABILITY_OFFSET).sum(dim=(1, 2))
    return (stable >= (least - COARSE_MARGIN) * union) | (union < COARSE_CELLS)
