"""Labelled images as label maps, dealt to train, validation and test."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from datalab.adapters.files import fresh_folder, read_table, write_json, write_label_map, write_table
from datalab.adapters.stage_progress import stage_bar
from datalab.config import BACKGROUND, Guidelines, load_guidelines, load_number, load_params
from datalab.errors import InputError, one_line_errors
from datalab.learning.splits import SplitParams, TooFewGroupsError, deal_labelled
from datalab.masks import IGNORE_ID, label_map
from datalab.tables import ADJUDICATION, CATALOG, CONSENSUS, DATASET, FIRST_LABELS, METADATA, RATINGS


@dataclass(frozen=True)
class Inputs:
    """Files of the stage."""

    consensus: Path
    """Table CONSENSUS: what the masks are painted from."""
    adjudication: Path
    """Table ADJUDICATION: pixels nobody has decided about yet."""
    ratings: Path
    """Table RATINGS: which images were looked at. One without an object is all background."""
    first_labels: Path
    """Table FIRST_LABELS: the classes seen, to spread them over the splits. Unlike consensus they stay as they were
    when the round was closed, and so do the splits, whatever is labelled anew or left out later."""
    catalog: Path
    """Table CATALOG."""
    metadata: Path
    """Table METADATA: what belongs together by `group_column`."""
    guidelines: Path
    """Folder with classes.yaml."""


def run(inputs: Inputs, out: Path, params: SplitParams, distance: int) -> None:
    """Write `out`: index.parquet (table DATASET), classes.json and masks/<image_id>.png.

    classes.json is a list of {"id", "name"}, background (0) first. Disputed pixels are 255: not judged, nothing is
    learned from them. Gold images are left out: they are there to judge people, and stay unseen. `distance`: bits of
    the perceptual hashes in which near duplicates differ at most. InputError where nothing is labelled or a split would
    be empty.
    """
    guidelines = load_guidelines(inputs.guidelines)
    ratings = read_table(inputs.ratings, RATINGS)
    ratings = ratings[ratings["role"] != "gold"]
    if ratings.empty:
        raise TooFewGroupsError("no image but gold has an answer that counts; label another round")
    catalog = read_table(inputs.catalog, CATALOG)
    images = labelled_images(ratings, catalog)
    first, metadata = read_table(inputs.first_labels, FIRST_LABELS), read_table(inputs.metadata, METADATA, others=True)
    dealt = deal_labelled(first, catalog, metadata, params, distance)
    index = images.merge(dealt, on="image_id").loc[:, list(DATASET)]
    objects = _by_image(read_table(inputs.consensus, CONSENSUS))
    doubts = read_table(inputs.adjudication, ADJUDICATION)
    disputed = _by_image(doubts[doubts["disputed"] != ""])
    with fresh_folder(out) as folder:
        rows = zip(images["image_id"], images["height"], images["width"], strict=True)
        for image_id, height, width in stage_bar("dataset", len(images), "image", rows):
            regions = [*known_regions(objects.get(image_id), guidelines), *disputed_regions(disputed.get(image_id))]
            painted = label_map(regions, int(height), int(width))
            write_label_map(folder / "masks" / f"{image_id}.png", painted)
        write_json(folder / "classes.json", class_list(guidelines))
        write_table(folder / "index.parquet", index)


def labelled_images(ratings: pd.DataFrame, catalog: pd.DataFrame) -> pd.DataFrame:
    """One row per rated image, sorted by image_id: the catalog's columns and `raters`."""
    raters = ratings.groupby("image_id")["annotator"].nunique()
    rows = catalog[catalog["image_id"].isin(raters.index)].sort_values("image_id")
    missing = sorted(set(raters.index) - set(rows["image_id"]))
    if missing:
        raise InputError(f"image {missing[0]} was labelled but is not in the catalog; ingest its folder again")
    return rows.assign(raters=rows["image_id"].map(raters).astype("int64")).reset_index(drop=True)


def known_regions(objects: pd.DataFrame | None, guidelines: Guidelines) -> list[tuple[int, str]]:
    """(class id, rle) of one image's consensus objects; None: there is none.

    InputError, with the image's id, for a class that the guidelines do not name, as of a reviewer's older decision.
    """
    if objects is None:
        return []
    try:
        return [(guidelines.id_of(label), rle) for label, rle in zip(objects["label"], objects["rle"], strict=True)]
    except InputError as exc:
        raise InputError(f"image {objects['image_id'].iloc[0]}: {exc}; add it there, or decide the image anew") from exc


def disputed_regions(doubts: pd.DataFrame | None) -> list[tuple[int, str]]:
    """(255, rle) of the pixels in doubt. Painted like objects: a small sure object on a large doubtful one stays."""
    return [] if doubts is None else [(IGNORE_ID, rle) for rle in doubts["disputed"]]


def _by_image(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {str(image_id): rows for image_id, rows in table.groupby("image_id")}


def class_list(guidelines: Guidelines) -> list[dict[str, int | str]]:
    """Classes as JSON, background first. Colours and rules are left out: they do not change what a model learns."""
    named = [(0, BACKGROUND), *((item.id, item.name) for item in guidelines.classes)]
    return [{"id": class_id, "name": name} for class_id, name in named]


def main() -> None:
    """Command line of the stage; the paths are given in dvc.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("consensus", "adjudication", "ratings", "first-labels", "catalog", "metadata", "guidelines"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--params", type=Path, required=True)
    given = parser.parse_args()
    labels = (given.ratings, given.first_labels)
    inputs = Inputs(given.consensus, given.adjudication, *labels, given.catalog, given.metadata, given.guidelines)
    distance = load_number(given.params, "ingest", "near_duplicate_distance", int)
    run(inputs, given.out, load_params(given.params, "dataset", SplitParams), distance)


if __name__ == "__main__":
    with one_line_errors():
        main()
