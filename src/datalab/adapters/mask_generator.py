"""Masks for everything in an image: a grid of points, decoded in batches, filtered while the masks are still small.

The same masks as segment_anything's SamAutomaticMaskGenerator with the same thresholds. It is quicker because the
decoder makes shared products once (`sam_decoder`), because a prompt whose masks are not good enough never gets any
(`mask_grid`), because masks are enlarged one by one, only where they lie (`mask_windows`): no stack of full-size
masks is ever made; and because most of those that are a better one again are not enlarged at all (`mask_choice`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from segment_anything import SamPredictor
from segment_anything.modeling import Sam
from segment_anything.utils.amg import generate_crop_boxes, is_box_near_crop_edge
from segment_anything.utils.transforms import ResizeLongestSide
from torchvision.ops import box_area, nms

from datalab.adapters.gpu_memory import batches_of
from datalab.adapters.mask_choice import SAME_BOX_IOU, Candidate, best_per_box
from datalab.adapters.mask_grid import STABILITY_OFFSET, Asking, answers, prompts_at_once
from datalab.adapters.mask_windows import Enlarger, Outline, outline_to_rle

BOXES_PER_BATCH = 16
TILE_OVERLAP = 512 / 1500

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
class _Tile:
    """A part of one of the images: the whole, or a piece that SAM sees enlarged."""

    image: int
    box: Box
    """x0, y0, x1, y1, the ends excluded."""
    is_whole: bool


def generate_masks(
    sam: Sam, pixels: Pixels, params: GeneratorParams, encoded: SamPredictor | None = None
) -> list[FoundMask]:
    """Masks of a (H, W, 3) uint8 RGB image; of masks with nearly the same box the best one, by predicted IoU.

    `encoded`: a predictor that has this image already, which spares encoding it again.
    """
    return generate_masks_together(sam, [pixels], params, [encoded])[0]


def generate_masks_together(
    sam: Sam, images: Sequence[Pixels], params: GeneratorParams, encoded: Sequence[SamPredictor | None]
) -> list[list[FoundMask]]:
    """`generate_masks` of several images, whose prompts share batches: `images_at_once` are worth it."""
    tiles = [tile for number, pixels in enumerate(images) for tile in _tiles(number, pixels, params.tile_layers)]
    found: list[list[FoundMask]] = [[] for _ in images]
    areas: list[list[float]] = [[] for _ in images]
    together = images_at_once(sam, params.points_per_side)
    with torch.inference_mode():
        for start in range(0, len(tiles), together):
            for tile, kept in _of_tiles(sam, tiles[start : start + together], images, params, encoded):
                found[tile.image] += kept
                areas[tile.image] += [float(box_area(torch.tensor([tile.box]))[0])] * len(kept)
    return [_smallest_tile_first(masks, sizes) for masks, sizes in zip(found, areas, strict=True)]


def images_at_once(sam: Sam, points_per_side: int) -> int:
    """How many images' grids a batch of prompts holds; 1 where one image fills it."""
    return max(1, prompts_at_once(sam) // points_per_side**2)


def _tiles(number: int, pixels: Pixels, tile_layers: int) -> Iterator[_Tile]:
    boxes, layers = generate_crop_boxes(pixels.shape[:2], tile_layers, TILE_OVERLAP)
    for (x0, y0, x1, y1), layer in zip(boxes, layers, strict=True):
        if x1 > x0 and y1 > y0:  # an image of a pixel or two has no quarters
            yield _Tile(number, (x0, y0, x1, y1), layer == 0)


def _of_tiles(
    sam: Sam,
    tiles: Sequence[_Tile],
    images: Sequence[Pixels],
    params: GeneratorParams,
    encoded: Sequence[SamPredictor | None],
) -> Iterator[tuple[_Tile, list[FoundMask]]]:
    """Of each tile its masks that do not end at a cut, the best of those with nearly the same box."""
    predictors = []
    for tile in tiles:
        x0, y0, x1, y1 = tile.box
        known = encoded[tile.image] if tile.is_whole else None
        predictors.append(known or encode(sam, images[tile.image][y0:y1, x0:x1]))
    asking = Asking(params.points_per_side, params.min_predicted_iou, params.min_stability)
    for tile, (grid, found) in zip(tiles, answers(predictors, asking), strict=True):
        height, width = images[tile.image].shape[:2]

        def is_good(outline: Outline, tile: _Tile = tile, size: tuple[int, int] = (height, width)) -> bool:
            return outline.stability >= params.min_stability and not _ends_at_cut(outline, tile, *size)

        best = best_per_box(found, grid.outline, is_good)
        yield tile, [_found(one, tile.box, height, width) for one in best]


def _smallest_tile_first(found: list[FoundMask], areas: list[float]) -> list[FoundMask]:
    """Of masks with nearly the same box the one of the smaller tile, which saw it larger."""
    if not found:
        return found
    boxes = torch.tensor([one.box for one in found], dtype=torch.float)
    return [found[place] for place in nms(boxes, 1 / torch.tensor(areas), SAME_BOX_IOU).tolist()]


def masks_in_boxes(
    encoded: SamPredictor, boxes: npt.NDArray[np.float64], tile: Box | None = None, size: tuple[int, int] | None = None
) -> list[FoundMask]:
    """One mask for each of (n, 4) boxes x0, y0, x1, y1 in the pixels that were encoded; may be empty.

    Where a GPU's memory is full the batch is halved, with a warning.
    Where only a `tile` (x0, y0, x1, y1) of an image of `size` (height, width) was encoded, the masks have that size.
    """
    height, width = encoded.original_size
    tile, size = tile or (0, 0, width, height), size or (height, width)
    sam, found = encoded.model, []
    with torch.inference_mode():
        asked = torch.as_tensor(encoded.transform.apply_boxes(boxes, (height, width)), device=encoded.device).float()

        def answer(batch: slice) -> tuple[npt.NDArray[np.float32], list[float]]:
            return _answers_to_boxes(encoded, asked[batch])

        for logits, scores in batches_of(sam, "boxes").each(len(asked), BOXES_PER_BATCH, answer):
            cells = logits.shape[1], logits.shape[2]
            enlarger = Enlarger(cells, sam.image_encoder.img_size, encoded.input_size, (height, width))
            for small, score in zip(logits, scores, strict=True):
                outline = enlarger.outline(small, sam.mask_threshold, STABILITY_OFFSET)
                found.append(_found(Candidate(outline, score), tile, *size))
    return found


def _answers_to_boxes(encoded: SamPredictor, boxes: torch.Tensor) -> tuple[npt.NDArray[np.float32], list[float]]:
    """The single mask's logits (n, 4h, 4w) and predicted IoU for each of (n, 4) boxes in pixels of SAM's square."""
    sam = encoded.model
    sparse, dense = sam.prompt_encoder(points=None, boxes=boxes, masks=None)
    logits, scores = sam.mask_decoder(
        image_embeddings=encoded.features,
        image_pe=sam.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=False,
    )
    return logits[:, 0].cpu().numpy(), scores[:, 0].tolist()


def encode(sam: Sam, pixels: Pixels) -> SamPredictor:
    """A predictor that holds the embedding of a (H, W, 3) uint8 RGB image; waits where a GPU's memory is full."""
    predictor, whole = empty_predictor(sam), np.ascontiguousarray(pixels)
    list(batches_of(sam, "images").each(1, 1, lambda _: predictor.set_image(whole)))
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


def _ends_at_cut(outline: Outline, tile: _Tile, height: int, width: int) -> bool:
    """Whether it ends where the tile does and the image goes on."""
    if tile.is_whole:
        return False
    return bool(is_box_near_crop_edge(torch.tensor([outline.box]), list(tile.box), [0, 0, width, height])[0])


def _found(candidate: Candidate, tile: Box, height: int, width: int) -> FoundMask:
    outline, (x, y, _, _) = candidate.outline, tile
    return FoundMask(
        rle=outline_to_rle(outline, tile, height, width),
        box=(outline.box[0] + x, outline.box[1] + y, outline.box[2] + x, outline.box[3] + y),
        area=outline.area,
        predicted_iou=candidate.predicted_iou,
        stability=outline.stability,
    )
