"""Images as people labelled them: who looked at what, and what they drew."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType

import pandas as pd

from datalab.errors import InputError


@dataclass(frozen=True)
class RatedImage:
    """One image as one person labelled it. No regions: looked at, nothing there."""

    image_id: str
    annotator: str
    regions: tuple[tuple[str, str], ...]
    """(label, rle) per object."""
    origins: tuple[str, ...]
    """Of every region: "proposal" (untouched), "edited" or "manual"."""
    height: int
    width: int
    group: str
    """The first of the images that hang together with it, as frames of a clip do; itself where none does."""

    def has(self, label: str) -> bool:
        """Whether an object of this class was drawn."""
        return any(name == label for name, _ in self.regions)


RatedImages = Mapping[str, Sequence[RatedImage]]
"""image_id to its ratings, sorted by annotator."""


def rated_images(
    ratings: pd.DataFrame,
    regions: pd.DataFrame,
    at_least: int = 2,
    groups: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, list[RatedImage]]:
    """Images that `at_least` so many people rated, from tables RATINGS and ANNOTATED_REGIONS, sorted by image_id.

    `groups`: image_id to its group; an image that is not in it is one by itself. Somebody without a rating on an image
    says nothing about it: missing, not background. InputError where a person has two ratings on one image, or people
    saw an image in different sizes.
    """
    drawn: dict[int, list[tuple[str, str, str]]] = {}
    for row in regions.to_dict("records"):
        drawn.setdefault(row["annotation_id"], []).append((row["label"], row["rle"], row["origin"]))
    images: dict[str, list[RatedImage]] = {}
    for row in ratings.sort_values(["image_id", "annotator"]).to_dict("records"):
        theirs = drawn.get(row["annotation_id"], [])
        shapes, origins = tuple((label, rle) for label, rle, _ in theirs), tuple(origin for *_, origin in theirs)
        image_id, size = row["image_id"], (int(row["height"]), int(row["width"]))
        one = RatedImage(image_id, row["annotator"], shapes, origins, *size, groups.get(image_id, image_id))
        images.setdefault(image_id, []).append(one)
    kept = {image_id: rated for image_id, rated in images.items() if len(rated) >= at_least}
    for image_id, rated in kept.items():
        _check(image_id, rated)
    return kept


def groups_of(images: RatedImages) -> dict[str, str]:
    """image_id to its group, in the order of the images."""
    return {image_id: rated[0].group for image_id, rated in images.items()}


def pairs_of(images: RatedImages) -> Iterator[tuple[RatedImage, RatedImage]]:
    """Every two people on every image; the first name comes first."""
    for rated in images.values():
        yield from combinations(rated, 2)


def _check(image_id: str, rated: Sequence[RatedImage]) -> None:
    people = [one.annotator for one in rated]
    if len(set(people)) < len(people):
        twice = next(name for name in people if people.count(name) > 1)
        raise InputError(f"{twice} has two ratings on image {image_id}; keep the newest (stage collect does)")
    sizes = sorted({(one.width, one.height) for one in rated})
    if len(sizes) > 1:
        seen = " and ".join(f"{width} x {height}" for width, height in sizes)
        raise InputError(f"image {image_id} was labelled at sizes {seen}; label it again at one size")
