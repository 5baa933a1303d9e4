"""Label Studio's brush run-length encoding of a 1024 x 1024 mask: ours against the SDK's converter.

Both sides grow with the number of runs (the length of the outline), not with the area. `encode` and `decode` are from
and to the mask's pixels, `push` and `pull` from and to the COCO code in which our tables hold masks; beside the SDK's
converter stands pycocotools for that half.
"""

from importlib.metadata import version

import numpy as np
import numpy.typing as npt
from label_studio_sdk.converter.brush import decode_rle, mask2rle
from pycocotools import mask as coco

from datalab.adapters.label_studio.brush import brush_to_mask, mask_to_brush
from datalab.masks import BoolMask, mask_to_rle, rle_to_mask
from measure import median_ratio, print_result

SIDE = 1024
REPEATS = 15
"""Both sides take a fraction of a millisecond to some; a busy machine disturbs a few of them."""


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


def main() -> None:
    """Measure and print."""
    mask = blob(np.random.default_rng(1))
    alpha = mask.astype(np.uint8) * 255
    brush, stored = mask2rle(alpha), mask_to_rle(mask)
    counts = {"size": [SIDE, SIDE], "counts": stored}
    gate = (
        mask_to_brush(mask) == brush
        and mask_to_brush(rle_to_mask(stored, SIDE, SIDE)) == brush
        and np.array_equal(brush_to_mask(brush, SIDE, SIDE), their_mask(brush))
        and mask_to_rle(brush_to_mask(brush, SIDE, SIDE)) == stored
    )
    pairs = {
        "encode": (lambda: mask_to_brush(mask), lambda: mask2rle(alpha)),
        "decode": (lambda: brush_to_mask(brush, SIDE, SIDE), lambda: decode_rle(brush)),
        "push": (lambda: mask_to_brush(rle_to_mask(stored, SIDE, SIDE)), lambda: mask2rle(coco.decode(counts) * 255)),
        "pull": (
            lambda: mask_to_rle(brush_to_mask(brush, SIDE, SIDE)),
            lambda: coco.encode(np.asfortranarray(their_mask(brush), dtype=np.uint8)),
        ),
    }
    ratio = {name: median_ratio(ours, theirs, REPEATS) for name, (ours, theirs) in pairs.items()}
    peer = f"label-studio-sdk {version('label-studio-sdk')} converter.brush"
    print_result("brush_rle", ratio, peer, {"side": SIDE, "codes": len(brush)}, REPEATS, bool(gate))


if __name__ == "__main__":
    main()
