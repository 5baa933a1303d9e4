"""Whether images show a part of one another: crops of one photograph, tiles that overlap.

Neither a hash nor an encoder's vector of the whole image tells. Corners do, whose surroundings are 256 bits (ORB:
Rublee et al. 2011). Images that have many in common are likely (locality-sensitive hashing: Gionis, Indyk, Motwani
1999); of two such the corners have to lie alike (RANSAC: Fischler, Bolles 1981), and then the pixels must be the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

Grey = npt.NDArray[np.uint8]
"""(H, W)."""
Laying = npt.NDArray[np.float64]
"""(2, 3): turns, scales and moves the pixels of one image onto another's."""
SIDE = 512
"""Pixels of the longest side at which images are compared; smaller ones are enlarged."""
CORNERS = 500
"""Of an image at most, the clearest."""
FAINTEST = 3
"""Grey levels by which a corner stands out at least. At ORB's own 20 a smooth surface has hardly any."""
THINNEST = 16
"""Pixels of the shorter side: around a corner of less there are no 256 bits, and of two ORB makes none at all."""
WORDS, WORD_BITS = 8, 20
"""Of a corner, and of a word: a fifth of the words survive where one bit in twelve differs."""
COMMON, COMMON_SHARE = 20, 0.1
"""Images, and share of all: a word of more than both tells nothing."""
LIKELY = 10
"""Images that each is compared with, corner by corner."""
UNLIKE_NEXT = 0.8
"""Of the distance to the second nearest corner, what the nearest may be at (Lowe 2004)."""
FEWEST_CORNERS = 8
"""That lie alike: of other photographs seven did by chance."""
OFF = 3.0
"""Pixels by which a corner may lie elsewhere."""
LEAST_PART = 0.05
"""Of the image; pixels of less may be the same by chance."""


@dataclass(frozen=True)
class Corners:
    """What an image of SIDE pixels is known by."""

    places: npt.NDArray[np.float32]
    """(n, 2) x and y in pixels."""
    bits: npt.NDArray[np.uint8]
    """(n, 32) what is around each."""


def to_compare(rgb: npt.NDArray[np.uint8]) -> Grey:
    """The (H, W, 3) image in grey, its longest side SIDE pixels."""
    scale = SIDE / max(rgb.shape[:2])
    height, width = (max(1, round(side * scale)) for side in rgb.shape[:2])
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grey, (width, height), interpolation=how), dtype=np.uint8)


def mirror(grey: Grey) -> Grey:
    """From left to right: corners are found turned, not mirrored."""
    return np.ascontiguousarray(grey[:, ::-1])


def find_corners(grey: Grey) -> Corners:
    """Those of an image as `to_compare` gives it; none of a flat one, nor of a strip."""
    if min(grey.shape) < THINNEST:
        return Corners(np.zeros((0, 2), dtype=np.float32), np.zeros((0, 32), dtype=np.uint8))
    finder = cv2.ORB.create(CORNERS, fastThreshold=FAINTEST)
    points, bits = finder.detectAndCompute(grey, None)  # type: ignore[call-overload]  # None: no mask
    places = np.array([point.pt for point in points], dtype=np.float32).reshape(-1, 2)
    return Corners(places, np.zeros((0, 32), dtype=np.uint8) if bits is None else np.asarray(bits, dtype=np.uint8))


def likely_sharing(judged: Sequence[Corners], known: Sequence[Corners]) -> list[list[int]]:
    """For each judged image the places of up to LIKELY known ones that may share a part with it, the likeliest first.

    By words in common, each counting the more the fewer known images have it. Cost grows with the images, and with the
    pairs that have a word in common.
    """
    table = _table([_words(one.bits) for one in known])
    having = np.bincount(table.indices, minlength=table.shape[1])
    telling = having <= max(COMMON, COMMON_SHARE * len(known))
    weights = np.where(telling, np.log((len(known) + 1) / np.maximum(having, 1)), 0).astype(np.float32)
    table.data = weights[table.indices]
    shared = (_table([_words(one.bits) for one in judged]) @ table.T).tocsr()
    return [_highest(shared, row) for row in range(len(judged))]


def lay_on(one: Corners, other: Corners) -> Laying | None:
    """How the first image lies on the second by the corners of both; None where too few agree."""
    if min(len(one.bits), len(other.bits)) < FEWEST_CORNERS:
        return None
    nearest = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(one.bits, other.bits, k=2)
    pairs = [first for first, second in nearest if first.distance < UNLIKE_NEXT * second.distance]
    if len(pairs) < FEWEST_CORNERS:
        return None
    here = one.places[[pair.queryIdx for pair in pairs]]
    there = other.places[[pair.trainIdx for pair in pairs]]
    laying, agreeing = cv2.estimateAffinePartial2D(here, there, method=cv2.RANSAC, ransacReprojThreshold=OFF)
    if laying is None or int(agreeing.sum()) < FEWEST_CORNERS:
        return None
    return np.asarray(laying, dtype=np.float64)


def likeness(one: Grey, other: Grey, laying: Laying) -> float:
    """Correlation in [-1, 1] of the pixels that both images show where the first is laid on the second.

    0 where that is less than LEAST_PART of the first, or flat. Another exposure changes nothing.
    """
    size = one.shape[1], one.shape[0]
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(other, laying, size, flags=how)
    inside = cv2.warpAffine(np.full_like(other, 255), laying, size, flags=how) == 255
    here, there = one[inside].astype(np.float64), moved[inside].astype(np.float64)
    if len(here) < LEAST_PART * one.size or min(here.std(), there.std()) < 1:
        return 0.0
    return float(np.corrcoef(here, there)[0, 1])


def _words(bits: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    """The different words of an image: of each of (n, 32) corners WORDS times as many of its bits, always the same."""
    rng = np.random.default_rng(0)
    chosen = np.stack([rng.choice(8 * bits.shape[1], WORD_BITS, replace=False) for _ in range(WORDS)])
    digits = np.unpackbits(bits, axis=1)[:, chosen].astype(np.int32)
    values = digits @ (1 << np.arange(WORD_BITS, dtype=np.int32)) + (np.arange(WORDS, dtype=np.int32) << WORD_BITS)
    return np.asarray(np.unique(values), dtype=np.int32)


def _table(words: Sequence[npt.NDArray[np.int32]]) -> Any:
    """A sparse row of ones for each image, a column for each word that there may be."""
    columns = np.concatenate([*words, np.zeros(0, dtype=np.int32)])
    starts = np.cumsum([0, *map(len, words)])
    return csr_array((np.ones(len(columns), dtype=np.float32), columns, starts), shape=(len(words), WORDS << WORD_BITS))


def _highest(shared: Any, row: int) -> list[int]:
    entries = slice(shared.indptr[row], shared.indptr[row + 1])
    places, values = shared.indices[entries], shared.data[entries]
    return [int(place) for place in places[np.lexsort((places, -values))][:LIKELY]]
