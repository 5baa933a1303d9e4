"""Stage `embed`: SAM's embedding of every image of the catalog, only for those that have none yet."""

import argparse
from functools import cache, partial
from pathlib import Path
from threading import Lock

import numpy as np
from segment_anything.modeling import Sam

from datalab.adapters.checkpoints import EmbedParams
from datalab.adapters.embedding_cache import (
    EmbeddingCache,
    embedded_by,
    image_hash,
    note_encoder,
    place_embedding,
    read_embedding,
)
from datalab.adapters.files import read_rgb, read_table
from datalab.adapters.sam import embed_images, encoded_at_once, load_sam, model_version
from datalab.adapters.stage_progress import stage_bar
from datalab.adapters.torch_threads import side_by_side
from datalab.config import load_params
from datalab.errors import one_line_errors
from datalab.tables import CATALOG

Params = EmbedParams
"""Whoever proposes reads the section, too."""


def run(catalog: Path, images: Path, embeddings: Path, out: Path, params: Params) -> None:
    """Write <image_id>.npy, float16 (C, h, w), below `out`; what is of another checkpoint or image is made anew.

    `embeddings`: the cache of this machine, where click-to-mask and other workspaces find what was embedded here, and
    the other way round. A file of `out` that is damaged is made again.
    """
    version = model_version(params.checkpoint)
    files = read_table(catalog, CATALOG).set_index("image_id")["file"]
    if embedded_by(out) != version:
        for old in out.glob("*.npy"):
            old.unlink()
        note_encoder(out, version)
    for old in out.glob("*.npy"):
        if old.stem not in files.index:
            old.unlink()
    missing = [image_id for image_id in files.index if read_embedding(out / f"{image_id}.npy") is None]
    known = EmbeddingCache(embeddings)
    loading = Lock()

    # loaded when the first image needs it: all of them may be in the cache
    @cache
    def model() -> Sam:
        return load_sam(params.checkpoint)

    def embed(some: list[str]) -> int:
        hashes = {image_id: image_hash(images / files[image_id]) for image_id in some}
        unknown = [image_id for image_id in some if known.find(hashes[image_id], version) is None]
        if unknown:
            with loading:
                sam = model()
            made = embed_images(sam, [read_rgb(images / files[image_id]) for image_id in unknown])
            for image_id, embedding in zip(unknown, made, strict=True):
                known.find_or_make(hashes[image_id], version, partial(np.asarray, embedding))
        for image_id in some:
            place_embedding(known.path(hashes[image_id], version), out / f"{image_id}.npy")
        return len(some)

    size = encoded_at_once()
    groups = [missing[start : start + size] for start in range(0, len(missing), size)]
    with stage_bar("embed", len(missing), "image") as bar:
        for done in side_by_side(embed, groups):
            bar.update(done)


def main() -> None:
    """Paths come from dvc.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("catalog", "images", "embeddings", "out", "params"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    paths = parser.parse_args()
    run(paths.catalog, paths.images, paths.embeddings, paths.out, load_params(paths.params, "embed", Params))


if __name__ == "__main__":
    with one_line_errors():
        main()
