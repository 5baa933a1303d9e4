"""Masks: boolean arrays (H, W) and their run-length form.

The one stored form is COCO's compressed run-length encoding: `rle`, a `str`, always beside `height` and `width`.
Names end in the format they give. Nothing here changes its input.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from math import hypot
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco
from ultrafast_pycocotools.mask import iou as rle_iou

from datalab.errors import InputError

BoolMask = npt.NDArray[np.bool_]
Whole = TypeVar("Whole", bound=np.integer[Any])
WORD = np.dtype("<u8")
"""Eight pixels in one integer, the first in its lowest byte."""
IGNORE_ID = 255
"""Pixel value of a label map that says: not judged, leave this pixel out."""
BAND_SHARE = 0.02
"""Width of the band along the outline, as a share of the image's diagonal (Cheng et al. 2021)."""


def mask_to_rle(mask: npt.NDArray[np.generic]) -> str:
    """COCO compressed RLE of a (H, W) mask; every non-zero pixel is inside."""
    if mask.ndim != 2:
        raise InputError(f"a mask must have 2 axes (height, width), got shape {mask.shape}")
    # column after column, as the format has it; coco.encode would copy the mask into that order first, 8 times as slow
    runs = row_runs((mask != 0).T)
    counts = coco.frPyObjects({"size": list(mask.shape), "counts": runs.tolist()}, *mask.shape)["counts"]
    return counts.decode("ascii") if isinstance(counts, bytes) else str(counts)


def rle_to_mask(rle: str, height: int, width: int) -> BoolMask:
    """The (height, width) boolean mask of a COCO compressed RLE."""
    decoded: BoolMask = coco.decode(_coco_object(rle, height, width)).view(np.bool_)
    return decoded


def rle_to_crop(rle: str, height: int) -> tuple[int, int, BoolMask]:
    """(top, left, mask cut to its tight box) of a COCO compressed RLE; (0, 0, no pixel) for an empty mask.

    A small object in a large image costs little: the image is never laid out.
    """
    starts, stops = rle_runs(rle)
    if not len(starts):
        return 0, 0, np.zeros((0, 0), dtype=bool)
    first, last = starts // height, (stops - 1) // height
    left, right = int(first[0]), int(last[-1]) + 1
    # a run that goes on in the next column fills the rows from top to bottom
    whole = bool((first != last).any())
    top, bottom = (0, height) if whole else (int((starts % height).min()), int(((stops - 1) % height).max()) + 1)
    rows = bottom - top
    begin = (first - left) * rows + starts % height - top
    steps = np.zeros((right - left) * rows + 1, dtype=np.int8)
    steps[begin] = 1
    steps[begin + (stops - starts)] -= 1  # one run may begin where another ends
    pixels: BoolMask = np.cumsum(steps[:-1], dtype=np.int8).view(np.bool_).reshape(right - left, rows).T
    return top, left, pixels


def rles_to_cuts(rles: Sequence[str], height: int) -> tuple[int, int, BoolMask]:
    """(top, left, masks (N, h, w) cut to the box around all of them) of N COCO compressed RLEs of one image."""
    crops = [rle_to_crop(rle, height) for rle in rles]
    top, left = min(row for row, _, _ in crops), min(column for _, column, _ in crops)
    bottom = max(row + pixels.shape[0] for row, _, pixels in crops)
    right = max(column + pixels.shape[1] for _, column, pixels in crops)
    # in column order, as `rle_to_mask` gives it
    cuts = np.zeros((len(crops), right - left, bottom - top), dtype=bool).transpose(0, 2, 1)
    for cut, (row, column, pixels) in zip(cuts, crops, strict=True):
        cut[row - top :, column - left :][: pixels.shape[0], : pixels.shape[1]] = pixels
    return top, left, cuts


def mask_to_crop(mask: BoolMask) -> tuple[int, int, BoolMask]:
    """(top, left, view of the tight box) of a (H, W) mask; (0, 0, no pixel) for an empty one."""
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    return top, left, mask[top : top + height, left : left + width]


