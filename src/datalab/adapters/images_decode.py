"""From the bytes of a file as people have it to a plain 8-bit picture, or the reason why not.

Whatever the format, the outcome is mode "L" or "RGB", upright, one frame:
EXIF orientation is applied; 16-bit, 32-bit and floating point values are stretched from their own smallest and largest
value to 0..255 (one range for all channels, so that colours keep their hue); transparent pixels are laid on white;
palettes, CMYK (of 16 bits the upper 8) and the like become RGB. Of a phone's multi-picture JPEG (MPO) the main picture
is taken; any other file with several frames is refused, since nobody can say which of them is meant.
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
BITS, PHOTOMETRIC, PLANES, TILE_WIDTH, TILE_HEIGHT, EXTRA_CHANNELS, SIGN = 258, 262, 284, 322, 323, 338, 339
"""Of a TIFF: bits of each channel, what its values stand for, where the channels lie, tiles, what a fourth one is, and
whether values are below 0, too."""
WHITE_IS_ZERO, SEPARATE, PREMULTIPLIED, UNSIGNED, SIGNED = 0, 2, (1,), (1,), (2,)
TIFF_STARTS = (b"II*\0", b"MM\0*")
GREY_OF_FEW_BITS = {"L;2": 85, "L;4": 17}
"""By Pillow's name of how it is packed: what its values are multiplied by when they are decoded."""
JPEG2000_SIZE = b"\xff\x4f\xff\x51"
"""The marker that a JPEG2000's pixels begin with, and that of the sizes; 40 bytes on is the number of channels."""
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
            bits = channel_bits(image, content)  # before anything is decoded: then Pillow has forgotten it
            # before EXIF is asked for: of a PNG Pillow decodes the pixels for that, and a broken EXIF block is forgiven
            image.load()
            as_it_is = bits <= 8 and _is_plain(image)
            suffix = KEPT_AS_THEY_ARE.get(str(image.format), "png") if as_it_is else "png"
            plain = image if as_it_is else _plain(image, content, bits)
            phash = str(imagehash.phash(plain))
    except NotUsableError:
        raise
    except Exception as exc:  # decoders raise nearly every class there is on a broken file
        raise NotUsableError(_reason(exc, content)) from exc
    return Picture(
        suffix=suffix,
        content=content if as_it_is else _png(plain),
        width=plain.width,
        height=plain.height,
        phash=phash,
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
    if isinstance(image, TiffImageFile):
        # a tile is decoded whole, however little of it is in the picture; a strip ends where the picture does
        columns, rows = int(image.tag_v2.get(TILE_WIDTH, 0)), int(image.tag_v2.get(TILE_HEIGHT, 0))
        if columns * rows > max_pixels:
            raise NotUsableError(f"a tile of {columns}x{rows} pixels is more than max_pixels {max_pixels}")
        if image.mode == "L" and image.tag_v2.get(SIGN) == SIGNED:
            raise NotUsableError("grey of signed 8 bits cannot be read; save it as 16-bit grey")


def _is_plain(image: Image.Image) -> bool:
    """Whether the original bytes may be stored: any reader shows them as the very picture that `_plain` gives."""
    return (
        image.format in KEPT_AS_THEY_ARE
        and image.mode in ("L", "RGB")
        and "transparency" not in image.info
        and _orientation(image) == 1
    )


def _plain(image: Image.Image, content: bytes, bits: int) -> Image.Image:
    # a TIFF is turned while it is loaded, by Pillow as by OpenCV
    orientation = 1 if image.format == "TIFF" else _orientation(image)
    if bits > 8:
        image = _from_deep(image, content, bits)
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


def channel_bits(image: Image.Image, content: bytes) -> int:
    """Bits of each channel in the file that `image` was opened from and not yet decoded: 8 or more.

    Of colours with more than 8 Pillow keeps the upper 8 silently. 16 stands for grey of any more bits; CMYK has 8.
    """
    if image.mode[0] in "IF":
        return 16
    if image.mode not in ("LA", "RGB", "RGBA"):
        return 8
    if isinstance(image, TiffImageFile):
        return int(max(image.tag_v2.get(BITS, (8,))))
    if image.format == "JPEG2000":
        return _bits_of_jpeg2000(content)
    tiles: list[Any] = getattr(image, "tile", [])
    if image.format == "PNG":
        return 16 if any("16" in tile[3] for tile in tiles) else 8
    # of a PPM the largest value is known, unless it is 255
    is_deep = image.format == "PPM" and any(isinstance(tile[3], tuple) and tile[3][1] > 255 for tile in tiles)
    return 16 if is_deep else 8


def multiplied_by(image: Image.Image) -> int:
    """What grey of two or four bits is multiplied by when `image`, not yet decoded, is; 1 of all others."""
    packed = [tile[3] if isinstance(tile[3], str) else tile[3][0] for tile in getattr(image, "tile", []) if tile[3]]
    return GREY_OF_FEW_BITS.get(str(packed[0]), 1) if packed else 1


def _bits_of_jpeg2000(content: bytes) -> int:
    """The largest number among the channels', each of which has three bytes; the first one's upper bit is a sign."""
    at = content.find(JPEG2000_SIZE) + 40
    channels = int.from_bytes(content[at : at + 2])
    return max((byte & 0x7F for byte in content[at + 2 : at + 2 + 3 * channels : 3]), default=7) + 1


def _is_white_least(image: Image.Image) -> bool:
    """Whether 0 stands for white; of 8 bits Pillow has turned that round, of more it has not."""
    return isinstance(image, TiffImageFile) and bool(image.tag_v2.get(PHOTOMETRIC) == WHITE_IS_ZERO)


def _from_deep(image: Image.Image, content: bytes, bits: int) -> Image.Image:
    """8-bit grey or RGB of a file with more bits; a TIFF upright, any other not turned."""
    if isinstance(image, TiffImageFile) and image.tag_v2.get(PLANES) == SEPARATE:
        raise NotUsableError("16-bit colours in separate planes cannot be read; save it as a 16-bit RGB PNG")
    if image.mode[0] in "IF":
        values = np.asarray(image)
        if (
            isinstance(image, TiffImageFile)
            and values.dtype == np.int32
            and image.tag_v2.get(SIGN, UNSIGNED) == UNSIGNED
        ):
            values = values.view(np.uint32)  # Pillow takes the upper half of them for negative
        grey = _stretched(values, _is_white_least(image), image.info.get("transparency"))
        return Image.fromarray(grey)
    values = _deep_colour(content, 4 if image.mode == "RGBA" or "transparency" in image.info else 3)
    colour, opaque = values[..., 2::-1], 2**bits - 1
    if values.shape[2] == 3:
        return Image.fromarray(_stretched(colour))
    alpha = values[..., 3]
    if isinstance(image, TiffImageFile) and image.tag_v2.get(EXTRA_CHANNELS) == PREMULTIPLIED:
        _undo_premultiplied(colour, alpha, opaque)
    # what nobody sees must not count for the range
    colour[alpha == 0] = colour[np.unravel_index(alpha.argmax(), alpha.shape)]
    plain = _stretched(colour)
    _lay_on_white(plain, alpha, opaque)
    return Image.fromarray(plain)


def _deep_colour(content: bytes, channels: int) -> npt.NDArray[Any]:
    """The (H, W, channels) values of a 16-bit colour file, unscaled, in the order blue, green, red, alpha."""
    values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.ndim != 3 or values.shape[2] != channels or values.dtype == np.uint8:
        raise NotUsableError("16-bit colour of a kind that cannot be read; save it as a 16-bit RGB PNG")
    return values


def _blocks(height: int) -> list[slice]:
    """Rows that are computed at once: in double precision a large photograph would take gigabytes."""
    return [slice(start, start + ROWS) for start in range(0, height, ROWS)]


def _undo_premultiplied(colour: npt.NDArray[Any], alpha: npt.NDArray[Any], opaque: int) -> None:
    """In place: the (H, W, 3) colours as they were before they were multiplied by their share of `opaque`."""
    for block in _blocks(len(colour)):
        share = np.maximum(alpha[block], 1)[..., None] / opaque
        colour[block] = np.minimum(np.round(colour[block] / share), opaque)


def _lay_on_white(plain: npt.NDArray[np.uint8], alpha: npt.NDArray[Any], opaque: int) -> None:
    """In place, (H, W, 3) colours with an `alpha` (H, W) from 0 to `opaque`."""
    for block in _blocks(len(plain)):
        plain[block] = np.round(255 - (255.0 - plain[block]) * (alpha[block] / opaque)[..., None])


def _stretched(
    values: npt.NDArray[Any], white_is_least: bool = False, transparent: object = None
) -> npt.NDArray[np.uint8]:
    """(H, W) or (H, W, 3) values mapped from [smallest, largest] to 0..255; NaN and infinities become 0.

    Turned round with `white_is_least`; where a grey value is `transparent` it becomes white.
    """
    blocks = _blocks(len(values))
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
    return stretched


def _on_white(image: Image.Image) -> Image.Image:
    grey = image.mode in ("L", "LA", "La")
    layer = image.convert("RGBA")
    white = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(white, layer).convert("L" if grey else "RGB")


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def _reason(exc: Exception, content: bytes) -> str:
    if isinstance(exc, UnidentifiedImageError) and content.startswith(TIFF_STARTS):
        return "a TIFF of a kind that cannot be read, such as floating point colour; save it as a 16-bit TIFF or PNG"
    if isinstance(exc, UnidentifiedImageError):
        return "not an image of a format that can be read; save it as JPEG or PNG"
    return f"cannot be decoded: {' '.join(str(exc).split()) or type(exc).__name__}"
