"""Segment Anything: load a checkpoint, propose masks for everything in an image."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from segment_anything import SamPredictor, sam_model_registry
from segment_anything.modeling import Sam

from datalab.adapters.checkpoints import SMALL, check_official, checkpoint_path, sha256_of
from datalab.adapters.embedding_cache import Embedding
from datalab.adapters.mask_generator import (
    FoundMask,
    GeneratorParams,
    Pixels,
    encode,
    generate_masks_together,
    masks_in_boxes,
)
from datalab.adapters.sam_embed import restore
from datalab.adapters.sam_encoder import FastEncoder, precision_for
from datalab.adapters.sam_small import build_small_sam
from datalab.adapters.sam_zoom import masks_in_enlarged_boxes, zooms_in
from datalab.errors import InputError
from datalab.masks import BoolMask, crop_to_rle, iou_matrix, middles, rle_box_xywh, rle_to_crop
from datalab.ranges import Count, Share, Within
from datalab.tables import CANDIDATES, REFINED, require, typed

SamLoader = Callable[[], Sam]
"""Loads it, or has it loaded already: an official file of gigabytes is checked each time."""
LARGEST_SIDE = 1024
"""Masks are made at most this large and scaled up: SAM's own resolution is no finer. Tiles see as much each."""
SAME_OBJECT_IOU = 0.75
WIDTH_TO_TYPE = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}


@dataclass(frozen=True)
class ProposalParams:
    """Section `proposals` of params.yaml: which of SAM's masks people get to see."""

    points_per_side: Count
    tile_layers: Annotated[int, Within(0, 3)]
    """0: the whole image at once; 1: also its four quarters, overlapping; 2: also sixteen parts."""
    min_predicted_iou: Share
    min_stability: Share
    min_area_share: Share
    """Of the image; smaller masks are dropped."""
    max_area_share: Share
    """Larger masks are background."""
    max_regions: Count
    class_margin: Share
    """By how much a class has to lead the second one to be given, 0 to 1; else people name the region."""


@dataclass(frozen=True)
class Draft:
    """A region of the trained model's prediction, not empty."""

    label: str
    rle: str
    """At the image's own size."""


@dataclass(frozen=True)
class Asked:
    """An image that masks are wanted of; `ask` makes it."""

    image_id: str
    size: tuple[int, int]
    """(H, W), of the image itself and of its drafts."""
    pixels: Pixels
    """(h, w, 3) uint8 RGB, no larger than SAM sees it."""
    drafts: Sequence[Draft] = ()
    embedding: Embedding | None = None
    """What `embed_image` made of the image, which spares encoding it again."""


def load_sam(checkpoint: str) -> Sam:
    """The model in evaluation mode, on the GPU where there is one; InputError for no, an altered or a foreign file."""
    path = checkpoint_path(checkpoint)
    check_official(path)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    small = checkpoint == SMALL
    sam = _load_small(path) if small else _load_official(path)
    # the small one takes little time as it is, and so gives the same on every CPU
    sam.image_encoder = FastEncoder(sam.image_encoder, torch.float32 if small else precision_for(device))
    return sam.to(device).eval()


def model_version(checkpoint: str) -> str:
    """Name of the checkpoint with the first 8 hex digits of its SHA-256, e.g. "sam-small-1a2b3c4d".

    Every byte of the file is read: 2.5 GB for the largest. InputError as of `load_sam`.
    """
    path = checkpoint_path(checkpoint)
    check_official(path)
    try:
        digest = sha256_of(path)[:8]
    except OSError as exc:
        raise InputError(f"SAM checkpoint {path} cannot be read: {exc.strerror}") from exc
    return f"sam-{SMALL if checkpoint == SMALL else path.stem}-{digest}"


