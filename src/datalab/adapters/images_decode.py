"""From the bytes of a file as people have it to a plain 8-bit picture, or the reason why not.

Whatever the format, the outcome is mode "L" or "RGB", upright, one frame:
EXIF orientation is applied; 16-bit, 32-bit and floating point values are stretched from their own smallest and largest
value to 0..255 (one range for all channels, so that colours keep their hue); transparent pixels are laid on white;
palettes, CMYK and the like become RGB. Of a phone's multi-picture JPEG (MPO) the main picture is taken; any other file
with several frames is refused, since nobody can say which of them is meant.
"""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from warnings import catch_warnings, simplefilter

import cv2
import imagehash
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

FORMATS = ("JPEG", "PNG", "BMP", "DIB", "TIFF", "WEBP", "GIF", "JPEG2000", "PPM", "AVIF")
"""What Pillow may try; its other readers (EPS starts a program, FITS, ...) stay shut."""
KEPT_AS_THEY_ARE = {"JPEG": "jpg", "PNG": "png"}
ORIENTATION = 0x0112
BITS, PHOTOMETRIC, PLANES = 258, 262, 284
"""Of a TIFF: bits of each channel, what its values stand for, and where the channels lie."""
WHITE_IS_ZERO, SEPARATE = 0, 2
ROWS = 256
"""Stretched at once."""


class NotUsableError(Exception):
    """This file gives no picture; the message says why. Never leaves the image adapters."""


@dataclass(frozen=True)
class Picture:
    """A usable image: `content` is what to store under `suffix`; `phash`: 16 hex digits of the DCT hash."""

    suffix: str
    content: bytes
    width: int
    height: int
    phash: str


def image_id_of(content: bytes) -> str:
    """First 16 hex digits of the SHA-256 of a file's bytes."""
    return hashlib.sha256(content).hexdigest()[:16]


def read_picture(content: bytes, max_pixels: int, min_side: int) -> Picture:
    """Decode all of a file's bytes; NotUsableError with the reason, whatever the decoder trips over."""
    Image.init()  # loads all readers; a build without AVIF must not be asked for it
    readers = [name for name in FORMATS if name in Image.OPEN]
    try:
        with Image.open(io.BytesIO(content), formats=readers) as image:
            _check_header(image, max_pixels, min_side)
            deep = _is_deep(image)  # before anything is decoded: then Pillow has forgotten it
            # before EXIF is asked for: of a PNG Pillow decodes the pixels for that, and a broken EXIF block is forgiven
            image.load()
            as_it_is = not deep and _is_plain(image)
            suffix = KEPT_AS_THEY_ARE.get(str(image.format), "png") if as_it_is else "png"
            plain = _plain(image, content, deep)
    except NotUsableError:
        raise
    except Exception as exc:  # decoders raise nearly every class there is on a broken file
        raise NotUsableError(_reason(exc)) from exc
    return Picture(
        suffix=suffix,
        content=content if as_it_is else _png(plain),
        width=plain.width,
        height=plain.height,
        phash=str(imagehash.phash(plain)),
    )


