"""Agreement of two label maps, pixel by pixel, from three counts of each class per image and pair.

A whole confusion matrix of 100 classes would be 80 kB of every pair, and what follows is asked of its margins alone.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from datalab.figure import Figure
from datalab.masks import label_map
from datalab.progress import Progress, unseen
from datalab.quality.bootstrap import bootstrap_ratios
from datalab.quality.rated import RatedImage, RatedImages
from datalab.quality.student import sum_groups

Margins = npt.NDArray[np.int64]
"""(..., K, 3): of each class the pixels where both maps have it, those of the first map, those of the second."""


def pixel_margins(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8], classes: int) -> Margins:
    """(classes, 3) counts of pixels. Maps hold 0 to classes - 1.

    ValueError for maps of different shape or a larger class.
    """
    if a.shape != b.shape:
        raise ValueError(f"label maps of shape {a.shape} and {b.shape} cannot be compared")
    if max(a.max(initial=0), b.max(initial=0)) >= classes:
        raise ValueError(f"a label map holds a class above {classes - 1}")
    return np.stack([np.bincount(one.ravel(), minlength=classes) for one in (a[a == b], a, b)], axis=-1)


def pixel_tables(images: RatedImages, classes: Sequence[str], progress: Progress = unseen) -> Margins:
    """(pairs, K, 3) in the order of `pairs_of`: background, then `classes`; the first map is annotator a's.

    Where objects of one person overlap, the smaller one lies on top (`masks.label_map`).
    """
    size = len(classes) + 1
    ids = {name: place for place, name in enumerate(classes, start=1)}
    shown = progress("compare pixels", images.values())
    tables = [table for rated in shown for table in _image_tables(rated, ids, size)]
    return np.array(tables, dtype=np.int64).reshape(-1, size, 3)


def pixel_overlap(
    tables: npt.NDArray[np.floating] | Margins,
    class_id: int,
    rng: np.random.Generator,
    groups: Sequence[str] | None = None,
) -> dict[str, Figure]:
    """`iou` and `dice` of one class over per-image margins (images, K, 3), pooled.

    Intervals are over `groups`, one per image; None: no two images hang together.
    """
    both, sizes = tables[:, class_id, 0], tables[:, class_id, 1:].sum(axis=1)
    return bootstrap_ratios({"iou": (both, sizes - both), "dice": (2 * both, sizes)}, rng, groups=groups)


def pixel_disagreement(
    tables: Margins,
    image_ids: Sequence[str],
    groups: Mapping[str, str],
    rng: np.random.Generator,
    class_id: int | None = None,
) -> dict[str, Figure]:
    """`quantity` and `allocation`: the two shares above per table (pairs, K, 3), then their mean, by groups.

    Summing tables first would let what one image has too much hide what another has too little. With `class_id` of that
    class alone: how much of it differs, and how much lies elsewhere, as shares of the image. `groups`: image_id to the
    group it is in.
    """
    own = slice(None) if class_id is None else slice(class_id, class_id + 1)
    whole = np.maximum(tables[..., 1].sum(axis=1), 1)[:, None, None]
    same, first, second = np.moveaxis(tables[:, own] / whole, -1, 0)
    quantity, allocation = np.abs(first - second), 2 * np.minimum(first, second) - 2 * same
    # over all classes every wrong pixel is counted twice, in the class that has it and in the one that lacks it
    parts = [part.sum(axis=1) / (2 if class_id is None else 1) for part in (quantity, allocation)]
    quantities, allocations, pairs = sum_groups(np.stack([*parts, np.ones(len(tables))], axis=1), image_ids).T
    ratios = {"quantity": (quantities, pairs), "allocation": (allocations, pairs)}
    return bootstrap_ratios(ratios, rng, groups=[groups[image_id] for image_id in dict.fromkeys(image_ids)])


def _image_tables(rated: Sequence[RatedImage], ids: dict[str, int], size: int) -> list[Margins]:
    """One image at a time: label maps of all images would not fit in memory."""
    maps = [_label_map(one, ids) for one in rated]
    return [pixel_margins(a, b, size) for a, b in combinations(maps, 2)]


def _label_map(rated: RatedImage, ids: dict[str, int]) -> npt.NDArray[np.uint8]:
    return label_map(((ids[label], rle) for label, rle in rated.regions), rated.height, rated.width)
