"""Which images look alike: connected components of perceptual hashes that differ in few bits."""

import logging
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

LOG = logging.getLogger(__name__)
BLOCK = 256
"""Rows compared at a time: 10,000 images take 256 x 10,000 x 8 bytes = 20 MB at a time."""
MANY, LARGE_SHARE = 20, 0.25
"""Strangers chain into groups too, but into smaller ones: 78 of 1,344 textures at most, with a generous distance."""


def duplicate_groups(image_ids: Sequence[str], phashes: Sequence[str], distance: int) -> list[str]:
    """For each image the smallest image_id of its group, its own where nothing is near.

    `phashes` are 16 hex digits each. Two images are joined when at most `distance` of the 64 bits differ (below 0 none
    are), and so is everything that hangs together through such pairs. Every distinct hash is compared with every other:
    time grows with the square of the number of images (10,000 take well under a second, 100,000 about half a minute on
    one core), memory in proportion to it.
    """
    if distance < 0:
        return list(image_ids)
    hashes, of_image = np.unique(np.array([int(text, 16) for text in phashes], dtype=np.uint64), return_inverse=True)
    component = _components(hashes, distance)[of_image]
    smallest: dict[int, str] = {}
    for image_id, number in sorted(zip(image_ids, component.tolist(), strict=True)):
        smallest.setdefault(number, image_id)
    return [smallest[number] for number in component.tolist()]


def warn_of_one_view(groups: pd.Series) -> None:
    """Log a warning where one group is of MANY images and more than LARGE_SHARE of all: a camera that stands still."""
    largest = int(groups.value_counts().max()) if len(groups) else 0
    if largest >= MANY and largest > LARGE_SHARE * len(groups):
        LOG.warning(
            "%d of %d images are near duplicates of one another, as from a camera that stands still: a round asks "
            "about one of them; if it is small things that differ set ingest.near_duplicate_distance: -1 (and "
            "dataset.group_by, or neighbouring frames train and test), and take the folder in again",
            largest,
            len(groups),
        )


def _components(hashes: npt.NDArray[np.uint64], distance: int) -> npt.NDArray[np.int64]:
    """Component number of each of the (n,) distinct hashes.

    The pairs of each block are folded into the components at once: never more than a block of pairs is held.
    """
    count = len(hashes)
    component: npt.NDArray[np.int64] = np.arange(count, dtype=np.int64)
    for start in range(0, count, BLOCK):
        block = hashes[start : start + BLOCK]
        near = np.bitwise_count(block[:, None] ^ hashes[None, start:]) <= distance
        rows, columns = np.nonzero(near)
        component = _joined(component, rows + start, columns + start)
    return component


def _joined(
    component: npt.NDArray[np.int64], rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]
) -> npt.NDArray[np.int64]:
    """The components after also joining rows[k] with columns[k]."""
    links = coo_array((np.ones(len(rows), bool), (component[rows], component[columns])), shape=(len(component),) * 2)
    _, merged = connected_components(links, directed=False)
    joined: npt.NDArray[np.int64] = merged[component].astype(np.int64)
    return joined
