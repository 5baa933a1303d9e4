"""Label Studio's brush run-length encoding of one mask, fast and byte for byte what its own converter writes.

The format is a bit stream over the mask's RGBA bytes: a 32-bit count of values, 5 bits "word size - 1" (7), four times
4 bits "size - 1" of the run-length classes (3, 4, 8, 16 bits), then runs: one flag bit (1: the value repeats), 2 bits
class, the length - 1, and the value, or all values of a literal run. See `label_studio_sdk.converter.brush`.
"""

import numpy as np
import numpy.typing as npt

from datalab.errors import InputError
from datalab.masks import BoolMask, row_runs

CHANNELS = 4
OPAQUE = 255
THRESHOLD = 128
"""Strokes drawn in the browser have soft edges; a pixel is inside from half opacity on."""
SIZES = np.array([3, 4, 8, 16])
"""Bits of a run's length in its four classes."""
LIMITS = np.array([8, 16, 256])
"""Longest runs of the first three classes."""
LONGEST_RUN = 65536
HEADS = (4 + np.arange(len(SIZES))) << (SIZES + 8)
"""Of each class a word's flag, class and room for length and value."""
WIDTHS = SIZES + 11
"""Bits of a word of each class."""
HEADER_BITS = 32 + 21
HEADER_FIELDS = int("00111" + "".join(f"{size - 1:04b}" for size in SIZES), 2)
"""The 21 bits behind the count."""
HEAD_BITS = 1 + 2 + 16
LITERAL = 1 << (HEAD_BITS - 1)
"""Heads below have the flag 0."""
WINDOW_BITS = 40
TAIL = bytes(4)
"""Behind a stream, so that a window begins at its every byte."""
Integers = npt.NDArray[np.int64]
LARGEST = 2**28
"""Pixels. The count of a stream has 32 bits for four values a pixel; no image that was taken in is nearly as large."""


def mask_to_brush(mask: BoolMask) -> list[int]:
    """The bytes (0 to 255) of a (H, W) boolean mask; its pixels are drawn opaque, the others transparent."""
    if mask.ndim != 2:
        raise InputError(f"a mask must have 2 axes (height, width), got shape {mask.shape}")
    _check_size(*mask.shape)
    return list(_joined(mask.size * CHANNELS, *_words(mask)))


def brush_to_mask(rle: list[int], height: int, width: int) -> BoolMask:
    """The (height, width) boolean mask: pixels of at least half opacity. InputError for a damaged stream."""
    _check_size(height, width)
    try:
        stream = np.frombuffer(bytes([*rle, *TAIL]), dtype=np.uint8)
        return _decode(stream, height * width).reshape(height, width)
    except (ValueError, IndexError, OverflowError, TypeError) as exc:
        raise InputError(f"a brush mask of {width} x {height} pixels is damaged: {exc}") from exc


def _check_size(height: int, width: int) -> None:
    if not 0 < height * width <= LARGEST:
        raise InputError(f"a mask of {width} x {height} pixels cannot be a brush mask; 1 to {LARGEST} pixels can")


