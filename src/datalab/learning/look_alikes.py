"""Images that hang together: near duplicates, those of one name, and all that are joined through others."""

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Groups = npt.NDArray[np.int64]
"""(N,): of each image the place of the first image of its group."""
BLOCK = 256
"""Rows compared at a time: 10,000 images take 256 x 10,000 x 8 bytes = 20 MB at a time."""


def join_near(groups: Groups, hashes: npt.NDArray[np.uint64], distance: int, since: int = 0) -> Groups:
    """(N,) `groups` after joining those of near duplicates, whose (N,) hashes differ in at most `distance` of 64 bits.

    Below 0 none are. Pairs of images that are both before place `since` are not looked at: they have been joined. Time
    grows with the number of pairs, memory with N: what a block finds is folded into the groups at once.
    """
    if distance < 0:
        return groups
    joined = groups
    for start in range(since, len(hashes), BLOCK):
        block = hashes[start : start + BLOCK]
        near = np.bitwise_count(block[:, None] ^ hashes[None, : start + len(block)]) <= distance
        rows, columns = np.nonzero(near)
        joined = _joined(joined, rows + start, columns)
    return _by_first(joined)


def join_named(groups: Groups, names: npt.NDArray[np.int64]) -> Groups:
    """(N,) `groups` after joining those of images with equal (N,) names; below 0 is no name."""
    _, first, of_image = np.unique(names, return_index=True, return_inverse=True)
    named = np.flatnonzero(names >= 0)
    return join_pairs(groups, named, first[of_image[named]])


def join_pairs(groups: Groups, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> Groups:
    """(N,) `groups` after joining those of image rows[k] and of image columns[k]."""
    return _by_first(_joined(groups, rows, columns))


def _joined(groups: Groups, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> Groups:
    """Groups under any numbers below N, after also joining rows[k] with columns[k]."""
    links = coo_array((np.ones(len(rows), bool), (groups[rows], groups[columns])), shape=(len(groups),) * 2)
    _, merged = connected_components(links, directed=False)
    joined: Groups = merged[groups].astype(np.int64)
    return joined


def _by_first(groups: Groups) -> Groups:
    """The same groups, each under the place of its first image."""
    _, first, of_image = np.unique(groups, return_index=True, return_inverse=True)
    found: Groups = first[of_image].astype(np.int64)
    return found
