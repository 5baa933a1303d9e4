"""Stage `collect`: what people drew in all rounds, decoded: one row per rating and one per region."""

import argparse
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from datalab.adapters.files import read_table, write_table
from datalab.adapters.label_studio.results import results_to_regions
from datalab.errors import InputError, one_line_errors
from datalab.tables import ANNOTATED_REGIONS, ANNOTATIONS, BATCH, GOLD, RATINGS

LOGGER = logging.getLogger(__name__)


def run(rounds: Path, gold: Path, ratings: Path, regions: Path) -> None:
    """Write `ratings` (table RATINGS) and `regions` (table ANNOTATED_REGIONS) from every round below `rounds`.

    Skipped annotations are left out. Of several by one person on one image the newest counts. InputError, with the
    annotation's id, for one that cannot be decoded, has another size than its image or a region without a class. But a
    proposal without a class that somebody left as it was is no answer: it is left out, and a warning says so.
    """
    annotations = _all(rounds, "annotations.parquet", ANNOTATIONS)
    batches = _all(rounds, "batch.parquet", BATCH)
    if annotations.empty:
        raise InputError(f"{rounds} holds no annotation yet; label a round first")
    # rounds after rounds: an image that was gold once is gold
    roles = batches.sort_values("role").drop_duplicates("image_id", keep="last").set_index("image_id")["role"]
    # what became gold later is gold too: nobody may learn from it any more
    roles[roles.index.isin(read_table(gold, GOLD)["image_id"])] = "gold"
    submitted = annotations[~annotations["was_cancelled"].astype(bool)].sort_values(["updated_at", "annotation_id"])
    newest = submitted.drop_duplicates(["image_id", "annotator"], keep="last").sort_values("annotation_id")
    table = newest.assign(role=newest["image_id"].map(roles)).loc[:, list(RATINGS)].reset_index(drop=True)
    rows = [row for annotation in newest.to_dict("records") for row in _regions(annotation)]
    write_table(ratings, table)
    write_table(regions, pd.DataFrame(rows, columns=list(ANNOTATED_REGIONS)))


def _all(rounds: Path, name: str, columns: tuple[str, ...]) -> pd.DataFrame:
    tables = [read_table(path, columns) for path in sorted(rounds.glob(f"*/{name}"))]
    return pd.concat([table for table in tables if len(table)] or [pd.DataFrame(columns=list(columns))])


def _regions(annotation: dict[Any, Any]) -> Iterator[dict[str, Any]]:
    where = f"annotation {annotation['annotation_id']} of {annotation['annotator']} on image {annotation['image_id']}"
    try:
        decoded = results_to_regions(json.loads(annotation["result_json"]))
    except (InputError, AttributeError, KeyError, TypeError, ValueError) as exc:
        raise InputError(f"{where} cannot be read: {exc}; correct it in Label Studio and pull again") from exc
    for place, region in enumerate(decoded):
        size = (region["width"], region["height"])
        if size != (annotation["width"], annotation["height"]):
            expected = f"{annotation['width']} x {annotation['height']}"
            raise InputError(f"{where} has a mask of {size[0]} x {size[1]} pixels, the image has {expected}")
        if not region["label"] and region["origin"] == "proposal":
            LOGGER.warning("%s leaves a proposed region without a class: it does not count", where)
            continue
        if not region["label"]:
            raise InputError(f"{where} has a region without a class; give it one in Label Studio and pull again")
        yield {
            "annotation_id": annotation["annotation_id"],
            "round_id": annotation["round_id"],
            "annotator": annotation["annotator"],
            "image_id": annotation["image_id"],
            **region,
            "region_id": f"{annotation['annotation_id']}-{place}",
        }


def main() -> None:
    """Paths come from dvc.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("rounds", "gold", "ratings", "regions"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    paths = parser.parse_args()
    run(paths.rounds, paths.gold, paths.ratings, paths.regions)


if __name__ == "__main__":
    with one_line_errors():
        main()
