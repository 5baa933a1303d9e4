"""A grid of points asked of SAM, on one image or on several together, and what of the answers is good enough.

A batch of prompts may lie on several images: those of a small image do not fill a GPU. The first block of the decoder,
where all prompts of an image still see the same, is done image by image (`sam_decoder`), all that follows together.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from segment_anything import SamPredictor
from segment_anything.modeling import Sam
from segment_anything.utils.amg import build_point_grid

from datalab.adapters.gpu_memory import batches_of
from datalab.adapters.mask_windows import Enlarger, Ints, Outline, ends
from datalab.adapters.sam_decoder import Decoded, PointDecoder, decode_together
from datalab.adapters.sam_encoder import precision_for

PLACES_PER_BATCH = {"cpu": 1 << 14, "cuda": 1 << 18}
"""Prompts of a batch times places of the image: on a CPU what its caches hold (16 times as much took twice as long),
on a GPU 64 prompts of the official models, with hundreds of MB of tensors."""
STABILITY_OFFSET = 1.0
COARSE_MARGIN = 0.01
"""Logits are enlarged twice, and the second time mixes across the places by which stability is bounded."""
LOGITS_PER_PLACE = 4
"""Each way."""
REACH = 2
"""Cells beyond the outermost on which an enlarged value may hang: it is a mixture of three in a row at most."""


@dataclass(frozen=True)
class Asking:
    """How many points, and which answers are good enough."""

    points_per_side: int
    min_predicted_iou: float
    min_stability: float


@dataclass(frozen=True)
class Answer:
    """A mask that may be good enough, still as logits, of which it holds what enlarging needs."""

    logits: npt.NDArray[np.float32]
    corner: tuple[int, int]
    """Row and column of their first."""
    predicted_iou: float
    inner: Ints
    outer: Ints
    """What its box holds and lies in, in the pixels that were encoded, (4,) each; see `Enlarger.boxes`."""


class Grid:
    """The points of one encoded image."""

    def __init__(self, predictor: SamPredictor, per_side: int) -> None:
        """`predictor` holds an image."""
        self.predictor = predictor
        size = predictor.original_size
        places = build_point_grid(per_side) * np.array([size[1], size[0]])
        self.points = torch.as_tensor(predictor.transform.apply_coords(places, size), device=predictor.device)
        side = predictor.model.image_encoder.img_size
        rows, columns = (LOGITS_PER_PLACE * int(length) for length in predictor.features.shape[2:])
        self.cells = rows, columns
        self.shares = tuple(
            _shares(cells, length * cells / side)
            for length, cells in zip(predictor.input_size, self.cells, strict=True)
        )
        """Of the places between the cells, vertically and horizontally: how much of each is no padding."""

    @cached_property
    def decoder(self) -> PointDecoder:
        """On a GPU in half precision; on a CPU that would save a seventh of the time."""
        device = self.predictor.device
        precision = precision_for(device) if device.type == "cuda" else torch.float32
        return PointDecoder(self.predictor.model, self.predictor.features, precision)

    def outline(self, answer: Answer) -> Outline:
        """The mask in the pixels that were encoded."""
        threshold = self.predictor.model.mask_threshold
        logits = np.full(self.cells, threshold - 2 * STABILITY_OFFSET, dtype=np.float32)
        (row, column), (height, width) = answer.corner, answer.logits.shape
        logits[row : row + height, column : column + width] = answer.logits
        return self.enlarger.outline(logits, threshold, STABILITY_OFFSET)

    @cached_property
    def enlarger(self) -> Enlarger:
        """To the pixels that were encoded."""
        side, predictor = self.predictor.model.image_encoder.img_size, self.predictor
        return Enlarger(self.cells, side, predictor.input_size, predictor.original_size)


def prompts_at_once(sam: Sam) -> int:
    """How many prompts make a batch on SAM's device."""
    rows, columns = (int(length) for length in sam.prompt_encoder.image_embedding_size)
    return max(1, PLACES_PER_BATCH[sam.device.type] // (rows * columns))


def answers(predictors: Sequence[SamPredictor], asking: Asking) -> list[tuple[Grid, list[Answer]]]:
    """For each of the encoded images of one SAM its grid, and the mask of every point that may be good enough.

    Where a GPU's memory is full the batch is halved, with a warning.
    """
    found: list[tuple[Grid, list[Answer]]] = [(Grid(one, asking.points_per_side), []) for one in predictors]
    grids = [grid for grid, _ in found]
    owners = np.repeat(np.arange(len(grids)), [len(grid.points) for grid in grids])
    numbers = np.concatenate([np.arange(len(grid.points)) for grid in grids])
    sam = predictors[0].model

    def good(batch: slice) -> list[Good]:
        return list(_good_logits(grids, owners[batch], numbers[batch], asking))

    for some in batches_of(sam, "prompts").each(len(owners), prompts_at_once(sam), good):
        for owner, logits, scores in some:
            found[owner][1].extend(_answers(grids[owner], logits, scores))
    return found


Good = tuple[int, npt.NDArray[np.float32], list[float]]
"""Image, (n, 4h, 4w) logits and predicted IoU of each."""


def _answers(grid: Grid, logits: npt.NDArray[np.float32], scores: Sequence[float]) -> Iterator[Answer]:
    threshold = grid.predictor.model.mask_threshold
    inner, outer = grid.enlarger.boxes(logits > threshold)
    near = logits > threshold - STABILITY_OFFSET
    (top, bottom), (left, right) = ends(near.any(axis=2)), ends(near.any(axis=1))
    for n, score in enumerate(scores):
        row, column = max(0, int(top[n]) - REACH), max(0, int(left[n]) - REACH)
        window = logits[n, row : bottom[n] + REACH + 1, column : right[n] + REACH + 1]
        yield Answer(window.copy(), (row, column), score, inner[n], outer[n])


def _good_logits(
    grids: Sequence[Grid], owners: npt.NDArray[np.int64], numbers: npt.NDArray[np.int64], asking: Asking
) -> Iterator[Good]:
    """The masks that may be stable, for point `numbers` of the images `owners`."""
    places = [(int(owner), numbers[owners == owner]) for owner in np.unique(owners)]
    decoders = [grids[owner].decoder for owner, _ in places]
    decoded = decode_together(decoders, [grids[owner].points[asked] for owner, asked in places])
    good = decoded.predicted_iou > asking.min_predicted_iou
    prompts = torch.nonzero(good.any(dim=1)).flatten()
    if len(prompts) == 0:
        return
    for part in torch.split(prompts, max(1, len(owners) // 4)):
        yield from _worth_enlarging(grids, owners, decoders[0], decoded, part, good, asking)


def _worth_enlarging(
    grids: Sequence[Grid],
    owners: npt.NDArray[np.int64],
    decoder: PointDecoder,
    decoded: Decoded,
    part: torch.Tensor,
    good: torch.Tensor,
    asking: Asking,
) -> Iterator[Good]:
    logits, scores = decoder.masks(decoded, part)[good[part]], decoded.predicted_iou[part][good[part]]
    owner_of = np.repeat(owners[part.cpu().numpy()], good[part].sum(dim=1).cpu().numpy())
    for owner in np.unique(owner_of):
        mine = torch.from_numpy(np.flatnonzero(owner_of == owner)).to(logits.device)
        may_be = _may_be_stable(logits[mine], grids[owner].shares, decoder.sam.mask_threshold, asking.min_stability)
        steady = mine[may_be]
        if len(steady):
            yield int(owner), logits[steady].cpu().numpy(), scores[steady].tolist()


def _may_be_stable(
    logits: torch.Tensor, shares: tuple[torch.Tensor, ...], threshold: float, least: float
) -> torch.Tensor:
    """(n,) bool: which of (n, h, w) logits may reach the stability once enlarged; `shares` as of `Grid`.

    In the place between four cells an enlarged value lies between theirs: the stable part reaches no further than the
    places with a stable corner, and what lies above the lower cutoff fills at least those with four corners above it.
    """
    stable = _corners(logits > threshold + STABILITY_OFFSET, torch.logical_or)
    union = _corners(logits > threshold - STABILITY_OFFSET, torch.logical_and)
    rows, columns = (one.to(logits.device) for one in shares)
    most, fewest = (part.to(rows.dtype) @ columns @ rows for part in (stable, union))
    return most >= (least - COARSE_MARGIN) * fewest


def _corners(cells: torch.Tensor, joined: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """(n, h + 1, w + 1) bool: the four cells round each place `joined`; beyond the outermost lie their likes."""
    rows = torch.cat([cells[:, :1], joined(cells[:, 1:], cells[:, :-1]), cells[:, -1:]], dim=1)
    return torch.cat([rows[..., :1], joined(rows[..., 1:], rows[..., :-1]), rows[..., -1:]], dim=2)


def _shares(cells: int, used: float) -> torch.Tensor:
    """(cells + 1,): how much of the places from cell to cell lies in the first `used` cells, in [0, 1]."""
    middles = torch.arange(cells + 1)
    return ((middles + 0.5).clamp(0, used) - (middles - 0.5).clamp(0, used)).clamp(0, 1)