def crop_to_rle(crop: BoolMask, top: int, left: int, height: int, width: int) -> str:
    """COCO compressed RLE of the (height, width) mask that is `crop` (h, w) at (top, left), and empty elsewhere."""
    return edges_to_rle(crop_edges(crop, top, left, height), height, width)


def crop_edges(crop: BoolMask, top: int, left: int, height: int) -> npt.NDArray[np.int64]:
    """Where runs of a mask's part (h, w) at (top, left) begin and end, counted down the columns of `height` pixels.

    From the first of each pair of places up to before the second; no run is of two columns.
    """
    rows, columns = crop.shape
    framed = np.zeros(columns * (rows + 1) + 1, dtype=bool)  # one after the other, a blank before and after each
    framed[1:].reshape(columns, rows + 1)[:, :rows] = crop.T
    x, y = np.divmod(np.flatnonzero(framed[1:] != framed[:-1]), rows + 1)
    edges: npt.NDArray[np.int64] = (x + left) * height + y + top
    return edges


def edges_to_rle(edges: npt.NDArray[np.int64], height: int, width: int) -> str:
    """COCO compressed RLE of sorted places as `crop_edges` gives them; a run may go on in the next column."""
    goes_on = np.flatnonzero(edges[1:-1:2] == edges[2::2])
    ends = np.concatenate([[0], np.delete(edges, np.concatenate([2 * goes_on + 1, 2 * goes_on + 2])), [height * width]])
    counts = np.diff(ends)
    if counts[-1] == 0:
        counts = counts[:-1]
    encoded = coco.frPyObjects({"counts": counts.tolist(), "size": [height, width]}, height, width)["counts"]
    return encoded.decode("ascii") if isinstance(encoded, bytes) else str(encoded)


