"""Images of one split that look like images of another: by heart a model knows what it is judged on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from datalab.learning.shared_parts import Corners, Grey, lay_on, likely_sharing, likeness, mirror

LEAKS = ("image_id", "split", "other_id", "other_split", "similarity", "view")
"""`view`: how the image has to be turned to look like the other; "" for not at all, IN_PART where a part of it does."""
IN_PART, MIRRORED_IN_PART = "in part", "in part, mirrored"
SAME = 0.8
"""Correlation of the pixels from which a part of two images is the same: of a cut enlarged from two fifths of its
photograph it was 0.9 and more, of other photographs 0.3 at most."""
AGAINST = {"validation": ("train",), "test": ("train", "validation")}
"""What no image of a split may look like: by validation images it is decided when training stops."""
BLOCK = 2048


def find_leaks(index: pd.DataFrame, vectors: npt.NDArray[np.floating], least: float) -> pd.DataFrame:
    """Table LEAKS: for images of "test" and "validation" the most similar one of AGAINST, the most similar first.

    Args:
        index: `image_id` and `split`, a row for each of N images.
        vectors: (N, D), what they look like.
        least: Pairs below this similarity are left out. It is the cosine of the vectors less their mean over all N, in
            [-1, 1]: photographs of one street point the same way until what they share is taken out.
    """
    splits, names = index["split"].to_numpy(), index["image_id"].to_numpy()
    centred = vectors - vectors.mean(axis=0, dtype=np.float64)
    unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    tables = []
    for split, against in AGAINST.items():
        judged, known = np.flatnonzero(splits == split), np.flatnonzero(np.isin(splits, against))
        if not len(judged) or not len(known):
            continue
        places, similarity = _most_similar(unit[judged], unit[known])
        others = known[places]
        columns = [
            names[judged],
            splits[judged],
            names[others],
            splits[others],
            similarity.round(6),
            [""] * len(judged),
        ]
        tables.append(pd.DataFrame(dict(zip(LEAKS, columns, strict=True))))
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(LEAKS))
    alike = table[table["similarity"] >= least]
    return _most_similar_first(alike)


def find_turned(
    index: pd.DataFrame, hashes: npt.NDArray[np.uint64], views: Mapping[str, Mapping[str, int]], distance: int
) -> pd.DataFrame:
    """Table LEAKS: for images of "test" and "validation" the one of AGAINST that they nearly are, mirrored or turned.

    To an encoder they are other images: of CamVid's frames turned by 90 degrees the vectors found none of 12.

    Args:
        index: `image_id` and `split`, a row for each of N images.
        hashes: (N,) perceptual hashes of 64 bits.
        views: Of each image of the two splits the hashes it has when turned, by view.
        distance: Bits in which near duplicates differ at most; below 0 none are. `similarity` is the cosine of the bits
            as -1 and 1.
    """
    splits, names = index["split"].to_numpy(), index["image_id"].to_numpy()
    rows = []
    for place in np.flatnonzero(np.isin(splits, list(AGAINST))):
        known = np.flatnonzero(np.isin(splits, AGAINST[splits[place]]))
        turned = views[names[place]]
        if not len(known) or not turned:
            continue
        bits = np.bitwise_count(np.array(list(turned.values()), dtype=np.uint64)[:, None] ^ hashes[known])
        view, other = np.unravel_index(bits.argmin(), bits.shape)
        if bits[view, other] <= distance:
            found, similarity = known[other], 1 - int(bits[view, other]) / 32
            rows.append((names[place], splits[place], names[found], splits[found], similarity, list(turned)[view]))
    return _most_similar_first(pd.DataFrame(rows, columns=list(LEAKS)))


def find_parts(
    index: pd.DataFrame, corners: Sequence[Corners], mirrored: Mapping[int, Corners], grey: Callable[[int], Grey]
) -> Iterator[tuple[object, ...] | None]:
    """For each image of "test" and "validation", and each mirrored, a row of LEAKS with one of AGAINST that shows a
    part of it; None where there is none.

    Args:
        index: `image_id` and `split`, a row for each of N images.
        corners: Of each of the N.
        mirrored: By place in `index`, those of each image of the two splits, mirrored from left to right.
        grey: The image at a place of `index`, as its corners were found; asked for where corners agree alone.
            `similarity` is the correlation of the pixels that both show, SAME or more.
    """
    splits = index["split"].to_numpy()
    for split, against in AGAINST.items():
        judged, known = np.flatnonzero(splits == split).tolist(), np.flatnonzero(np.isin(splits, against))
        looks = [(place, IN_PART, corners[place]) for place in judged]
        looks += [(place, MIRRORED_IN_PART, mirrored[place]) for place in judged]
        likely = likely_sharing([mine for _, _, mine in looks], [corners[place] for place in known])
        for (place, view, mine), others in zip(looks, likely, strict=True):
            there = {place: corners[place] for place in known[others].tolist()}
            found = _shown_in_part(mine, there, partial(_seen_as, place, view, grey), grey)
            yield None if found is None else _row(index, place, *found, view)


def together(*tables: pd.DataFrame) -> pd.DataFrame:
    """Table LEAKS of several, with the most similar row of each image."""
    filled = [table for table in tables if len(table)] or list(tables[:1])
    return _most_similar_first(pd.concat(filled)).drop_duplicates("image_id", ignore_index=True)


def _most_similar_first(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values(["similarity", "image_id"], ascending=[False, True], kind="stable", ignore_index=True)


def _most_similar(
    asked: npt.NDArray[np.floating], known: npt.NDArray[np.floating]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Of each row the place of the most similar known one, and how similar; both (n,)."""
    places, values = np.empty(len(asked), dtype=np.intp), np.empty(len(asked))
    for start in range(0, len(asked), BLOCK):
        part = slice(start, start + BLOCK)
        product = asked[part] @ known.T
        places[part] = product.argmax(axis=1)
        values[part] = product.max(axis=1)
    return places, values


def _shown_in_part(
    mine: Corners, others: Mapping[int, Corners], picture: Callable[[], Grey], grey: Callable[[int], Grey]
) -> tuple[int, float] | None:
    """The first of the others that shows a part of the picture, and how alike the two are there."""
    for place, corners in others.items():
        laying = lay_on(mine, corners)
        alike = 0.0 if laying is None else likeness(picture(), grey(place), laying)
        if alike >= SAME:
            return place, alike
    return None


def _row(index: pd.DataFrame, place: int, other: int, alike: float, view: str) -> tuple[object, ...]:
    names, splits = index["image_id"].to_numpy(), index["split"].to_numpy()
    return names[place], splits[place], names[other], splits[other], round(alike, 6), view


def _seen_as(place: int, view: str, grey: Callable[[int], Grey]) -> Grey:
    return mirror(grey(place)) if view == MIRRORED_IN_PART else grey(place)
