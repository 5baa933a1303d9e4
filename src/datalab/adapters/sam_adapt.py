"""SAM's mask decoder, taught a little more by the masks people agreed on; its encoder stays as it is.

The encoder's embeddings are made once per object, so that a step takes the decoder's milliseconds only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt
import torch
from segment_anything.modeling import Sam
from segment_anything.utils.transforms import ResizeLongestSide

from datalab.adapters.embedding_cache import Embedding
from datalab.adapters.gpu_memory import batches_of
from datalab.adapters.mask_generator import Pixels
from datalab.adapters.sam_embed import embed_image
from datalab.adapters.sam_training import BOX, CLICK, mask_loss, prompted_masks
from datalab.adapters.sam_zoom import part_round, zooms_in
from datalab.adapters.stage_progress import stage_bar
from datalab.adapters.torch_threads import single_thread
from datalab.masks import BoolMask

SHAKEN = 0.05
"""Standard deviation of a shown box's sides, as a share of their length: people and models draw no tight boxes."""
JUDGED_AT_ONCE = 32
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Lesson:
    """One object, and how it is pointed at; places are in pixels of SAM's square."""

    image_id: str
    kind: int
    """BOX or CLICK."""
    embedding: Embedding
    """(C, h, w): of the image, or of its part round the box where SAM looks at boxes enlarged."""
    box: npt.NDArray[np.float32]
    """x0, y0, x1, y1, tight."""
    points: npt.NDArray[np.float32]
    """(n, 2): x, y of pixels inside; the first is the innermost."""
    target: npt.NDArray[np.float32]
    """(4h, 4w): share of each cell that lies in the object."""


@dataclass(frozen=True)
class Course:
    """How much is learned."""

    steps: int
    batch_size: int
    learning_rate: float


def lessons_of(
    sam: Sam,
    image_id: str,
    pixels: Pixels,
    masks: Iterable[BoolMask],
    rng: np.random.Generator,
    embedding: Embedding | None = None,
) -> list[Lesson]:
    """A click and a box on every object of a (H, W, 3) uint8 RGB image; `masks` (H, W), none of them empty.

    `embedding`: what `embed_image` made of the image, which spares encoding it again.
    """
    whole = embed_image(sam, pixels) if embedding is None else embedding
    lessons = []
    for mask in masks:
        lessons.append(_lesson(sam, image_id, CLICK, whole, mask, rng))
        if zooms_in(sam):
            x0, y0, x1, y1 = part_round(_tight_box(mask), *mask.shape)
            part = embed_image(sam, pixels[y0:y1, x0:x1])
            lessons.append(_lesson(sam, image_id, BOX, part, mask[y0:y1, x0:x1], rng))
        else:
            lessons.append(_lesson(sam, image_id, BOX, whole, mask, rng))
    return lessons


def adapt(sam: Sam, lessons: Sequence[Lesson], course: Course, rng: np.random.Generator) -> None:
    """Change the weights of SAM's mask decoder, in place.

    Where a GPU's memory is full a batch is learned in halves, with a warning; their gradients sum to the batch's.
    """
    decoder = sam.mask_decoder
    optimiser = torch.optim.AdamW(decoder.parameters(), course.learning_rate, weight_decay=0.01)
    batches = batches_of(sam, "training objects")
    with single_thread():
        for step in stage_bar("adapt SAM", course.steps, "step", range(course.steps)):
            chosen = [lessons[place] for place in rng.integers(0, len(lessons), course.batch_size)]
            for group in optimiser.param_groups:
                group["lr"] = course.learning_rate * min(1.0, (step + 1) / 20) * (1 - step / course.steps)
            optimiser.zero_grad(set_to_none=True)
            for gradients in batches.each(len(chosen), len(chosen), partial(_gradients, sam, _shaken(chosen, rng))):
                _add(decoder, gradients)
            torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
            optimiser.step()


def _gradients(sam: Sam, batch: Sequence[Lesson], part: slice) -> Sequence[torch.Tensor | None]:
    """Of the decoder's parameters, as far as `part` of the batch makes up its loss.

    Nothing is added to them yet: memory may run out on the way.
    """
    lessons = batch[part]
    logits, quality, rows = _ask(sam, lessons)
    kinds = _kinds(lessons, sam)[rows]
    loss, _ = mask_loss(logits, quality, _targets(lessons, sam)[rows], kinds, _kinds(batch, sam))
    return torch.autograd.grad(loss, list(sam.mask_decoder.parameters()), allow_unused=True)


