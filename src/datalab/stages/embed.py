"""Stage `embed`: SAM's embedding of every image of the catalog, and a vector of it, for those that have none yet."""

import argparse
from collections.abc import Container, Iterable
from functools import cache, partial
from itertools import chain
from pathlib import Path
from threading import Lock

import numpy as np
from segment_anything.modeling import Sam

from datalab.adapters.checkpoints import SamParams
from datalab.adapters.embedding_cache import (
    EmbeddingCache,
    embedded_by,
    image_hash,
    note_encoder,
    place_embedding,
    sound_embedding,
)
from datalab.adapters.files import read_rgb, read_table
from datalab.adapters.image_vectors import compute_image_vector, keep_vectors, kept_vectors
from datalab.adapters.sam import embed_images, encoded_at_once, load_sam, model_version
from datalab.adapters.stage_progress import stage_bar
from datalab.adapters.torch_threads import side_by_side
from datalab.config import load_params
from datalab.errors import one_line_errors
from datalab.learning.embeddings import Vector
from datalab.tables import CATALOG


def run(catalog: Path, images: Path, embeddings: Path, out: Path, params: SamParams) -> None:
    """Write <image_id>.npy, float16 (C, h, w), below `out`; what is of another checkpoint or image is made anew.

    `embeddings`: the cache of this machine, where click-to-mask and other workspaces find what was embedded here, and
    the other way round. A file of `out` that is damaged is made again. Beside them the vector of each image is kept.
    """
    version = model_version(params.checkpoint)
    rows = {str(row["image_id"]): row for row in read_table(catalog, CATALOG).to_dict("records")}
    _remove_old(out, version, rows)
    sound = _sound(out, rows)
    missing = [image_id for image_id in rows if image_id not in sound]
    vectors = _vectors_of(out, sound)
    unsummed = sorted(sound - vectors.keys())
    known = EmbeddingCache(embeddings)
    loading = Lock()

    # loaded when the first image needs it: all of them may be in the cache
    @cache
    def model() -> Sam:
        return load_sam(params.checkpoint)

    def embed(some: list[str]) -> int:
        files = {image_id: images / rows[image_id]["file"] for image_id in some}
        hashes = {image_id: image_hash(file) for image_id, file in files.items()}
        unknown = [image_id for image_id in some if known.find(hashes[image_id], version) is None]
        if unknown:
            with loading:
                sam = model()
            made = embed_images(sam, [read_rgb(files[image_id]) for image_id in unknown])
            for image_id, embedding in zip(unknown, made, strict=True):
                known.find_or_make(hashes[image_id], version, partial(np.asarray, embedding))
        for image_id in some:
            place_embedding(known.path(hashes[image_id], version), out / f"{image_id}.npy")
        return sum_up(some)

    def sum_up(some: list[str]) -> int:
        vectors.update({image_id: compute_image_vector(rows[image_id], out) for image_id in some})
        return len(some)

    size = encoded_at_once()
    groups = [missing[start : start + size] for start in range(0, len(missing), size)]
    with stage_bar("embed", len(missing) + len(unsummed), "image") as bar:
        for done in chain(side_by_side(embed, groups), side_by_side(sum_up, [[image_id] for image_id in unsummed])):
            bar.update(done)
    if missing or unsummed:
        keep_vectors(out, vectors)


def _remove_old(out: Path, version: str, image_ids: Container[str]) -> None:
    """Embeddings of another checkpoint, and of images that are no more."""
    if embedded_by(out) != version:
        for old in out.glob("*.npy"):
            old.unlink()
        note_encoder(out, version)
    for old in out.glob("*.npy"):
        if old.stem not in image_ids:
            old.unlink()


def _sound(out: Path, image_ids: Iterable[str]) -> set[str]:
    """Images whose embedding is in `out` and unaltered: all of it is read, 2 MB an image of an official checkpoint."""
    there = [image_id for image_id in image_ids if (out / f"{image_id}.npy").exists()]
    checked = stage_bar("check embeddings", len(there), "image", there)
    return {image_id for image_id in checked if sound_embedding(out / f"{image_id}.npy") is not None}


def _vectors_of(out: Path, image_ids: Container[str]) -> dict[str, Vector]:
    """Those that `out` keeps of these images; the others are no longer kept, else a kill could leave an old one."""
    kept = kept_vectors(out)
    vectors = {image_id: vector for image_id, vector in kept.items() if image_id in image_ids}
    if len(vectors) < len(kept):
        keep_vectors(out, vectors)
    return vectors


def main() -> None:
    """Paths come from dvc.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("catalog", "images", "embeddings", "out", "params"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    paths = parser.parse_args()
    run(paths.catalog, paths.images, paths.embeddings, paths.out, load_params(paths.params, "sam", SamParams))


if __name__ == "__main__":
    with one_line_errors():
        main()
