"""SAM's embeddings as the stage `embed` keeps them, and one vector of each image out of them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from datalab.errors import InputError
from datalab.learning.cover import Vectors
from datalab.learning.embeddings import image_vector


def read_embedding(path: Path) -> npt.NDArray[np.float16]:
    """The float16 (C, h, w) of data/embeddings/<image_id>.npy; InputError where it is missing, broken or not finite."""
    try:
        embedding: npt.NDArray[np.float16] = np.load(path, allow_pickle=False)
    except FileNotFoundError as exc:
        raise InputError(f"{path} does not exist; run dvc repro embed") from exc
    except (OSError, ValueError) as exc:
        raise InputError(f"{path} is no embedding ({exc}); delete it and run dvc repro embed") from exc
    if embedding.ndim != 3 or not np.isfinite(embedding).all():
        raise InputError(f"{path} holds no finite (C, h, w) embedding; delete it and run dvc repro embed")
    return embedding


def read_image_vectors(rows: Iterable[Mapping[Any, Any]], embeddings: Path) -> Vectors:
    """(N, D) image vectors of rows of the catalog; (0, 0) for none. InputError where they are of different models."""
    vectors = [
        image_vector(read_embedding(embeddings / f"{row['image_id']}.npy"), int(row["height"]), int(row["width"]))
        for row in rows
    ]
    if len({len(vector) for vector in vectors}) > 1:
        raise InputError(f"the embeddings of {embeddings} are of different models; run dvc repro embed")
    return np.stack(vectors) if vectors else np.zeros((0, 0), dtype=np.float32)
