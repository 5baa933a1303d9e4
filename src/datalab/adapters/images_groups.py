"""Which images look alike: connected components of perceptual hashes that differ in few bits."""

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from datalab.learning.look_alikes import join_near

LOG = logging.getLogger(__name__)
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
    groups = join_near(np.arange(len(hashes)), hashes, distance)[of_image].tolist()
    smallest: dict[int, str] = {}
    for image_id, number in sorted(zip(image_ids, groups, strict=True)):
        smallest.setdefault(number, image_id)
    return [smallest[number] for number in groups]


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
