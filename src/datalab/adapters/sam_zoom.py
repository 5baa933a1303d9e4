"""A box enlarged before SAM looks: what a small input shows of a small object is a few of its cells.

An input of 256 pixels shows a distant car in one or two of its 16 columns; cut out round the box and enlarged it fills
most of them. That is one more encoding a box, so only models that encode in hundredths of a second do it; the official
ones see 1024 pixels and need seconds.
"""

import numpy as np
import numpy.typing as npt
from segment_anything.modeling import Sam

from datalab.adapters.mask_generator import Box, FoundMask, Pixels, encode, masks_in_boxes

LARGEST_INPUT = 512
"""Pixels of SAM's square; models that see more are not asked twice."""
ROOM = 1.5
"""Side of the part that is looked at, over the longer side of the box. With 2 the masks were a little worse."""
LEAST_SIDE = 24
"""Pixels; a smaller part holds nothing to go by."""


def zooms_in(sam: Sam) -> bool:
    """Whether a box is worth an encoding of its own."""
    return int(sam.image_encoder.img_size) <= LARGEST_INPUT


def part_round(box: npt.NDArray[np.float64], height: int, width: int) -> Box:
    """The square part (x0, y0, x1, y1) of an image round a box x0, y0, x1, y1, as far as the image reaches.

    At least a pixel of the image, wherever the box lies.
    """
    middle = np.clip((box[:2] + box[2:]) / 2, 0, [width, height])
    half = max(ROOM * float((box[2:] - box[:2]).max()), LEAST_SIDE) / 2
    x0, y0 = (int(value) for value in np.clip(np.floor(middle - half), 0, [width - 1, height - 1]))
    x1, y1 = (int(value) for value in np.clip(np.ceil(middle + half), [x0 + 1, y0 + 1], [width, height]))
    return x0, y0, x1, y1


def masks_in_enlarged_boxes(sam: Sam, pixels: Pixels, boxes: npt.NDArray[np.float64]) -> list[FoundMask]:
    """One mask of the size of a (H, W, 3) uint8 RGB image for each of (n, 4) boxes x0, y0, x1, y1; may be empty."""
    size = (pixels.shape[0], pixels.shape[1])
    found: list[FoundMask] = []
    for box in boxes:
        part = x0, y0, x1, y1 = part_round(box, *size)
        encoded = encode(sam, pixels[y0:y1, x0:x1])
        found += masks_in_boxes(encoded, (box - [x0, y0, x0, y0])[None], part, size)
    return found
