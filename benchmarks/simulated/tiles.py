"""Which photographs of the magnetic tiles show one tile: their names do not say it, but nearly.

A tile was photographed six times or so, one after the other: exp1_num_3191, exp2_num_3211, ... exp6_num_3279. The
numbers go on from one to the next by a few dozen, and to the next tile by thousands, so that 392 photographs of defects
are 74 tiles. Two of one tile correlate by 0.86, of two tiles by 0.25 (medians).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from datalab.adapters.files import read_rgb
from datalab.learning.leaks import SAME
from datalab.learning.look_alikes import join_named, join_pairs
from datalab.learning.shared_parts import find_corners, lay_on, likely_sharing, likeness, to_compare

NAME = re.compile(r"exp(\d+)_num_(\d+)")
FARTHEST = 400
"""Between the numbers of two exposures of a tile that follow each other."""


def named_tiles(images: Iterable[Path]) -> dict[str, str]:
    """Stem of each image to its tile, named by the folder (the kind of defect) and the first photograph's number."""
    found: dict[str, str] = {}
    kind, tile, exposure, number = "", 0, 0, 0
    for of_kind, of_number, of_exposure, stem in sorted(map(_placed, images)):
        follows = of_kind == kind and of_exposure > exposure and of_number - number <= FARTHEST
        tile = tile if follows else of_number
        kind, exposure, number = of_kind, of_exposure, of_number
        found[stem] = f"{kind} {tile}"
    return found


def tiles_of(images: Sequence[Path]) -> dict[str, str]:
    """`named_tiles`, and one of those whose photographs show the same part of a tile.

    Some were photographed again later; of some one exposure is with the cracks and the next with the breaks, or with
    those that show no defect. Such a tile is named by its defect.
    """
    named = named_tiles(images)
    ordered = sorted(images, key=lambda path: (path.parent.name == "free", named[path.stem]))
    tiles = [named[path.stem] for path in ordered]
    _, numbers = np.unique(tiles, return_inverse=True)
    rows, columns = np.array(list(_same_part(ordered)), dtype=np.intp).reshape(-1, 2).T
    first = join_pairs(join_named(np.arange(len(tiles)), numbers), rows, columns)
    return {path.stem: tiles[place] for path, place in zip(ordered, first.tolist(), strict=True)}


def _same_part(images: Sequence[Path]) -> Iterator[tuple[int, int]]:
    grey = [to_compare(read_rgb(path)) for path in images]
    corners = [find_corners(one) for one in grey]
    for one, likely in enumerate(likely_sharing(corners, corners)):
        for other in likely:
            laying = lay_on(corners[one], corners[other]) if other != one else None
            if laying is not None and likeness(grey[one], grey[other], laying) >= SAME:
                yield one, other


def _placed(image: Path) -> tuple[str, int, int, str]:
    """Kind, number, exposure and stem."""
    parts = NAME.fullmatch(image.stem)
    if parts is None:
        raise ValueError(f"{image.name} is not named like a magnetic tile: exp1_num_3191")
    return image.parent.name, int(parts[2]), int(parts[1]), image.stem
