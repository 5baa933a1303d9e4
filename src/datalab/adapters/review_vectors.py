"""One vector for each image that has a SAM embedding, read when first needed: 10,000 embeddings take a minute."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from datalab.adapters.review_inputs import ReviewInputs
from datalab.learning.embeddings import image_vector


@dataclass(frozen=True)
class ImageVectors:
    """Images with an embedding, in the order of the catalog."""

    folder: Path
    """Holds <image_id>.npy of each."""
    rows: list[dict[Any, Any]]
    """Rows of the catalog."""

    @property
    def image_ids(self) -> list[str]:
        """Of the rows."""
        return [row["image_id"] for row in self.rows]

    @cached_property
    def stacked(self) -> npt.NDArray[np.float32]:
        """(N, D), rows of unit length."""
        return np.stack([self._vector(row) for row in self.rows])

    def digest(self, *more: object) -> str:
        """12 hex digits that change when other images are there, embeddings of another size, or with `more`."""
        stats = [(row["image_id"], (self.folder / f"{row['image_id']}.npy").stat().st_size) for row in self.rows]
        return hashlib.sha256(repr([stats, *more]).encode()).hexdigest()[:12]

    def _vector(self, row: dict[Any, Any]) -> npt.NDArray[np.float32]:
        stored = np.load(self.folder / f"{row['image_id']}.npy", allow_pickle=False)
        return image_vector(stored, int(row["height"]), int(row["width"]))


def image_vectors(inputs: ReviewInputs) -> ImageVectors:
    """Of the images of a review; without rows where there are no embeddings yet."""
    if inputs.embeddings is None:
        return ImageVectors(Path(), [])
    present = {path.stem for path in inputs.embeddings.glob("*.npy")}
    rows = [row for row in inputs.catalog.to_dict("records") if row["image_id"] in present]
    return ImageVectors(inputs.embeddings, rows)
