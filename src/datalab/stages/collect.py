"""Stage `collect`: what people drew in all rounds, decoded: one row per rating and one per region."""

import argparse
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datalab.adapters.files import read_table, write_table
from datalab.adapters.label_studio.attributes import results_to_attributes
from datalab.adapters.label_studio.results import results_to_regions
from datalab.adapters.stage_progress import stage_bar
from datalab.errors import InputError, one_line_errors
from datalab.quality.reviews import images_judged
from datalab.tables import (
    ANNOTATED_REGIONS,
    ANNOTATIONS,
    ATTRIBUTES,
    BATCH,
    FIRST_LABELS,
    GOLD,
    QUARANTINE,
    RATING_PROVENANCE,
    RATINGS,
    REVIEWS,
    empty,
)

LOGGER = logging.getLogger(__name__)

Version = tuple[str, int]
"""An annotation as a round has read it: the round's folder and the annotation's id."""
ROUND_STEP = 10**9
"""More annotations than a database has."""
DRAWN = "result_json"
KEPT = tuple(name for name in ANNOTATIONS if name != DRAWN)
"""What is held of every answer; the drawings are nearly all bytes of a round, and many count no more."""


Found = list[dict[str, Any]]
"""Rows of a table to be, of one answer."""


@dataclass(frozen=True)
class Drawn:
    """What was drawn, and said about it, in each answer."""

    regions: dict[Version, Found]
    attributes: dict[Version, Found]


@dataclass(frozen=True)
class Inputs:
    """Files of the stage."""

    rounds: Path
    gold: Path
    reviews: Path
    """Table REVIEWS: what reviewers left out."""


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    ratings: Path
    regions: Path
    attributes: Path
    first_labels: Path
    earlier_ratings: Path
    """Table RATINGS of gold that its annotator has answered in a later round again: how people change."""
    earlier_regions: Path


def run(inputs: Inputs, outputs: Outputs) -> None:
    """Write tables RATINGS, ANNOTATED_REGIONS (both twice), ATTRIBUTES and FIRST_LABELS from every round in `inputs`.

    Skipped annotations are left out, and so is what the round's quarantine.parquet sets aside. What somebody changed
    after its round was read, a later round's corrections.parquet, takes the place of what it was, but for FIRST_LABELS:
    there an image stays what it was when it was first read. Of several by one person on one image the newest counts. An
    image that was sent out again is what people said in its newest round: earlier answers, of others too, no longer
    count. Gold is asked again and again to judge people, so there everybody's newest counts, and the newest of each
    earlier round goes to the earlier tables. Images that a reviewer left out are in no table but FIRST_LABELS, so that
    the splits of the others stay.
    InputError, with the annotation's id, for one that is in no quarantine and cannot be decoded, has another size than
    its image or a region without a class. But a proposal without a class that somebody left as it was is no answer: it
    is left out, and a warning says so.
    """
    annotations = _answers(inputs.rounds)
    batches = _all(inputs.rounds, "batch.parquet", BATCH)
    if annotations.empty:
        raise InputError(f"{inputs.rounds} holds no annotation yet; label a round first")
    annotations = _apart(_without(annotations, _all(inputs.rounds, "quarantine.parquet", QUARANTINE)))
    # rounds after rounds: an image that was gold once is gold
    roles = batches.sort_values("role").drop_duplicates("image_id", keep="last").set_index("image_id")["role"]
    # what became gold later is gold too: nobody may learn from it any more
    roles[roles.index.isin(read_table(inputs.gold, GOLD)["image_id"])] = "gold"
    submitted = annotations[~annotations["was_cancelled"].astype(bool)].sort_values(["updated_at", "annotation_id"])
    submitted = submitted.assign(role=submitted["image_id"].map(roles))
    excluded = images_judged(read_table(inputs.reviews, REVIEWS), "exclude")
    counting = submitted[submitted["is_newest"] & ~submitted["image_id"].isin(excluded)]
    newest = _newest(counting)
    earlier, first = _earlier(counting, newest), _first(submitted, batches)
    drawn = _drawn(inputs.rounds, newest, earlier, first)
    write_table(outputs.ratings, newest.loc[:, [*RATINGS, *RATING_PROVENANCE]].reset_index(drop=True))
    write_table(outputs.regions, _of(newest, drawn.regions, ANNOTATED_REGIONS))
    write_table(outputs.attributes, _of(newest, drawn.attributes, ATTRIBUTES))
    write_table(outputs.earlier_ratings, earlier.loc[:, list(RATINGS)].reset_index(drop=True))
    write_table(outputs.earlier_regions, _of(earlier, drawn.regions, ANNOTATED_REGIONS))
    write_table(outputs.first_labels, _first_labels(first, drawn.regions))


