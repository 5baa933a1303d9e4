"""Stage `leaks`: looks for test and validation images that look like what the model was made from, and shows them."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd

from datalab.adapters.dataset_folder import read_dataset
from datalab.adapters.files import read_rgb, read_table, write_json
from datalab.adapters.image_vectors import read_image_vectors
from datalab.adapters.image_views import view_hashes
from datalab.adapters.plots import Pixels, for_tile, plot_pairs
from datalab.adapters.stage_progress import stage_bar
from datalab.adapters.torch_threads import side_by_side
from datalab.config import load_number, load_params
from datalab.errors import one_line_errors
from datalab.learning.leaks import LEAKS, find_leaks, find_parts, find_turned, together
from datalab.learning.shared_parts import Corners, Grey, find_corners, mirror, to_compare
from datalab.ranges import Count, Within
from datalab.tables import CATALOG

FEWEST = 10
"""Images; of fewer nobody can tell what they share."""
READ = 16
"""Images held for a closer look."""


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
    Those that are near duplicates of one when mirrored or turned count as well, `distance` being of their hashes, and
    those that show a part of one. With fewer than ten images nothing is looked for: `reason`.
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
        looks = _looks(folder.index, inputs.images, distance)
        views = {str(image_id): look.views for image_id, look in zip(folder.index["image_id"], looks, strict=True)}
        found = together(
            find_leaks(folder.index, vectors, params.similarity),
            find_turned(folder.index, hashes, views, distance),
            _parts(folder.index, inputs.images, looks),
        )
        facts |= {"leaks": len(found), "reason": None}
    files = dict(zip(folder.index["image_id"], folder.index["file"], strict=True))
    worst = found.head(params.shown)
    for row in worst.to_dict("records"):
        facts["pairs"].append({**row, "file": files[row["image_id"]], "other_file": files[row["other_id"]]})
    write_json(report, facts)
    plot_pairs(picture, [_pair(one, inputs.images) for one in facts["pairs"]])


@dataclass(frozen=True)
class _Look:
    """What is compared of an image."""

    views: dict[str, int]
    """Its hashes when turned; none of a training image, or where nobody asks for near duplicates."""
    corners: Corners
    mirrored: Corners | None
    """When mirrored; None of a training image."""


def _looks(index: pd.DataFrame, images: Path, distance: int) -> list[_Look]:
    """Of each image; every one is read once."""

    def look(row: tuple[str, str]) -> _Look:
        file, split = row
        pixels = read_rgb(images / file)
        grey, is_judged = to_compare(pixels), split != "train"
        views = view_hashes(pixels) if distance >= 0 and is_judged else {}
        return _Look(views, find_corners(grey), find_corners(mirror(grey)) if is_judged else None)

    rows = list(zip(index["file"], index["split"], strict=True))
    return list(stage_bar("look at images", len(rows), "image", side_by_side(look, rows)))


def _parts(index: pd.DataFrame, images: Path, looks: Sequence[_Look]) -> pd.DataFrame:
    """Table LEAKS of those that show a part of another."""

    @lru_cache(READ)
    def grey(place: int) -> Grey:
        return to_compare(read_rgb(images / index["file"].iloc[place]))

    mirrored = {place: look.mirrored for place, look in enumerate(looks) if look.mirrored is not None}
    found = find_parts(index, [look.corners for look in looks], mirrored, grey)
    compared = stage_bar("compare images", 2 * len(mirrored), "view", found)
    return pd.DataFrame([row for row in compared if row is not None], columns=list(LEAKS))


def _pair(found: dict[str, Any], images: Path) -> tuple[str, Pixels, Pixels]:
    title = (
        f"{found['split']} {found['image_id'][:8]}, {found['other_split']} {found['other_id'][:8]}: "
        f"{found['similarity']:.2f}{' ' if found['view'] else ''}{found['view']}"
    )
    files = (images / found[key] for key in ("file", "other_file"))
    # all pairs are held until they are drawn
    first, second = (for_tile(read_rgb(path)) for path in files)
    return title, first, second


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
