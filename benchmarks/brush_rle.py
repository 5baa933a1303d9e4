"""Label Studio's brush run-length encoding of 1024 x 1024 masks: ours against the SDK's converter.

Both sides grow with the number of runs (the length of the outlines), not with the area. `encode` and `decode` are from
and to a mask's pixels, `push` and `pull` from and to the COCO code in which our tables hold masks; beside the SDK's
converter stands pycocotools for that half. A side's turn is ten calls on one mask; in `encode_task` and `decode_task`
it is one call on each of a task's ten different masks: their ten megabytes come out of memory, where the converter's
own arrays have pushed them, and reading them is a third of our time.
"""

from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
from label_studio_sdk.converter.brush import decode_rle, mask2rle
from pycocotools import mask as coco

from datalab.adapters.label_studio.brush import brush_to_mask, mask_to_brush
from datalab.masks import BoolMask, mask_to_rle, rle_to_mask
from measure import median_ratio, parser_of, print_result

SIDE = 1024
MASKS = CALLS = 10
REPEATS = 15
"""A busy machine disturbs a few of them."""
Pair = tuple[Callable[[], Any], Callable[[], Any]]


def blob(rng: np.random.Generator) -> BoolMask:
    """A star-shaped outline with a wobbling radius, about a tenth of the image."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    angle, radius = np.arctan2(y, x), np.hypot(y, x)
    waves = sum(rng.normal(0, 12) * np.sin(k * angle + rng.uniform(0, 6.3)) for k in range(2, 12))
    inside: BoolMask = radius < SIDE / 5 + waves
    return inside


def their_mask(brush: list[int]) -> npt.NDArray[np.bool_]:
    """What the SDK's users make of its decoder's bytes."""
    return np.asarray(np.reshape(decode_rle(brush), (SIDE, SIDE, 4))[..., 3] >= 128)


def alike(mask: BoolMask, brush: list[int], stored: str) -> bool:
    """Whether both sides write the same bytes and read the same mask."""
    return (
        mask_to_brush(mask) == brush
        and mask_to_brush(rle_to_mask(stored, SIDE, SIDE)) == brush
        and np.array_equal(brush_to_mask(brush, SIDE, SIDE), their_mask(brush))
        and mask_to_rle(brush_to_mask(brush, SIDE, SIDE)) == stored
    )


def repeated(call: Callable[[], Any]) -> None:
    """One side's turn on one mask."""
    for _ in range(CALLS):
        call()


def main() -> None:
    """Measure and print."""
    parser_of(__doc__).parse_args()
    rng = np.random.default_rng(1)
    masks = [blob(rng) for _ in range(MASKS)]
    alphas = [mask.astype(np.uint8) * 255 for mask in masks]
    brushes, stored = [mask2rle(alpha) for alpha in alphas], [mask_to_rle(mask) for mask in masks]
    gate = all(map(alike, masks, brushes, stored))
    mask, alpha, brush, code = masks[0], alphas[0], brushes[0], stored[0]
    pairs: dict[str, Pair] = {
        "encode": (lambda: mask_to_brush(mask), lambda: mask2rle(alpha)),
        "decode": (lambda: brush_to_mask(brush, SIDE, SIDE), lambda: decode_rle(brush)),
        "push": (
            lambda: mask_to_brush(rle_to_mask(code, SIDE, SIDE)),
            lambda: mask2rle(coco.decode({"size": [SIDE, SIDE], "counts": code}) * 255),
        ),
        "pull": (
            lambda: mask_to_rle(brush_to_mask(brush, SIDE, SIDE)),
            lambda: coco.encode(np.asfortranarray(their_mask(brush), dtype=np.uint8)),
        ),
    }
    turns: dict[str, Pair] = {
        name: (partial(repeated, ours), partial(repeated, theirs)) for name, (ours, theirs) in pairs.items()
    }
    turns["encode_task"] = (lambda: list(map(mask_to_brush, masks)), lambda: list(map(mask2rle, alphas)))
    turns["decode_task"] = (
        lambda: [brush_to_mask(one, SIDE, SIDE) for one in brushes],
        lambda: list(map(decode_rle, brushes)),
    )
    ratio = {name: median_ratio(ours, theirs, REPEATS) for name, (ours, theirs) in turns.items()}
    peer = f"label-studio-sdk {version('label-studio-sdk')} converter.brush"
    sizes = {"side": SIDE, "masks": MASKS, "codes": sum(map(len, brushes))}
    print_result("brush_rle", ratio, peer, sizes, REPEATS, gate)


if __name__ == "__main__":
    main()
