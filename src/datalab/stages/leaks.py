"""Stage `leaks`: looks for test and validation images that look like what the model was made from, and shows them."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd

from datalab.adapters.dataset_folder import read_dataset
from datalab.adapters.files import read_rgb, read_table, write_json
from datalab.adapters.image_vectors import read_image_vectors
from datalab.adapters.image_views import view_hashes
from datalab.adapters.plots import Pixels, plot_pairs
from datalab.config import load_number, load_params
from datalab.errors import one_line_errors
from datalab.learning.leaks import find_leaks, find_turned, together
from datalab.ranges import Count, Within
from datalab.tables import CATALOG

FEWEST = 10
"""Images; of fewer nobody can tell what they share."""


@dataclass(frozen=True)
class Params:
    """Section `leaks` of params.yaml."""

    similarity: Annotated[float, Within(-1, 1)]
    """Cosine of two images' vectors from which they are reported, in [-1, 1]."""
    shown: Count
    """Pairs on the picture, and in the report."""


@dataclass(frozen=True)
class Inputs:
    """Files of the stage."""

    dataset: Path
    catalog: Path
    """Table CATALOG, for the images' sizes."""
    images: Path
    embeddings: Path


def run(inputs: Inputs, report: Path, picture: Path, params: Params, distance: int) -> None:
    """Write the report and the picture of the most similar pairs.

    `leaks` counts the images of test and validation that are too similar to a training image, those of test that are
    to a validation image, too; `judged` counts all of them, and `pairs` has the most similar ones with their files.
    Those that are near duplicates of one when mirrored or turned count as well, `distance` being of their hashes. With
    fewer than ten images nothing is looked for: `reason`.
    """
    folder = read_dataset(inputs.dataset)
    found = folder.index.iloc[:0]
    facts: dict[str, Any] = {"leaks": None, "judged": int((folder.index["split"] != "train").sum()), "pairs": []}
    if len(folder.index) < FEWEST:
        facts["reason"] = f"{len(folder.index)} labelled images; {FEWEST} are needed to tell what is unusually alike"
    else:
        catalog = read_table(inputs.catalog, CATALOG).set_index("image_id", drop=False)
        rows = catalog.loc[folder.index["image_id"]]
        vectors = read_image_vectors(rows.to_dict("records"), inputs.embeddings)
        hashes = np.array([int(text, 16) for text in rows["phash"]], dtype=np.uint64)
        turned = find_turned(folder.index, hashes, _views(folder.index, inputs.images, distance), distance)
        found = together(find_leaks(folder.index, vectors, params.similarity), turned)
        facts |= {"leaks": len(found), "reason": None}
    files = dict(zip(folder.index["image_id"], folder.index["file"], strict=True))
    worst = found.head(params.shown)
    for row in worst.to_dict("records"):
        facts["pairs"].append({**row, "file": files[row["image_id"]], "other_file": files[row["other_id"]]})
    write_json(report, facts)
    plot_pairs(picture, [_pair(one, inputs.images) for one in facts["pairs"]])


def _views(index: pd.DataFrame, images: Path, distance: int) -> dict[str, dict[str, int]]:
    """The hashes of each image of test and validation, when turned; read where somebody asks for near duplicates."""
    judged = index[index["split"] != "train"]
    return {
        str(row.image_id): view_hashes(read_rgb(images / str(row.file))) if distance >= 0 else {}
        for row in judged.itertuples()
    }


def _pair(found: dict[str, Any], images: Path) -> tuple[str, Pixels, Pixels]:
    title = (
        f"{found['split']} {found['image_id'][:8]}, {found['other_split']} {found['other_id'][:8]}: "
        f"{found['similarity']:.2f}{' ' if found['view'] else ''}{found['view']}"
    )
    return title, read_rgb(images / found["file"]), read_rgb(images / found["other_file"])


def main() -> None:
    """Command line of the stage; the paths are given in dvc.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("dataset", "catalog", "images", "embeddings", "report", "picture", "params"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    inputs = Inputs(given.dataset, given.catalog, given.images, given.embeddings)
    distance = int(load_number(given.params, "ingest", "near_duplicate_distance", int))
    run(inputs, given.report, given.picture, load_params(given.params, "leaks", Params), distance)


if __name__ == "__main__":
    with one_line_errors():
        main()