def _answers(rounds: Path) -> pd.DataFrame:
    """Every version that a pull read, but for its drawings: KEPT and where they are, the `folder` of its round, `file`
    and `row`; and whether it `is_newest` of its annotation."""
    names = ("annotations.parquet", "corrections.parquet")
    read = pd.concat([_all(rounds, name, KEPT).assign(file=name) for name in names]).rename_axis("row").reset_index()
    read = read.sort_values("folder", kind="stable", ignore_index=True)
    return read.assign(is_newest=~read.duplicated(["round_id", "annotation_id"], keep="last"))


def _version(row: Mapping[Any, Any]) -> Version:
    return str(row["folder"]), int(row["annotation_id"])


def _apart(annotations: pd.DataFrame) -> pd.DataFrame:
    """With ids that are one annotation's: a Label Studio whose database was made anew counts from 1 again.

    The first round keeps its ids; one of a later round that repeats another gets ROUND_STEP times its round added.
    """
    first = annotations.groupby("annotation_id")["round_id"].transform("min")
    again = annotations["round_id"] != first
    step = annotations["round_id"].astype("int64").where(again, 0) * ROUND_STEP
    return annotations.assign(annotation_id=annotations["annotation_id"] + step)


def _newest(submitted: pd.DataFrame) -> pd.DataFrame:
    """Of each person the newest answer; of an image that is no gold those of its newest round alone.

    An answer of an earlier round that was corrected yesterday is older than one of a later round.
    """
    rounds = submitted.groupby("image_id")["round_id"].transform("max")
    counting = submitted[(submitted["role"] == "gold") | (submitted["round_id"] == rounds)]
    counting = counting.sort_values("round_id", kind="stable")
    return counting.drop_duplicates(["image_id", "annotator"], keep="last").sort_values("annotation_id")


def _earlier(submitted: pd.DataFrame, newest: pd.DataFrame) -> pd.DataFrame:
    """Of each person and gold image the newest answer of every round but that of the newest answer of all."""
    counted = newest[["image_id", "annotator", "round_id"]]
    gold = submitted[submitted["role"] == "gold"].drop_duplicates(list(counted), keep="last")
    places = pd.MultiIndex.from_frame(gold[list(counted)])
    return gold[~places.isin(pd.MultiIndex.from_frame(counted))].sort_values("annotation_id")


def _first(submitted: pd.DataFrame, batches: pd.DataFrame) -> pd.DataFrame:
    """Each person's newest answer among the first that were read of an image; none where it was gold by then."""
    rounds = submitted.groupby("image_id")["folder"].transform("min")
    first = submitted[submitted["folder"] == rounds]
    shown = batches[batches["role"] == "gold"]
    gold = set(zip(shown["image_id"], shown["folder"], strict=True))
    was_gold = [pair in gold for pair in zip(first["image_id"], first["round_id"], strict=True)]
    first = first[~np.array(was_gold, dtype=bool)]
    return first.drop_duplicates(["image_id", "annotator"], keep="last").sort_values("annotation_id")


def _drawn(rounds: Path, newest: pd.DataFrame, *others: pd.DataFrame) -> Drawn:
    """What lies in all of these answers; attributes are read of the `newest` alone."""
    asked = {_version(row) for row in newest.to_dict("records")}
    answers = pd.concat([newest, *others]).drop_duplicates(["folder", "annotation_id"])
    drawn = Drawn({}, {})
    for row in stage_bar("collect", len(answers), "answer", _with_drawings(rounds, answers)):
        version = _version(row)
        regions = drawn.regions[version] = list(_regions(row))
        if version in asked:
            drawn.attributes[version] = list(_attributes(row, regions))
    return drawn


