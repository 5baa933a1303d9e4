"""Label Studio's brush run-length encoding of a 1024 x 1024 mask: ours against the SDK's converter.

Both sides grow with the number of runs (the length of the outline), not with the area.
"""

from importlib.metadata import version

import numpy as np
from label_studio_sdk.converter.brush import decode_rle, mask2rle

from datalab.adapters.label_studio.brush import brush_to_mask, mask_to_brush
from datalab.masks import BoolMask
from measure import median_ratio, print_result

SIDE = 1024
REPEATS = 7


def blob(rng: np.random.Generator) -> BoolMask:
    """A star-shaped outline with a wobbling radius, about a tenth of the image."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    angle, radius = np.arctan2(y, x), np.hypot(y, x)
    waves = sum(rng.normal(0, 12) * np.sin(k * angle + rng.uniform(0, 6.3)) for k in range(2, 12))
    inside: BoolMask = radius < SIDE / 5 + waves
    return inside


def main() -> None:
    """Measure and print."""
    mask = blob(np.random.default_rng(1))
    alpha = mask.astype(np.uint8) * 255
    rle = mask2rle(alpha)
    decoded = np.reshape(decode_rle(rle), (SIDE, SIDE, 4))[..., 3] >= 128
    gate = mask_to_brush(mask) == rle and np.array_equal(brush_to_mask(rle, SIDE, SIDE), decoded)
    ratio = {
        "encode": median_ratio(lambda: mask_to_brush(mask), lambda: mask2rle(alpha), REPEATS),
        "decode": median_ratio(lambda: brush_to_mask(rle, SIDE, SIDE), lambda: decode_rle(rle), REPEATS),
    }
    peer = f"label-studio-sdk {version('label-studio-sdk')} converter.brush"
    print_result("brush_rle", ratio, peer, {"side": SIDE, "codes": len(rle)}, REPEATS, bool(gate))


if __name__ == "__main__":
    main()
