"""Which photographs of the magnetic tiles show one tile: their names do not say it, but nearly.

A tile was photographed six times or so, one after the other: exp1_num_3191, exp2_num_3211, ... exp6_num_3279. The
numbers go on from one to the next by a few dozen, and to the next tile by thousands, so that 392 photographs of defects
are 74 tiles. Two of one tile correlate by 0.86, of two tiles by 0.25 (medians).
"""

import re
from collections.abc import Iterable
from pathlib import Path

NAME = re.compile(r"exp(\d+)_num_(\d+)")
FARTHEST = 400
"""Between the numbers of two exposures of a tile that follow each other."""


def tiles_of(images: Iterable[Path]) -> dict[str, str]:
    """Stem of each image to its tile, named by the folder (the kind of defect) and the first photograph's number."""
    found: dict[str, str] = {}
    kind, tile, exposure, number = "", 0, 0, 0
    for of_kind, of_number, of_exposure, stem in sorted(map(_placed, images)):
        follows = of_kind == kind and of_exposure > exposure and of_number - number <= FARTHEST
        tile = tile if follows else of_number
        kind, exposure, number = of_kind, of_exposure, of_number
        found[stem] = f"{kind} {tile}"
    return found


def _placed(image: Path) -> tuple[str, int, int, str]:
    """Kind, number, exposure and stem."""
    parts = NAME.fullmatch(image.stem)
    if parts is None:
        raise ValueError(f"{image.name} is not named like a magnetic tile: exp1_num_3191")
    return image.parent.name, int(parts[2]), int(parts[1]), image.stem