def _with_drawings(rounds: Path, answers: pd.DataFrame) -> Iterator[dict[Any, Any]]:
    """The rows with DRAWN, less what is set aside of it; that of one file at a time is in memory."""
    for (folder, file), rows in answers.groupby(["folder", "file"]):
        drawings = read_table(rounds / str(folder) / str(file), (DRAWN,))[DRAWN]
        for row in rows.to_dict("records"):
            given = drawings.iloc[row["row"]]
            yield {**row, DRAWN: _left(given, row["out"]) if row["out"] else given}


def _of(answers: pd.DataFrame, found: Mapping[Version, Found], columns: tuple[str, ...]) -> pd.DataFrame:
    """The table of what was found in these answers, in their order."""
    rows = [one for row in answers.to_dict("records") for one in found[_version(row)]]
    return pd.DataFrame(rows, columns=list(columns))


def _first_labels(first: pd.DataFrame, regions: Mapping[Version, Found]) -> pd.DataFrame:
    """Table FIRST_LABELS; images whose every answer was empty have one row with label ""."""
    found = {
        (row["image_id"], row["folder"], region["label"])
        for row in first.to_dict("records")
        for region in regions[_version(row)] or [{"label": ""}]
    }
    labelled = {image_id for image_id, _, label in found if label}
    rows = sorted(one for one in found if one[2] or one[0] not in labelled)
    return pd.DataFrame(rows, columns=list(FIRST_LABELS))


def _all(rounds: Path, name: str, columns: tuple[str, ...]) -> pd.DataFrame:
    """The tables of this name of every round, with the round's `folder` in a further column."""
    paths = sorted(rounds.glob(f"*/{name}"))
    tables = [read_table(path, columns).assign(folder=path.parent.name) for path in paths]
    return pd.concat(tables) if tables else empty((*columns, "folder"))


def _without(annotations: pd.DataFrame, quarantine: pd.DataFrame) -> pd.DataFrame:
    """`annotations` without those that are set aside; `out`: the places of regions that are, of the others.

    Ids are a round's, and a round sets aside what it has read itself.
    """
    whole = quarantine[quarantine["scope"] == "annotation"]
    aside = set(_keys(whole))
    places: dict[tuple[str, str, int], set[int]] = {}
    regions = quarantine[quarantine["scope"] == "region"]
    for key, place in zip(_keys(regions), regions["place"], strict=True):
        places.setdefault(key, set()).add(int(place))
    keys = _keys(annotations)
    out = pd.Series([places.get(key, set()) for key in keys], index=annotations.index, dtype="object")
    return annotations.assign(out=out)[[key not in aside for key in keys]]


def _keys(table: pd.DataFrame) -> list[tuple[str, str, int]]:
    return list(zip(table["folder"], table["round_id"], table["annotation_id"], strict=True))


def _left(result_json: str, out: set[int]) -> str:
    return json.dumps([item for place, item in enumerate(json.loads(result_json)) if place not in out])


def _regions(annotation: dict[Any, Any]) -> Iterator[dict[str, Any]]:
    where = f"annotation {annotation['annotation_id']} of {annotation['annotator']} on image {annotation['image_id']}"
    try:
        decoded = results_to_regions(json.loads(annotation[DRAWN]))
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
            # of Label Studio, to which answers about the region belong
            "key": region["region_id"],
        }


def _attributes(annotation: dict[Any, Any], regions: Found) -> Iterator[dict[str, Any]]:
    """Answers about regions that count; those about others (erased, set aside) go with them."""
    by_key = {region["key"]: region for region in regions}
    try:
        answers = results_to_attributes(json.loads(annotation[DRAWN]))
    except InputError as exc:
        where = f"annotation {annotation['annotation_id']} of {annotation['annotator']}"
        raise InputError(f"{where}: {exc}; correct it in Label Studio and pull again") from exc
    for answer in answers:
        if answer["region_id"] in by_key:
            region = by_key[answer["region_id"]]
            yield {**answer, **{name: region[name] for name in ATTRIBUTES if name in region}}


def main() -> None:
    """Paths come from dvc.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    written = ("ratings", "regions", "attributes", "first-labels", "earlier-ratings", "earlier-regions")
    for name in ("rounds", "gold", "reviews", *written):
        parser.add_argument(f"--{name}", type=Path, required=True)
    paths = vars(parser.parse_args())
    outputs = Outputs(*(paths[name.replace("-", "_")] for name in written))
    run(Inputs(paths["rounds"], paths["gold"], paths["reviews"]), outputs)


if __name__ == "__main__":
    with one_line_errors():
        main()
