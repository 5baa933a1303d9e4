"""One vector for each image that has a SAM embedding, read when first needed."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from datalab.adapters.embedding_cache import embedded_by
from datalab.adapters.image_vectors import read_image_vectors
from datalab.adapters.review_inputs import ReviewInputs
from datalab.learning.cover import Vectors


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
    def stacked(self) -> Vectors:
        """(N, D), rows of unit length."""
        return read_image_vectors(self.rows, self.folder)

    def digest(self, *more: object) -> str:
        """12 hex digits that change when other images are there, the embeddings of another SAM, or with `more`."""
        return hashlib.sha256(repr([embedded_by(self.folder), self.image_ids, *more]).encode()).hexdigest()[:12]


def image_vectors(inputs: ReviewInputs) -> ImageVectors:
    """Of the images of a review; without rows where there are no embeddings yet."""
    if inputs.embeddings is None:
        return ImageVectors(Path(), [])
    present = {path.stem for path in inputs.embeddings.glob("*.npy")}
    rows = [row for row in inputs.catalog.to_dict("records") if row["image_id"] in present]
    return ImageVectors(inputs.embeddings, rows)
