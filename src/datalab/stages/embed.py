"""Stage `embed`: SAM's embedding of every image of the catalog, and a vector of it, for those that have none yet."""

import argparse
from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain, islice
from pathlib import Path
from threading import Lock

import numpy as np
from segment_anything.modeling import Sam

from datalab.adapters.checkpoints import SamParams
from datalab.adapters.embedding_cache import (
    EmbeddingCache,
    embedded_by,
    note_encoder,
    place_embedding,
    sound_embedding,
)
from datalab.adapters.files import read_rgb, read_table
from datalab.adapters.image_hashes import ImageHashes, made_of, note_made_of
from datalab.adapters.image_vectors import compute_image_vector, keep_vectors, kept_vectors
from datalab.adapters.sam import load_sam, model_version
from datalab.adapters.sam_embed import compile_encoder, embed_images, encoded_at_once
from datalab.adapters.stage_progress import stage_bar
from datalab.adapters.torch_threads import side_by_side
from datalab.config import load_params
from datalab.errors import one_line_errors
from datalab.learning.embeddings import Vector
from datalab.ranges import Natural
from datalab.tables import CATALOG


@dataclass(frozen=True)
class Params:
    """Section `embed` of params.yaml."""

    compile_from: Natural
    """Images to encode, since the cache has none of them, from which SAM's encoder is compiled first; 0: never."""


def run(catalog: Path, images: Path, embeddings: Path, out: Path, checkpoint: str, params: Params) -> None:
    """Write <image_id>.npy, float16 (C, h, w), below `out`; what is of another checkpoint or image is made anew.

    `embeddings`: the cache of this machine, where click-to-mask and other workspaces find what was embedded here, and
    the other way round. A file of `out` that is damaged is made again, and one whose image has other bytes than it was
    made of. Beside them that is noted, and the vector of each image is kept.
    """
    version = model_version(checkpoint)
    rows = {str(row["image_id"]): row for row in read_table(catalog, CATALOG).to_dict("records")}
    _remove_old(out, version, rows)
    hashes = ImageHashes(images, embeddings)
    kept = _current(out, {image_id: row["file"] for image_id, row in rows.items()}, hashes)
    sound = set(kept)
    missing = [image_id for image_id in rows if image_id not in sound]
    vectors = _vectors_of(out, sound)
    unsummed = sorted(sound - vectors.keys())
    known = EmbeddingCache(embeddings)
    loading = Lock()

    # loaded when the first image needs it: all of them may be in the cache
    @cache
    def model() -> Sam:
        sam = load_sam(checkpoint)
        lacking = (one for one in missing if not known.path(hashes.of(rows[one]["file"]), version).exists())
        if 0 < params.compile_from == len(list(islice(lacking, params.compile_from))):
            compile_encoder(sam)
        return sam

    def embed(some: list[str]) -> int:
        digests = {image_id: hashes.of(rows[image_id]["file"]) for image_id in some}
        unknown = [image_id for image_id in some if known.find(digests[image_id], version) is None]
        if unknown:
            with loading:
                sam = model()
            made = embed_images(sam, (read_rgb(images / rows[image_id]["file"]) for image_id in unknown))
            for image_id, embedding in zip(unknown, made, strict=True):
                known.find_or_make(digests[image_id], version, partial(np.asarray, embedding))
        for image_id in some:
            place_embedding(known.path(digests[image_id], version), out / f"{image_id}.npy")
        kept.update(digests)
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
    note_made_of(out, kept)
    hashes.keep()


def _remove_old(out: Path, version: str, image_ids: Container[str]) -> None:
    """Embeddings of another checkpoint, and of images that are no more."""
    if embedded_by(out) != version:
        for old in out.glob("*.npy"):
            old.unlink()
        note_encoder(out, version)
    for old in out.glob("*.npy"):
        if old.stem not in image_ids:
            old.unlink()


def _current(out: Path, files: Mapping[str, str], hashes: ImageHashes) -> dict[str, str]:
    """Hash of the image by id, where its embedding is in `out`, unaltered and of these bytes; no other is noted then.

    All of it is read, 2 MB an image of an official checkpoint.
    """
    noted = made_of(out)
    there = [image_id for image_id in files if (out / f"{image_id}.npy").exists()]
    checked = stage_bar("check embeddings", len(there), "image", there)
    found = {
        image_id: noted[image_id]
        for image_id in checked
        if noted.get(image_id) == hashes.of(files[image_id]) and sound_embedding(out / f"{image_id}.npy") is not None
    }
    # before anything is made: a kill could leave a new embedding under an old hash
    note_made_of(out, found)
    return found


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
    checkpoint = load_params(paths.params, "sam", SamParams).checkpoint
    params = load_params(paths.params, "embed", Params)
    run(paths.catalog, paths.images, paths.embeddings, paths.out, checkpoint, params)


if __name__ == "__main__":
    with one_line_errors():
        main()