def rle_runs(rle: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First pixel of every run of a COCO compressed RLE, and the one behind its last, counted down the columns."""
    lengths = _run_lengths(rle)
    edges = np.cumsum(lengths)
    inside = lengths[1::2] > 0
    return edges[: 2 * len(inside) : 2][inside], edges[1::2][inside]


def rle_fits(rle: str, height: int, width: int) -> bool:
    """Whether a text is the COCO compressed RLE of a mask of this size.

    To be asked of what comes from outside: of masks that differ in size `iou_matrix` and `rle_union` may never return.
    """
    # the format's characters, of which the second half say that a number goes on
    if not re.fullmatch("[0-o]*[0-O]", rle):
        return False
    lengths = _run_lengths(rle)
    return bool((lengths >= 0).all()) and int(lengths.sum()) == height * width


def _run_lengths(rle: str) -> npt.NDArray[np.int64]:
    """Lengths of the alternating runs of a COCO compressed RLE; the first lies outside and may be 0.

    The string holds them in groups of 5 bits with a flag for "goes on", from the fourth on as difference to the last
    but one (rleFrString of the COCO API).
    """
    codes = np.frombuffer(rle.encode("ascii"), dtype=np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero(codes & 32 == 0)
    begins = np.concatenate([[0], ends[:-1] + 1])
    groups = ends - begins + 1
    shift = 5 * (np.arange(len(codes)) - np.repeat(begins, groups))
    lengths: npt.NDArray[np.int64] = (
        np.add.reduceat((codes & 31) << shift, begins) if len(ends) else np.zeros(0, dtype=np.int64)
    )
    lengths -= np.where(codes[ends] & 16, np.int64(1) << (5 * groups), 0)
    lengths[1::2] = np.cumsum(lengths[1::2])
    lengths[2::2] = np.cumsum(lengths[2::2])
    return lengths


def row_runs(mask: BoolMask) -> npt.NDArray[np.int64]:
    """Lengths of the alternating runs of a (H, W) boolean mask, row after row; the first lies outside and may be 0.

    A mask in column order, as `rle_to_mask` gives it, is read in place.
    """
    begin = [0, 0] if mask.size and mask[0, 0] else [0]
    return np.diff(np.concatenate([begin, _row_edges(mask), [mask.size]]))


def rle_area(rle: str, height: int, width: int) -> int:
    """How many pixels lie inside, without decoding."""
    return int(coco.area(_coco_object(rle, height, width)))


def rle_areas(rles: Sequence[str], height: int, width: int) -> npt.NDArray[np.int64]:
    """The same for many masks of one image, in one call; shape (len(rles),)."""
    return np.asarray(coco.area(_coco_objects(rles, height, width)), dtype=np.int64).reshape(-1)


def rle_union(rles: Iterable[str], height: int, width: int) -> str:
    """RLE of what lies in any of the masks, "" where there is no mask; a mask "" does not count."""
    found = _coco_objects([rle for rle in rles if rle], height, width)
    return str(coco.merge(found)["counts"].decode("ascii")) if found else ""


def rle_share_inside(rle: str, area: str, height: int, width: int) -> float:
    """Share in [0, 1] of the pixels of one mask that lie in another; 0 for a mask that is empty or ""."""
    pixels = rle_area(rle, height, width) if rle and area else 0
    if not pixels:
        return 0.0
    return float(coco.area(coco.merge(_coco_objects([rle, area], height, width), intersect=True))) / pixels


def lies_in(rle: str, area: str, height: int, width: int) -> bool:
    """Whether a mask belongs to an area: half of its pixels lie there, or more. An empty mask lies nowhere."""
    return rle_share_inside(rle, area, height, width) >= 0.5


def rle_box_xywh(rle: str, height: int, width: int) -> tuple[int, int, int, int]:
    """The tight box (x, y, width, height) in pixels; (0, 0, 0, 0) for an empty mask."""
    x, y, w, h = (int(value) for value in coco.toBbox(_coco_object(rle, height, width)))
    return x, y, w, h


def iou_matrix(a: Sequence[str], b: Sequence[str], height: int, width: int) -> npt.NDArray[np.float64]:
    """Intersection over union of every pair, shape (len(a), len(b)), in [0, 1]; two empty masks give 0.

    One call with many masks is cheaper than many calls: each mask is decoded once a call.
    """
    if not a or not b:
        return np.zeros((len(a), len(b)))
    left, right = _coco_objects(a, height, width), _coco_objects(b, height, width)
    # pycocotools' own gives the same to the last bit, in one and a half to twice the time
    return np.asarray(rle_iou(left, right, [0] * len(right)), dtype=np.float64)


def label_map(regions: Iterable[tuple[int, str]], height: int, width: int) -> npt.NDArray[np.uint8]:
    """Paint (class id, rle) pairs into a (height, width) uint8 map of class ids, 0 where nothing lies.

    Larger regions are painted first, so that a small object on a large one stays visible; the order of the input
    decides between regions of equal area (the later one lies on top).
    """
    canvas = np.zeros((height, width), dtype=np.uint8)
    listed = list(regions)
    areas = rle_areas([rle for _, rle in listed], height, width)
    for place in np.argsort(-areas, kind="stable"):
        class_id, rle = listed[place]
        top, left, pixels = rle_to_crop(rle, height)
        canvas[top : top + pixels.shape[0], left : left + pixels.shape[1]][pixels] = class_id
    return canvas


def connected_rles(mask: npt.NDArray[np.bool_], least: float = 1) -> Iterator[tuple[int, str]]:
    """(pixels, COCO compressed RLE) of every connected part of at least `least` pixels; a shared corner connects."""
    for area, top, left, crop in connected_crops(mask, least):
        yield area, crop_to_rle(crop, top, left, *mask.shape)


def connected_crops(mask: npt.NDArray[np.bool_], least: float = 1) -> Iterator[tuple[int, int, int, BoolMask]]:
    """(pixels, top, left, mask cut to its tight box) of the same parts: they are searched for once, not each in all."""
    count, numbers, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    for number in range(1, count):
        left, top, width, height, area = (int(value) for value in statistics[number])
        if area >= least:
            yield area, top, left, numbers[top : top + height, left : left + width] == number


def middles(length: int, cells: int) -> npt.NDArray[np.intp]:
    """(cells,) which of `length` pixels lies in the middle of each of the cells that cover them.

    cv2's INTER_NEAREST goes by corners, half a pixel too far; its INTER_NEAREST_EXACT is 3 pixels off at 20,000 and
    gives what is in no image from 32,768 on.
    """
    return np.asarray((2 * np.arange(cells) + 1) * length // (2 * cells), dtype=np.intp)


def resize_labels(labels: npt.NDArray[Whole], height: int, width: int) -> npt.NDArray[Whole]:
    """A (H, W) map at another size: each cell has the value of the pixel in its middle."""
    return labels[np.ix_(middles(labels.shape[0], height), middles(labels.shape[1], width))]


def band_width(height: int, width: int) -> int:
    """Width in pixels, at least 1, of the band that boundary IoU compares in an image of this size."""
    return max(1, round(BAND_SHARE * hypot(height, width)))


def outline_band(mask: BoolMask, width: int) -> BoolMask:
    """The pixels of a (H, W) mask that lie within `width` pixels of its outline; the array's edge is outline too."""
    if not mask.size:
        return mask
    solid = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    inner = cv2.erode(solid, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1]
    return np.asarray(mask & (inner == 0), dtype=bool)


def _coco_objects(rles: Sequence[str], height: int, width: int) -> list[dict[str, object]]:
    size = [int(height), int(width)]
    return [{"size": size, "counts": rle} for rle in rles]


def _row_edges(mask: BoolMask) -> npt.NDArray[np.int64]:
    """Ascending places, counted row after row, of the pixels that differ from the one before."""
    height, width = mask.shape
    if not mask.flags.f_contiguous or mask.flags.c_contiguous:
        return _edges(mask.ravel())
    columns = mask.T
    column, row = np.divmod(_differing(columns[1:].ravel(), columns[:-1].ravel()), height)
    wrapped = np.flatnonzero(columns[0, 1:] != columns[-1, :-1]) + 1
    return np.sort(np.concatenate([row * width + column + 1, wrapped * width]))


def _edges(flat: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Ascending places that differ from the one before; eight are looked at together, as most masks have few edges."""
    words = flat[: flat.size // 8 * 8].view(WORD)
    if not len(words):
        return np.flatnonzero(flat[1:] != flat[:-1]) + 1
    unlike = np.empty(len(words), dtype=bool)
    unlike[0] = True
    np.not_equal(words[1:], words[:-1], out=unlike[1:])
    hits = np.flatnonzero(unlike)
    edges = _edges_within(words, hits)
    if ((edges[:-1] >> 8 != 0) & (np.diff(hits) > 1)).any() or (edges[-1] >> 8 and hits[-1] + 1 < len(words)):
        # a word with edges may be repeated, and none of the repetitions is unlike the one before
        hits = np.arange(len(words))
        edges = _edges_within(words, hits)
    # an edge is a byte of 1
    places = np.flatnonzero(edges.view(np.bool_))
    inside: npt.NDArray[np.int64] = hits[places >> 3] * 8 + (places & 7)
    rest = len(words) * 8
    if rest == flat.size:
        return inside
    return np.concatenate([inside, np.flatnonzero(flat[rest:] != flat[rest - 1 : -1]) + rest])


def _edges_within(words: npt.NDArray[np.uint64], hits: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """Words of eight bytes, 1 where a pixel of the word differs from the pixel before it."""
    found, before = words[hits], words[hits - 1]
    if hits[0] == 0:
        before[0] = found[0] << 56
    return np.asarray(found ^ (found << 8 | before >> 56), dtype=WORD)


def _differing(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Where two flat arrays differ; again eight places are looked at together."""
    differs = np.zeros(-(-a.size // 8) * 8, dtype=bool)
    np.not_equal(a, b, out=differs[: a.size])
    hits = np.flatnonzero(differs.view(np.uint64) != 0)
    within = np.flatnonzero(differs.reshape(-1, 8)[hits])
    places: npt.NDArray[np.int64] = hits[within >> 3] * 8 + (within & 7)
    return places


def _coco_object(rle: str, height: int, width: int) -> dict[str, object]:
    return {"size": [int(height), int(width)], "counts": rle.encode("ascii")}
