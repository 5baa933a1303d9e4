"""How unlike each image is to all that the model has learned from, by SAM's embeddings."""

from typing import Any

import numpy as np

from datalab.adapters.review_app import NOVELTY
from datalab.adapters.review_figures import ByImage
from datalab.adapters.review_inputs import ReviewInputs
from datalab.adapters.review_vectors import ImageVectors
from datalab.learning.novelty import novelty

FEWEST = 5
"""Images to learn from; beside fewer everything looks new, or nothing."""


def novelty_marks(dataset: Any, inputs: ReviewInputs, vectors: ImageVectors) -> tuple[ByImage, str]:
    """image_id -> novelty in [0, 1), and the digest of what it follows from.

    Taken from the dataset where that has not changed since `keep_digest`. Images that are learned from are those of the
    split "train", of near duplicates one.
    """
    learned = _learned_rows(inputs, vectors)
    if len(learned) < FEWEST:
        return {}, ""
    digest = vectors.digest(learned)
    known = {key: value for key, value in zip(*dataset.values(["image_id", NOVELTY]), strict=True) if value is not None}
    if dataset.info.get(NOVELTY) == digest and set(vectors.image_ids) <= set(known):
        return known, digest
    found = novelty(vectors.stacked, np.array(learned, dtype=np.intp))
    return dict(zip(vectors.image_ids, found.tolist(), strict=True)), digest


def keep_digest(dataset: Any, digest: str) -> None:
    """Once the marks are written."""
    if dataset.info.get(NOVELTY) != digest:
        dataset.info = {**dataset.info, NOVELTY: digest}
        dataset.save()


def _learned_rows(inputs: ReviewInputs, vectors: ImageVectors) -> list[int]:
    """Rows of `vectors`; of near duplicates one."""
    if inputs.index is None:
        return []
    same = dict(zip(inputs.catalog["image_id"], inputs.catalog["duplicate_group"], strict=True))
    train = inputs.index.loc[inputs.index["split"] == "train", "image_id"]
    wanted = set(train[~train.map(lambda image_id: same.get(image_id, image_id)).duplicated()])
    return [place for place, image_id in enumerate(vectors.image_ids) if image_id in wanted]