@contextmanager
def own_limits() -> Iterator[None]:
    """Pillow's own bomb limit and warnings off while `read_picture` runs: it checks each header by itself.

    They are settings of the whole process, hence here once and not in every thread.
    """
    limit = Image.MAX_IMAGE_PIXELS
    with catch_warnings():
        simplefilter("ignore")
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _check_header(image: Image.Image, max_pixels: int, min_side: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise NotUsableError(f"{width}x{height} pixels is more than max_pixels {max_pixels}; it was not decoded")
    if min(width, height) < min_side:
        raise NotUsableError(f"{width}x{height} pixels: a side is smaller than min_side {min_side}")
    if image.format != "MPO" and getattr(image, "is_animated", False):
        raise NotUsableError("has more than one frame; save the one you mean as a picture of its own")


def _is_plain(image: Image.Image) -> bool:
    """Whether the original bytes may be stored: any reader shows them as the very picture that `_plain` gives."""
    return (
        image.format in KEPT_AS_THEY_ARE
        and image.mode in ("L", "RGB")
        and "transparency" not in image.info
        and _orientation(image) == 1
    )


def _plain(image: Image.Image, content: bytes, deep: bool) -> Image.Image:
    # a TIFF is turned while it is loaded, by Pillow as by OpenCV
    orientation = 1 if image.format == "TIFF" else _orientation(image)
    if deep:
        if isinstance(image, TiffImageFile) and image.tag_v2.get(PLANES) == SEPARATE:
            raise NotUsableError("16-bit colours in separate planes cannot be read; save it as a 16-bit RGB PNG")
        values = np.asarray(image) if image.mode[0] in "IF" else _deep_colour(content)
        image = _stretched(values, _is_white_least(image), image.info.get("transparency"))
    elif "transparency" in image.info or image.mode in ("LA", "PA", "RGBA", "La", "RGBa"):
        image = _on_white(image)
    elif image.mode not in ("L", "RGB"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    return _turned(image, orientation)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1 to 8; 1 where the file has none or its EXIF block is broken."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # a broken EXIF block says nothing about the pixels
        return 1
    return value if value in range(1, 9) else 1


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    """Upright, without any other metadata."""
    upright = Image.fromarray(np.asarray(image))
    upright.getexif()[ORIENTATION] = orientation
    return ImageOps.exif_transpose(upright)


def _is_deep(image: Image.Image) -> bool:
    """More than 8 bits a channel. Pillow opens 16-bit colour as "RGB" and drops the low byte silently; where it comes
    with transparency, that is accepted.
    """
    if image.mode[0] in "IF":
        return True
    if image.mode != "RGB":
        return False
    if isinstance(image, TiffImageFile):
        return bool(max(image.tag_v2.get(BITS, (8,))) > 8)
    tiles: list[Any] = getattr(image, "tile", [])
    raw_modes = [tile[3] if isinstance(tile[3], str) else tile[3][0] for tile in tiles if tile[3]]
    return image.format == "PNG" and any("16" in mode for mode in raw_modes)


def _is_white_least(image: Image.Image) -> bool:
    """Whether 0 stands for white; of 8 bits Pillow has turned that round, of more it has not."""
    return isinstance(image, TiffImageFile) and bool(image.tag_v2.get(PHOTOMETRIC) == WHITE_IS_ZERO)


def _deep_colour(content: bytes) -> npt.NDArray[Any]:
    """The (H, W, 3) RGB values of a 16-bit colour file, unscaled; a TIFF upright, a PNG not turned."""
    values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.ndim != 3 or values.shape[2] != 3 or values.dtype == np.uint8:
        raise NotUsableError("16-bit colour of a kind that cannot be read; save it as a 16-bit RGB PNG")
    return values[..., ::-1]


def _stretched(values: npt.NDArray[Any], white_is_least: bool, transparent: object) -> Image.Image:
    """(H, W) or (H, W, 3) values mapped from [smallest, largest] to 0..255 uint8; NaN and infinities become 0.

    Turned round with `white_is_least`; where a grey value is `transparent` it becomes white. Rows go by blocks: in
    double precision a large photograph would take gigabytes.
    """
    blocks = [slice(start, start + ROWS) for start in range(0, len(values), ROWS)]
    known = (values[block][np.isfinite(values[block])] for block in blocks)
    ends = [(float(one.min()), float(one.max())) for one in known if len(one)]
    if not ends:
        raise NotUsableError("no pixel has a finite value")
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    share = 255.0 / (high - low) if high > low else 0.0
    stretched = np.empty(values.shape, dtype=np.uint8)
    for block in blocks:
        part = values[block].astype(np.float64)
        scaled = np.round((np.where(np.isfinite(part), part, low) - low) * share)
        stretched[block] = 255 - scaled if white_is_least else scaled
        if isinstance(transparent, int):
            stretched[block][values[block] == transparent] = 255
    return Image.fromarray(stretched)


def _on_white(image: Image.Image) -> Image.Image:
    grey = image.mode in ("L", "LA", "La")
    layer = image.convert("RGBA")
    white = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(white, layer).convert("L" if grey else "RGB")


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def _reason(exc: Exception) -> str:
    if isinstance(exc, UnidentifiedImageError):
        return "not an image of a format that can be read; save it as JPEG or PNG"
    return f"cannot be decoded: {' '.join(str(exc).split()) or type(exc).__name__}"
