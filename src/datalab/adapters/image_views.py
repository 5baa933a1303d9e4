"""Perceptual hashes of an image as it would be mirrored and turned."""

import imagehash
import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE = 32
"""Pixels that the hash looks at, along either side."""
VIEWS = {
    "mirrored": Image.Transpose.FLIP_LEFT_RIGHT,
    "upside down, mirrored": Image.Transpose.FLIP_TOP_BOTTOM,
    "turned by 90 degrees": Image.Transpose.ROTATE_90,
    "turned by 180 degrees": Image.Transpose.ROTATE_180,
    "turned by 270 degrees": Image.Transpose.ROTATE_270,
    "turned by 90 degrees, mirrored": Image.Transpose.TRANSPOSE,
    "turned by 270 degrees, mirrored": Image.Transpose.TRANSVERSE,
}
"""All that a square may be turned into, but for itself."""


def view_hashes(pixels: npt.NDArray[np.uint8]) -> dict[str, int]:
    """Of a (H, W, 3) RGB image the 64 bits of the DCT hash that its views would have in the catalog, by VIEWS."""
    # shrunk once, as the hash does it: 12 megapixels take as long to turn as to read
    small = Image.fromarray(pixels).convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return {view: int(str(imagehash.phash(small.transpose(how))), 16) for view, how in VIEWS.items()}