def _add(decoder: torch.nn.Module, gradients: Sequence[torch.Tensor | None]) -> None:
    for parameter, gradient in zip(decoder.parameters(), gradients, strict=True):
        if gradient is not None:
            parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient


def judge(sam: Sam, lessons: Sequence[Lesson]) -> Floats:
    """(N,) IoU, in cells, of the mask that is used: the single one for a box, the best by SAM's choice for a click.

    Where a GPU's memory is full the batch is halved, with a warning.
    """
    with single_thread(), torch.inference_mode():
        parts = batches_of(sam, "objects").each(len(lessons), JUDGED_AT_ONCE, partial(_judged, sam, lessons))
        return np.concatenate([np.zeros(0), *parts])


def _judged(sam: Sam, lessons: Sequence[Lesson], part: slice) -> Floats:
    chosen = lessons[part]
    logits, quality, rows = _ask(sam, chosen)
    inside = logits > sam.mask_threshold
    truth = _targets(chosen, sam)[rows][:, None] >= 0.5
    iou = (inside & truth).sum((-2, -1)) / (inside | truth).sum((-2, -1)).clamp(min=1)
    used = torch.where(_kinds(chosen, sam)[rows] == BOX, 0, 1 + quality[:, 1:].argmax(dim=1))
    found = np.zeros(len(chosen))
    found[rows.cpu().numpy()] = iou.gather(1, used[:, None])[:, 0].cpu().numpy()
    return found


def _lesson(
    sam: Sam, image_id: str, kind: int, embedding: Embedding, mask: BoolMask, rng: np.random.Generator
) -> Lesson:
    transform = ResizeLongestSide(sam.image_encoder.img_size)
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    rows, columns = np.nonzero(mask)
    drawn = rng.integers(0, len(rows), 2)
    places = np.stack([columns[drawn], rows[drawn]], axis=1)
    innermost = np.array(np.unravel_index(int(depth.argmax()), mask.shape))[::-1]
    points = np.concatenate([innermost[None], places]) + 0.5
    return Lesson(
        image_id,
        kind,
        embedding,
        transform.apply_boxes(_tight_box(mask)[None], mask.shape)[0].astype(np.float32),
        transform.apply_coords(points, mask.shape).astype(np.float32),
        _cells(sam, mask, embedding),
    )


def _cells(sam: Sam, mask: BoolMask, embedding: Embedding) -> npt.NDArray[np.float32]:
    """The mask on the grid of SAM's logits, below and right of it nothing."""
    side = sam.image_encoder.img_size
    height, width = ResizeLongestSide.get_preprocess_shape(*mask.shape, side)
    # by way of the square, as the image goes: it may end within a cell
    square = np.zeros((side, side), dtype=np.float32)
    square[:height, :width] = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    grid = 4 * embedding.shape[2], 4 * embedding.shape[1]
    return np.asarray(cv2.resize(square, grid, interpolation=cv2.INTER_AREA), dtype=np.float32)


def _shaken(lessons: Sequence[Lesson], rng: np.random.Generator) -> list[Lesson]:
    """With boxes that are shaken, and one click, which lies anywhere inside."""
    boxes = np.stack([one.box for one in lessons])
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    boxes = boxes + rng.normal(0, SHAKEN, boxes.shape).astype(np.float32) * sides
    clicks = rng.integers(0, len(lessons[0].points), len(lessons))
    return [
        replace(one, box=box, points=one.points[click : click + 1])
        for one, box, click in zip(lessons, boxes, clicks, strict=True)
    ]


def _ask(sam: Sam, lessons: Sequence[Lesson]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """As `prompted_masks`, one prompt on each image: the box, or the first of the points."""
    boxes = np.stack([one.box for one in lessons])
    points = np.stack([one.points for one in lessons])
    embeddings = np.stack([one.embedding for one in lessons]).astype(np.float32)
    return prompted_masks(
        sam,
        torch.from_numpy(embeddings).to(sam.device),
        torch.from_numpy(boxes[:, None]).to(sam.device),
        torch.from_numpy(points[:, None]).to(sam.device),
        torch.ones(len(lessons), 1, points.shape[1], dtype=torch.int64, device=sam.device),
        _kinds(lessons, sam)[:, None],
    )


def _kinds(lessons: Sequence[Lesson], sam: Sam) -> torch.Tensor:
    return torch.tensor([one.kind for one in lessons], device=sam.device)


def _targets(lessons: Sequence[Lesson], sam: Sam) -> torch.Tensor:
    return torch.from_numpy(np.stack([one.target for one in lessons])).to(sam.device)


def _tight_box(mask: BoolMask) -> Floats:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=np.float64)
