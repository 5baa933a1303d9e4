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
LARGEST_SIDE = 65_536


def mask_to_brush(mask: BoolMask) -> list[int]:
    """The bytes (0 to 255) of a (H, W) boolean mask; its pixels are drawn opaque, the others transparent."""
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
    if height * width > LARGEST_SIDE * LARGEST_SIDE // 16:
        raise InputError(f"a mask of {width} x {height} pixels is too large")
    try:
        stream = np.array(rle, dtype=np.uint8)
        alpha = _decode(np.unpackbits(stream), height * width * CHANNELS).reshape(height, width, CHANNELS)[..., 3]
    except (ValueError, IndexError, OverflowError, TypeError) as exc:
        raise InputError(f"a brush mask of {width} x {height} pixels is damaged: {exc}") from exc
    inside: BoolMask = alpha >= THRESHOLD
    return inside


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


def _decode(bits: npt.NDArray[np.uint8], expected: int) -> npt.NDArray[np.uint8]:
    """The `expected` bytes of a stream; ValueError where it holds another number of them or ends early."""
    count = _number(bits, 0, 32)
    if count != expected:
        raise ValueError(f"it holds {count} values, not {expected}")
    if _number(bits, 32, 5) != 7:
        raise ValueError("its words are not bytes")
    sizes = [_number(bits, 37 + 4 * place, 4) + 1 for place in range(4)]
    packed = bits.tobytes()
    out = np.empty(count, dtype=np.uint8)
    place, filled = HEADER_BITS, 0
    while filled < count:
        size = sizes[2 * packed[place + 1] + packed[place + 2]]
        length = _number(bits, place + 3, size) + 1
        values = 8 if packed[place] else 8 * length
        start = place + 3 + size
        place = start + values
        if place > len(bits) or filled + length > count:
            raise ValueError("it ends early")
        out[filled : filled + length] = np.packbits(bits[start:place])
        filled += length
    return out


def _number(bits: npt.NDArray[np.uint8], start: int, size: int) -> int:
    if start + size > len(bits):
        raise ValueError("it ends early")
    value = 0
    for bit in bits[start : start + size].tobytes():
        value = value << 1 | bit
    return value
