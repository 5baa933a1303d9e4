"""Outlines of masks: how well they agree where it is hardest, and how far one lies outside the other, in pixels."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from datalab.masks import BoolMask, outline_band, rle_to_crop

SIDES = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], dtype=np.uint8)


@dataclass(frozen=True)
class Cut:
    """A mask cut to its box: `pixels` (h, w) begin at row `top` and column `left` of the image."""

    top: int
    left: int
    pixels: BoolMask


def cut_of(rle: str, height: int) -> Cut:
    """The mask inside its tight box; an empty mask gives no pixel."""
    return Cut(*rle_to_crop(rle, height))


def band(cut: Cut, width: int) -> Cut:
    """The pixels of a mask that lie within `width` pixels of its outline (the image's edge is outline too)."""
    return Cut(cut.top, cut.left, outline_band(cut.pixels, width))


def cut_iou(a: Cut, b: Cut) -> float:
    """Intersection over union of two cuts of one image, in [0, 1]; two empty ones give 0.

    Of two bands it is boundary IoU (Cheng et al. 2021); for objects thinner than the band it is mask IoU.
    """
    top, left = max(a.top, b.top), max(a.left, b.left)
    bottom = min(a.top + a.pixels.shape[0], b.top + b.pixels.shape[0])
    right = min(a.left + a.pixels.shape[1], b.left + b.pixels.shape[1])
    both = 0
    if bottom > top and right > left:
        both = int(np.count_nonzero(_window(a, top, left, bottom, right) & _window(b, top, left, bottom, right)))
    union = int(np.count_nonzero(a.pixels)) + int(np.count_nonzero(b.pixels)) - both
    return both / union if union else 0.0


def outline_offset(drawn: Cut, true: Cut, height: int, width: int) -> tuple[float, float] | None:
    """(signed, absolute) mean distance in pixels between the outlines of two masks of a (height, width) image.

    Signed is above 0 where `drawn` is too wide: dilating by a disc of 3 pixels gives about 3. Both outlines are looked
    at from the other, and their means averaged. The image's edge is no outline: nobody chose it. None where a mask is
    empty or has no outline inside the image.
    """
    top, left = max(0, min(drawn.top, true.top) - 1), max(0, min(drawn.left, true.left) - 1)
    bottom = min(height, max(one.top + one.pixels.shape[0] for one in (drawn, true)) + 1)
    right = min(width, max(one.left + one.pixels.shape[1] for one in (drawn, true)) + 1)
    ours, theirs = (_pasted(one, top, left, bottom, right) for one in (drawn, true))
    contours = [_contour(one) for one in (ours, theirs)]
    if not all(contour.any() for contour in contours):
        return None
    outward, inward = _distance(theirs)[contours[0]], _distance(ours)[contours[1]]
    signed = (float(outward.mean()) - float(inward.mean())) / 2
    return signed, (float(np.abs(outward).mean()) + float(np.abs(inward).mean())) / 2


def _window(cut: Cut, top: int, left: int, bottom: int, right: int) -> BoolMask:
    return cut.pixels[top - cut.top : bottom - cut.top, left - cut.left : right - cut.left]


def _pasted(cut: Cut, top: int, left: int, bottom: int, right: int) -> npt.NDArray[np.uint8]:
    canvas = np.zeros((bottom - top, right - left), dtype=np.uint8)
    h, w = cut.pixels.shape
    canvas[cut.top - top : cut.top - top + h, cut.left - left : cut.left - left + w] = cut.pixels
    return canvas


def _contour(mask: npt.NDArray[np.uint8]) -> BoolMask:
    """Pixels of the mask with a side to one outside, from which `_distance` is 0; beyond the canvas is inside."""
    contour: BoolMask = (mask > 0) & (cv2.erode(mask, SIDES) == 0)
    return contour


def _distance(mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Signed distance in pixels to the mask's contour: 0 on it, above 0 outside."""
    outside = cv2.distanceTransform(1 - mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    inside = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    signed: npt.NDArray[np.float32] = outside - np.maximum(inside - 1, 0)
    return signed
