"""Label Studio's brush run-length encoding of one mask, fast and byte for byte what its own converter writes.

The format is a bit stream over the mask's RGBA bytes: a 32-bit count of values, 5 bits "word size - 1" (7), four times
4 bits "size - 1" of the run-length classes (3, 4, 8, 16 bits), then runs: one flag bit (1: the value repeats), 2 bits
class, the length - 1, and the value, or all values of a literal run. See `label_studio_sdk.converter.brush`.
"""

import numpy as np
import numpy.typing as npt

from datalab.errors import InputError
from datalab.masks import BoolMask

CHANNELS = 4
OPAQUE = 255
THRESHOLD = 128
"""Strokes drawn in the browser have soft edges; a pixel is inside from half opacity on."""
SIZES = np.array([3, 4, 8, 16])
"""Bits of a run's length in its four classes."""
LIMITS = np.array([8, 16, 256])
"""Longest runs of the first three classes."""
LONGEST_RUN = 65536
HEADER_BITS = 32 + 5 + 4 * 4
WINDOW_BITS = 40
LARGEST = 2**28
"""Pixels. The count of a stream has 32 bits for four values a pixel; no image that was taken in is nearly as large."""


def mask_to_brush(mask: BoolMask) -> list[int]:
    """The bytes (0 to 255) of a (H, W) boolean mask; its pixels are drawn opaque, the others transparent."""
    if mask.ndim != 2:
        raise InputError(f"a mask must have 2 axes (height, width), got shape {mask.shape}")
    _check_size(*mask.shape)
    lengths, values, split = _runs(mask.ravel())
    # what is left of a split run keeps the largest class, as the converter writes it
    classes = np.where(split, len(LIMITS), np.searchsorted(LIMITS, lengths))
    sizes = SIZES[classes]
    # flag 1, class, length - 1, value: one word of 3 + size + 8 bits
    words = ((4 + classes) << (sizes + 8)) | ((lengths - 1) << 8) | values
    header = _header(mask.size * CHANNELS)
    bits = np.concatenate([header, _as_bits(words, sizes + 11)])
    # at least one bit of padding: the converter ends a stream that fills its last byte with a zero byte
    return list(np.packbits(np.append(bits, np.uint8(0))).tobytes())


def brush_to_mask(rle: list[int], height: int, width: int) -> BoolMask:
    """The (height, width) boolean mask: pixels of at least half opacity. InputError for a damaged stream."""
    _check_size(height, width)
    try:
        stream = np.array(rle, dtype=np.uint8)
        alpha = _decode_alpha(stream, height * width).reshape(height, width)
    except (ValueError, IndexError, OverflowError, TypeError) as exc:
        raise InputError(f"a brush mask of {width} x {height} pixels is damaged: {exc}") from exc
    inside: BoolMask = alpha >= THRESHOLD
    return inside


def _check_size(height: int, width: int) -> None:
    if not 0 < height * width <= LARGEST:
        raise InputError(f"a mask of {width} x {height} pixels cannot be a brush mask; 1 to {LARGEST} pixels can")


Runs = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]


def _runs(flat: npt.NDArray[np.bool_]) -> Runs:
    """Lengths (in bytes, at most 65536) and values (0 or 255) of the runs of the RGBA bytes, and which were split."""
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts = np.concatenate([[0], edges])
    lengths = np.diff(np.concatenate([starts, [flat.size]])) * CHANNELS
    values = np.where(flat[starts], OPAQUE, 0)
    pieces = -(-lengths // LONGEST_RUN)
    shortened = np.full(int(pieces.sum()), LONGEST_RUN)
    shortened[np.cumsum(pieces) - 1] = lengths - (pieces - 1) * LONGEST_RUN
    return shortened, np.repeat(values, pieces), np.repeat(pieces > 1, pieces)


def _header(count: int) -> npt.NDArray[np.uint8]:
    fields = np.array([count, 7, *(SIZES - 1)])
    return _as_bits(fields, np.array([32, 5, 4, 4, 4, 4]))


def _as_bits(words: npt.NDArray[np.int64], widths: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """The words one behind the other, each with its own number of bits, highest bit first."""
    ends = np.cumsum(widths)
    word = np.repeat(np.arange(len(words)), widths)
    shift = ends[word] - 1 - np.arange(ends[-1])
    return ((words[word] >> shift) & 1).astype(np.uint8)


def _decode_alpha(stream: npt.NDArray[np.uint8], pixels: int) -> npt.NDArray[np.uint8]:
    """The alpha of each pixel; ValueError where the stream holds another number of them or ends early."""
    windows = _windows(stream)
    count, width, sizes = _read_header(windows, len(stream))
    if count != pixels * CHANNELS:
        raise ValueError(f"it holds {count} values, not {pixels * CHANNELS}")
    if width != 8:
        raise ValueError("its words are not bytes")
    lengths, starts, is_literal = _heads(windows.tolist(), sizes, count, 8 * len(stream))
    ends = np.cumsum(lengths)
    first = (ends - lengths) // CHANNELS
    # every fourth value is an alpha: pixel k's lies in the run that holds value 4k + 3
    inside = ends // CHANNELS - first
    alpha = np.repeat(_bytes_at(windows, starts), inside)
    literal = np.flatnonzero(is_literal)
    run = np.repeat(literal, inside[literal])
    pixel = first[run] + np.arange(len(run)) - np.repeat(np.cumsum(inside[literal]) - inside[literal], inside[literal])
    place = pixel * CHANNELS + CHANNELS - 1 - (ends - lengths)[run]
    alpha[pixel] = _bytes_at(windows, starts[run] + 8 * place)
    return alpha


def _heads(
    windows: list[int], sizes: list[int], count: int, last: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Of each run its length, the bit where its values start, and whether it is literal."""
    lengths, starts, is_literal = [], [], []
    place, filled = HEADER_BITS, 0
    while filled < count and place < last:
        head = windows[place >> 3] >> (WINDOW_BITS - 19 - (place & 7)) & 0x7FFFF
        size = sizes[head >> 16 & 3]
        length = ((head & 0xFFFF) >> (16 - size)) + 1
        literal = head < 0x40000
        lengths.append(length)
        starts.append(place + 3 + size)
        is_literal.append(literal)
        place += 3 + size + (8 * length if literal else 8)
        filled += length
    if filled != count or place > last:
        raise ValueError("it ends early")
    return np.array(lengths, dtype=np.int64), np.array(starts, dtype=np.int64), np.array(is_literal, dtype=bool)


def _windows(stream: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """At each byte the 40 bits that begin there: enough for the head of a run at any of its bits."""
    padded = np.concatenate([stream, np.zeros(4, dtype=np.uint8)]).astype(np.int64)
    return sum((padded[k : k + len(stream)] << (32 - 8 * k) for k in range(5)), np.zeros(len(stream), dtype=np.int64))


def _bytes_at(windows: npt.NDArray[np.int64], bits: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    values: npt.NDArray[np.int64] = windows[bits >> 3] >> (WINDOW_BITS - 8 - (bits & 7)) & 0xFF
    return values.astype(np.uint8)


def _read_header(windows: npt.NDArray[np.int64], length: int) -> tuple[int, int, list[int]]:
    """How many values, bits per value, bits of a length in the four classes."""
    if 8 * length < HEADER_BITS:
        raise ValueError("it ends early")
    fields = int(windows[4]) >> (WINDOW_BITS - 21)
    return int(windows[0]) >> 8, (fields >> 16) + 1, [(fields >> shift & 15) + 1 for shift in (12, 8, 4, 0)]
