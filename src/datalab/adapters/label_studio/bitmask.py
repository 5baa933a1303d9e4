"""Label Studio's bitmask region: a PNG as data URL, opaque black where the mask is and transparent elsewhere."""

import base64
import binascii
import io

import numpy as np
from PIL import Image, UnidentifiedImageError

from datalab.errors import InputError
from datalab.masks import BoolMask

PREFIX = "data:image/png;base64,"
THRESHOLD = 128
"""The browser's strokes have soft edges; a pixel is inside from half opacity on, as in a brush region."""
TRANSPARENCY = bytes([0, 255])
"""Alpha of the palette's two entries."""


def mask_to_bitmask(mask: BoolMask) -> str:
    """The data URL of a (H, W) boolean mask: a PNG of one bit per pixel."""
    if mask.ndim != 2 or not mask.size:
        raise InputError(f"a mask must have 2 axes (height, width) and a pixel, got shape {mask.shape}")
    image = Image.fromarray(mask.astype(np.uint8), mode="P")
    image.putpalette(bytes(6))
    packed = io.BytesIO()
    image.save(packed, format="PNG", bits=1, transparency=TRANSPARENCY)
    return PREFIX + base64.b64encode(packed.getvalue()).decode("ascii")


def bitmask_to_mask(url: str, height: int, width: int) -> BoolMask:
    """The (height, width) boolean mask: pixels of at least half opacity.

    InputError for anything but a PNG of that size; the size is compared before the pixels are unpacked.
    """
    if not isinstance(url, str) or not url.startswith(PREFIX):
        raise InputError(f"a bitmask is no {PREFIX} address")
    try:
        with Image.open(io.BytesIO(base64.b64decode(url[len(PREFIX) :], validate=True)), formats=["PNG"]) as image:
            if image.size != (width, height):
                raise InputError(f"a bitmask has {image.size[0]} x {image.size[1]} pixels, not {width} x {height}")
            alpha = np.asarray(image.convert("RGBA").getchannel("A"))
    # PIL reports damaged files by SyntaxError too, and files that unpack to far more than they say by its own error
    except (binascii.Error, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as exc:
        # Pillow's own words for what is no picture are an address in memory
        why = "it is no PNG" if isinstance(exc, UnidentifiedImageError) else exc
        raise InputError(f"a bitmask of {width} x {height} pixels is damaged: {why}") from exc
    inside: BoolMask = alpha >= THRESHOLD
    return inside
