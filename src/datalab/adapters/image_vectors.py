"""SAM's embeddings as the stage `embed` keeps them, and one vector of each image out of them.

To read an embedding and sum it up takes milliseconds, so `embed` does it once and keeps the vectors of all images in
one file beside their embeddings. What reads them computes only those that are not in it: an older workspace has none.
"""

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from datalab.adapters.embedding_cache import embedded_by, is_sound, sealed
from datalab.adapters.files import write_bytes
from datalab.errors import InputError
from datalab.learning.cover import Vectors
from datalab.learning.embeddings import Vector, image_vector

VECTORS = "vectors.npz"
"""In the folder of embeddings: image ids (N,), their vectors (N, D) float32, and what they were made by."""
RECIPE = 1
"""Of `image_vector`: with another number, for other values, the kept ones are made anew."""


def read_embedding(path: Path) -> npt.NDArray[np.float16]:
    """The float16 (C, h, w) of data/embeddings/<image_id>.npy; InputError where it is missing, broken or not finite."""
    try:
        with path.open("rb") as file:
            embedding: npt.NDArray[np.float16] = np.load(file, allow_pickle=False)
    except FileNotFoundError as exc:
        raise InputError(f"{path} does not exist; run dvc repro embed") from exc
    except (OSError, ValueError, EOFError, BadZipFile) as exc:
        raise InputError(f"{path} is no embedding ({exc}); delete it and run dvc repro embed") from exc
    if not isinstance(embedding, np.ndarray) or embedding.ndim != 3 or not np.isfinite(embedding).all():
        raise InputError(f"{path} holds no finite (C, h, w) embedding; delete it and run dvc repro embed")
    return embedding


def check_same_model(lengths: Iterable[int], embeddings: Path) -> None:
    """InputError where embeddings of this folder, or their vectors, are of several `lengths`."""
    if len(set(lengths)) > 1:
        raise InputError(f"the embeddings of {embeddings} are of different models; run dvc repro embed")


def compute_image_vector(row: Mapping[Any, Any], embeddings: Path) -> Vector:
    """(D,) of a row of the catalog, from its embedding; InputError where that is missing, broken or not finite."""
    return image_vector(read_embedding(embeddings / f"{row['image_id']}.npy"), int(row["height"]), int(row["width"]))


def read_image_vectors(rows: Iterable[Mapping[Any, Any]], embeddings: Path) -> Vectors:
    """(N, D) image vectors of rows of the catalog; (0, 0) for none. InputError where they are of different models."""
    kept = kept_vectors(embeddings)
    found = [
        kept[row["image_id"]] if row["image_id"] in kept else compute_image_vector(row, embeddings) for row in rows
    ]
    return _stacked(found, embeddings)


def kept_vectors(embeddings: Path) -> dict[str, Vector]:
    """image_id -> (D,), as `keep_vectors` left them; none where they are damaged or of another SAM than the note's."""
    path = embeddings / VECTORS
    if not is_sound(path):
        return {}
    with np.load(path, allow_pickle=False) as kept:
        if kept["made_by"] != _maker(embeddings):
            return {}
        return dict(zip(kept["image_ids"].tolist(), kept["vectors"], strict=True))


def keep_vectors(embeddings: Path, vectors: Mapping[str, Vector]) -> None:
    """Have the folder keep exactly these, image_id -> (D,), of the SAM it notes; a kill leaves the old file or the new.

    The same vectors give the same bytes, whatever their order.
    """
    image_ids = sorted(vectors)
    buffer = BytesIO()
    np.savez(
        buffer,
        image_ids=np.array(image_ids, dtype=np.str_),
        vectors=_stacked([vectors[image_id] for image_id in image_ids], embeddings),
        made_by=np.array(_maker(embeddings)),
    )
    write_bytes(embeddings / VECTORS, sealed(buffer.getvalue()))


def _maker(embeddings: Path) -> str:
    return f"{embedded_by(embeddings)}, recipe {RECIPE}"


def _stacked(vectors: Sequence[Vector], embeddings: Path) -> Vectors:
    """(N, D); (0, 0) for none."""
    check_same_model((len(vector) for vector in vectors), embeddings)
    return np.stack(vectors) if vectors else np.zeros((0, 0), dtype=np.float32)