def ask(
    image_id: str,
    pixels: Pixels,
    params: ProposalParams,
    drafts: Sequence[Draft] = (),
    embedding: Embedding | None = None,
) -> Asked:
    """What to ask of a (H, W, 3) uint8 RGB image, which is not kept at its own size: several are asked together."""
    small = _shrink(pixels, LARGEST_SIDE * 2**params.tile_layers)
    return Asked(image_id, (pixels.shape[0], pixels.shape[1]), small, drafts, embedding)


def propose_regions(sam: Sam, version: str, asked: Sequence[Asked], params: ProposalParams) -> pd.DataFrame:
    """Table CANDIDATES of one image or several, whose prompts share batches; `version` is that of the SAM.

    First what SAM finds by itself, best first, without classes (label ""): a region is kept where SAM is sure enough of
    it, where its size is that of an object, and where no better one covers the same object (IoU above 0.75). Then every
    draft as it is, and as SAM refines it from its box, where SAM is sure enough.
    """
    # a large image and its smaller copy give SAM the same square, up to the rounding of one pixel
    encoded = [
        encode(sam, one.pixels) if one.embedding is None else restore(sam, one.embedding, *one.pixels.shape[:2])
        for one in asked
    ]
    wanted = GeneratorParams(params.points_per_side, params.min_predicted_iou, params.min_stability, params.tile_layers)
    found = generate_masks_together(sam, [one.pixels for one in asked], wanted, encoded)
    tables = [
        _candidates(one, _kept(masks, one.pixels, params), known, params)
        for one, masks, known in zip(asked, found, encoded, strict=True)
    ]
    return require(pd.concat(tables, ignore_index=True).assign(model_version=version), CANDIDATES, "proposals")


def _kept(found: list[FoundMask], pixels: Pixels, params: ProposalParams) -> list[FoundMask]:
    """Those of an object's size, one per object, best first."""
    sized = [one for one in found if _is_like_an_object(one, pixels.shape[:2], params)]
    sized.sort(key=lambda one: one.predicted_iou * one.stability, reverse=True)
    return _one_per_object(sized, pixels.shape[:2])[: params.max_regions]


def _candidates(asked: Asked, kept: list[FoundMask], encoded: SamPredictor, params: ProposalParams) -> pd.DataFrame:
    """Rows of one image, at its own size; `kept` and `encoded` are of its smaller copy."""
    rows: list[tuple[object, ...]] = []
    size, small = asked.size, asked.pixels
    for number, one in enumerate(kept):
        rle = _full_size(one.rle, small.shape[:2], size)
        rows.append((f"p{number}", "", rle, one.predicted_iou, one.stability, "sam"))
    refined = _refined(encoded, small, asked.drafts, size)
    for number, (draft, one) in enumerate(zip(asked.drafts, refined, strict=True)):
        drafted, rle = draft.rle, _full_size(one.rle, small.shape[:2], size)
        agreement = float(iou_matrix([drafted], [rle], *size)[0, 0])
        rows.append((f"m{number}", draft.label, drafted, agreement, 1.0, "model"))
        is_sure = one.predicted_iou > params.min_predicted_iou and one.stability >= params.min_stability
        if is_sure and _is_like_an_object(one, small.shape[:2], params):
            rows.append((f"r{number}", draft.label, rle, one.predicted_iou, one.stability, REFINED))
    table = pd.DataFrame(rows, columns=["name", "label", "rle", "predicted_iou", "stability", "source"])
    table = typed(table)
    return table.assign(
        image_id=asked.image_id,
        region_id=f"{asked.image_id}-" + table["name"],
        height=size[0],
        width=size[1],
        predicted_iou=table["predicted_iou"].clip(0, 1),
        stability=table["stability"].clip(0, 1),
    )


def _refined(encoded: SamPredictor, pixels: Pixels, drafts: Sequence[Draft], size: tuple[int, int]) -> list[FoundMask]:
    """What SAM makes of the box of every draft in the `pixels` that were encoded; `size`: (H, W) of the drafts."""
    if not drafts:
        return []
    height, width = encoded.original_size
    scale = np.array([width / size[1], height / size[0]] * 2)
    boxes = []
    for draft in drafts:
        x, y, w, h = rle_box_xywh(draft.rle, *size)
        boxes.append([x, y, x + w, y + h])
    scaled = np.array(boxes, dtype=np.float64) * scale
    if zooms_in(encoded.model):
        return masks_in_enlarged_boxes(encoded.model, pixels, scaled)
    return masks_in_boxes(encoded, scaled)


