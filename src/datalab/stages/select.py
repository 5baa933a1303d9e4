"""Choose the images that people should look at next."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from datalab.adapters.files import read_table, write_table
from datalab.adapters.segmenter_samples import read_embedding
from datalab.config import load_params
from datalab.errors import InputError, one_line_errors
from datalab.learning.embeddings import image_vector
from datalab.learning.selection import Shares, Vectors, next_batch
from datalab.quality.reviews import images_judged
from datalab.tables import CATALOG, NEXT_BATCH, RATINGS, REVIEWS, SCORES


@dataclass(frozen=True)
class Params:
    """Size and make-up of the next batch; what the two shares leave goes to uncertainty."""

    seed: int
    images: int
    diversity: float
    random: float
    candidates: int
    """The uncertain part is chosen among this many times its size of the highest scores."""


@dataclass(frozen=True)
class Inputs:
    """Files of the stage."""

    scores: Path
    catalog: Path
    embeddings: Path
    ratings: Path
    reviews: Path
    """Table REVIEWS: what reviewers left out."""


def run(inputs: Inputs, out: Path, params: Params) -> None:
    """Write table NEXT_BATCH: at most `images` pool images, one per duplicate group; no rows where the pool is empty.

    Near duplicates of labelled images are left out: they would cost people's time and teach nothing. So is what a
    reviewer excluded.
    """
    _check(params)
    catalog = read_table(inputs.catalog, CATALOG).set_index("image_id", drop=False)
    known = catalog[catalog["image_id"].isin(read_table(inputs.ratings, RATINGS)["image_id"])]
    pool = read_table(inputs.scores, SCORES)
    pool = pool[~pool["image_id"].isin(images_judged(read_table(inputs.reviews, REVIEWS), "exclude"))]
    pool = pool.assign(duplicate_group=pool["image_id"].map(catalog["duplicate_group"]))
    pool = pool[~pool["duplicate_group"].isin(known["duplicate_group"])].reset_index(drop=True)
    shares = Shares(params.diversity, params.random, params.candidates)
    labelled, vectors = (_vectors(catalog.loc[ids], inputs.embeddings) for ids in (known.index, pool["image_id"]))
    if not len(labelled):
        labelled = vectors[:0]
    rng = np.random.default_rng(params.seed)
    write_table(out, _typed(next_batch(pool, vectors, labelled, params.images, shares, rng)))


def _vectors(rows: pd.DataFrame, embeddings: Path) -> Vectors:
    """(N, D) image vectors of catalog rows; (0, 0) for none."""
    vectors = [
        image_vector(read_embedding(embeddings / f"{image_id}.npy"), int(height), int(width))
        for image_id, height, width in zip(rows["image_id"], rows["height"], rows["width"], strict=True)
    ]
    return np.stack(vectors) if vectors else np.zeros((0, 0), dtype=np.float32)


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    kinds = dict(zip(NEXT_BATCH, ("str", "int64", "str", "float64"), strict=True))
    return table.astype(kinds)


def _check(params: Params) -> None:
    if params.images < 1 or params.candidates < 1:
        raise InputError(
            f"select.images and select.candidates must be 1 or more, got {params.images}, {params.candidates}"
        )
    if min(params.diversity, params.random) < 0 or params.diversity + params.random > 1:
        raise InputError("select.diversity and select.random must not be negative and not exceed 1 together")


def main() -> None:
    """Command line of the stage; the paths are given in dvc.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("scores", "catalog", "embeddings", "ratings", "reviews", "out", "params"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    inputs = Inputs(given.scores, given.catalog, given.embeddings, given.ratings, given.reviews)
    run(inputs, given.out, load_params(given.params, "select", Params))


if __name__ == "__main__":
    with one_line_errors():
        main()