def _words(mask: BoolMask) -> tuple[Integers, Integers]:
    """Of each run of the RGBA bytes its word (flag 1, class, length - 1, value) and how many bits that has."""
    pixels = row_runs(mask)
    begin = int(pixels[0] == 0)
    lengths = pixels[begin:] * CHANNELS
    values: Integers = np.zeros(len(lengths), dtype=np.int64)
    values[1 - begin :: 2] = OPAQUE
    classes = np.searchsorted(LIMITS, lengths)
    if lengths.max() > LONGEST_RUN:
        pieces = -(-lengths // LONGEST_RUN)
        # what is left of a split run keeps the largest class, as the converter writes it
        classes = np.repeat(np.where(pieces > 1, len(LIMITS), classes), pieces)
        values = np.repeat(values, pieces)
        last = np.cumsum(pieces) - 1
        rest = lengths - (pieces - 1) * LONGEST_RUN
        lengths = np.full(len(classes), LONGEST_RUN)
        lengths[last] = rest
    return HEADS[classes] + ((lengths - 1) << 8) + values, WIDTHS[classes]


def _joined(count: int, words: Integers, widths: Integers) -> bytes:
    """The header with the `count`, and the words one behind the other, each with its own number of bits, highest first.

    At least one bit of padding: the converter ends a stream that fills its last byte with a zero byte.
    """
    ends = np.cumsum(widths) + HEADER_BITS
    starts = ends - widths
    # each word at its place in the 64 bits that begin with the cell of 32 in which it begins
    placed = (words << (64 - widths - (starts & 31))).view(np.uint64)
    first, size = starts >> 5, (int(ends[-1]) >> 5) + 2
    # words do not overlap, so that adding joins them; sums below 2 ** 32 are exact
    cells = np.bincount(first, placed >> 32, size) + np.bincount(first + 1, placed & 0xFFFFFFFF, size)
    cells[0] += count
    cells[1] += HEADER_FIELDS << (64 - HEADER_BITS)
    return cells.astype(">u4").tobytes()[: (int(ends[-1]) >> 3) + 1]


def _decode(stream: npt.NDArray[np.uint8], pixels: int) -> npt.NDArray[np.bool_]:
    """Which pixels have at least half opacity; ValueError where the stream holds another number of them."""
    windows = _windows(stream)
    last = 8 * (len(stream) - len(TAIL))
    sizes = _read_header(windows, last, pixels * CHANNELS)
    starts = np.array(_starts(windows.tolist(), sizes, last), dtype=np.int64)
    heads = windows[starts >> 3] >> (WINDOW_BITS - HEAD_BITS - (starts & 7)) & (2**HEAD_BITS - 1)
    bits = np.array(sizes)[heads >> 16 & 3]
    lengths = ((heads & 0xFFFF) >> (16 - bits)) + 1
    ends = np.cumsum(lengths)
    runs = int(np.searchsorted(ends, pixels * CHANNELS)) + 1
    literal = heads[:runs] < LITERAL
    starts, lengths, ends = (starts + 3 + bits)[:runs], lengths[:runs], ends[:runs]
    values = np.where(literal, 8 * lengths, 8)
    if runs > len(ends) or ends[-1] != pixels * CHANNELS or starts[-1] + values[-1] > last:
        raise ValueError("it ends early")
    return _alpha(windows, starts, ends, lengths, np.flatnonzero(literal))


def _alpha(
    windows: Integers, starts: Integers, ends: Integers, lengths: Integers, literal: Integers
) -> npt.NDArray[np.bool_]:
    """Every fourth value is an alpha: pixel k's lies in the run that holds value 4k + 3."""
    first = (ends - lengths) // CHANNELS
    inside = ends // CHANNELS - first
    opaque = np.repeat(_bytes_at(windows, starts) >= THRESHOLD, inside)
    if len(literal):
        run = np.repeat(literal, inside[literal])
        before = np.cumsum(inside[literal]) - inside[literal]
        pixel = first[run] + np.arange(len(run)) - np.repeat(before, inside[literal])
        place = pixel * CHANNELS + CHANNELS - 1 - (ends - lengths)[run]
        opaque[pixel] = _bytes_at(windows, starts[run] + 8 * place) >= THRESHOLD
    return opaque


def _starts(windows: list[int], sizes: list[int], last: int) -> list[int]:
    """The bit where each run begins, and those that padding would be.

    Each run says where the next one begins, so this is the one loop; all else is done for all runs at once.
    """
    steps = [3 + size for size in sizes] + [3 + size + 8 for size in sizes]
    starts, place = [], HEADER_BITS
    while place < last:
        starts.append(place)
        window, used = windows[place >> 3], place & 7
        kind = window >> (WINDOW_BITS - 3 - used) & 7
        place += steps[kind]
        if kind < 4:
            head = window >> (WINDOW_BITS - HEAD_BITS - used) & 0xFFFF
            place += 8 * ((head >> (16 - sizes[kind])) + 1)
    return starts


def _windows(stream: npt.NDArray[np.uint8]) -> Integers:
    """At each byte but the last 4 the 40 bits that begin there: enough for the head of a run at any of its bits."""
    wide = stream.astype(np.int64)
    count = len(stream) - 4
    return sum((wide[k : k + count] << (32 - 8 * k) for k in range(5)), np.zeros(count, dtype=np.int64))


def _bytes_at(windows: Integers, bits: Integers) -> npt.NDArray[np.uint8]:
    values: Integers = windows[bits >> 3] >> (WINDOW_BITS - 8 - (bits & 7)) & 0xFF
    return values.astype(np.uint8)


def _read_header(windows: Integers, last: int, count: int) -> list[int]:
    """Bits of a length in the four classes; ValueError where the stream does not hold `count` bytes."""
    if last < HEADER_BITS:
        raise ValueError("it ends early")
    held, fields = int(windows[0]) >> 8, int(windows[4]) >> (WINDOW_BITS - 21)
    if held != count:
        raise ValueError(f"it holds {held} values, not {count}")
    if fields >> 16 != 7:
        raise ValueError("its words are not bytes")
    return [(fields >> shift & 15) + 1 for shift in (12, 8, 4, 0)]