def _load_small(path: Path) -> Sam:
    sam = build_small_sam()
    try:
        weights = load_file(path)
        sam.load_state_dict({name: value.float() for name, value in weights.items()})
    except (OSError, SafetensorError, RuntimeError) as exc:
        raise InputError(f"the small SAM's weights {path} are missing or damaged; install datalab again") from exc
    return sam


def _load_official(path: Path) -> Sam:
    reason = "torch cannot read it"
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
        reason = f"its weights are none of {', '.join(WIDTH_TO_TYPE.values())}"
        kind = WIDTH_TO_TYPE[int(weights["image_encoder.pos_embed"].shape[-1])]
        sam = sam_model_registry[kind]()
        sam.load_state_dict(weights)
    except OSError as exc:
        raise InputError(f"SAM checkpoint {path} cannot be read: {exc.strerror}") from exc
    except Exception as exc:  # torch raises many kinds for a damaged or foreign file, with texts for its callers
        raise InputError(f"{path} is no official Segment Anything checkpoint: {reason}; download it again") from exc
    return sam


def _shrink(pixels: Pixels, largest_side: int) -> Pixels:
    longest = max(pixels.shape[:2])
    if longest <= largest_side:
        return pixels
    height, width = (max(1, round(side * largest_side / longest)) for side in pixels.shape[:2])
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _is_like_an_object(found: FoundMask, shape: tuple[int, ...], params: ProposalParams) -> bool:
    """Of an object's size, and not reaching from side to side both ways, as what lies behind objects does."""
    share = found.area / (shape[0] * shape[1])
    left, top, right, bottom = found.box
    reaches_all_sides = right - left >= shape[1] - 1 and bottom - top >= shape[0] - 1
    return bool(params.min_area_share <= share <= params.max_area_share) and not reaches_all_sides


def _one_per_object(found: list[FoundMask], shape: tuple[int, ...]) -> list[FoundMask]:
    """`found`, best first, without those that repeat a better one."""
    rles = [one.rle for one in found]
    overlap = iou_matrix(rles, rles, shape[0], shape[1])
    kept: list[int] = []
    for place in range(len(found)):
        if not kept or overlap[place, kept].max() <= SAME_OBJECT_IOU:
            kept.append(place)
    return [found[place] for place in kept]


def _full_size(rle: str, shape: tuple[int, ...], full: tuple[int, int]) -> str:
    """A mask of `shape` without crumbs at the size `full`, each pixel as the one its centre lies in.

    It is made only where it lies.
    """
    top, left, pixels = rle_to_crop(rle, shape[0])
    first_row, rows = _shown(top, pixels.shape[0], shape[0], full[0])
    first_column, columns = _shown(left, pixels.shape[1], shape[1], full[1])
    scaled = _largest_parts(pixels)[np.ix_(rows, columns)]
    return crop_to_rle(scaled, first_row, first_column, *full)


def _shown(start: int, length: int, side: int, full: int) -> tuple[int, npt.NDArray[np.intp]]:
    """The first pixel of `full` that shows one of those from `start` on of `side`, and which of them each shows."""
    shown = middles(side, full)
    first, last = np.searchsorted(shown, [start, start + length])
    return int(first), shown[first:last] - start


def _largest_parts(mask: BoolMask) -> BoolMask:
    """Without crumbs: parts below a tenth of the largest are dropped."""
    if not mask.size:
        return mask
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 2:
        return mask
    areas = stats[:, cv2.CC_STAT_AREA]
    kept = areas >= 0.1 * areas[1:].max()
    kept[0] = False
    return np.asarray(kept[parts])
