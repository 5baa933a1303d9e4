"""Stage `agree`: how far people who labelled the same images agree, with intervals."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from datalab.adapters.files import read_table, write_json, write_table
from datalab.adapters.image_groups import load_rules, read_groups
from datalab.adapters.stage_progress import stage_progress
from datalab.config import Guidelines, load_guidelines, load_params
from datalab.errors import InputError, one_line_errors
from datalab.figure import plain
from datalab.learning.splits import GroupRules
from datalab.quality.agreement_report import Limits, agreement_report, measure
from datalab.quality.attributes import attribute_agreement, placed_answers
from datalab.quality.rated import rated_images
from datalab.ranges import Count, Seed, Share
from datalab.tables import ANNOTATED_REGIONS, ATTRIBUTES, CATALOG, RATINGS

MOST_SLICES = 50


@dataclass(frozen=True)
class Params:
    """Section `agree` of params.yaml."""

    seed: Seed
    iou_threshold: Share
    least_images: Count
    least_of_class: Count
    reliable: Share
    small_share: Share
    large_share: Share

    @property
    def limits(self) -> Limits:
        """What the report is judged by."""
        return Limits(self.least_images, self.least_of_class, self.reliable, self.small_share, self.large_share)


@dataclass(frozen=True)
class Inputs:
    """Files of the stage."""

    ratings: Path
    regions: Path
    attributes: Path
    catalog: Path
    metadata: Path
    guidelines: Path


def run(inputs: Inputs, out: Path, report: Path, params: Params, rules: GroupRules) -> None:
    """Write `out` (table PAIRS) and `report` (figures: all, per class, pair, size, origin, round, slice, attribute).

    The slice of an image is the folder it was taken in from. Intervals are over the groups that `rules` make of all
    images somebody rated. InputError where somebody used a class that
    guidelines/classes.yaml does not know.
    """
    guidelines = load_guidelines(inputs.guidelines)
    names = guidelines.names
    drawn, rated = read_table(inputs.regions, ANNOTATED_REGIONS), read_table(inputs.ratings, RATINGS)
    check_classes(drawn, names, inputs.guidelines)
    groups = read_groups(set(rated["image_id"]), inputs.catalog, inputs.metadata, rules)
    parts = {
        "per_round": {
            str(image_id): str(last) for image_id, last in rated.groupby("image_id")["round_id"].max().items()
        },
        "per_slice": slices(read_table(inputs.catalog, CATALOG), rated),
    }
    measured = measure(rated_images(rated, drawn, groups=groups), names, params.iou_threshold, stage_progress)
    content = agreement_report(measured, parts, params.limits, np.random.default_rng(params.seed), stage_progress)
    content["per_attribute"] = attribute_agreement(
        measured.objects,
        placed_answers(answers_to(guidelines, read_table(inputs.attributes, ATTRIBUTES)), drawn),
        questions(guidelines),
        np.random.default_rng(params.seed),
    )
    write_table(out, measured.pairs)
    write_json(report, plain({**content, "annotators": sorted(rated["annotator"].unique())}))


def questions(guidelines: Guidelines) -> dict[tuple[str, str], tuple[str, ...]]:
    """(class, attribute) to the values it may have."""
    return {(item.name, asked.name): asked.values for item in guidelines.classes for asked in item.attributes}


def answers_to(guidelines: Guidelines, attributes: pd.DataFrame) -> pd.DataFrame:
    """The rows that answer a question of their region's present class: an answer outlives a change of class."""
    ids = {item.name: item.id for item in guidelines.classes}
    return attributes[attributes["class_id"] == attributes["label"].map(ids)]


def slices(catalog: pd.DataFrame, rated: pd.DataFrame) -> dict[str, str]:
    """image_id to the folder of its source, "." for the top one, of the MOST_SLICES with the most images of two or more
    people: one folder for each patient or clip would take hours and be read by nobody.
    """
    folders = catalog["source"].map(lambda source: PurePosixPath(source).parent.as_posix())
    shared = (catalog["image_id"].map(rated["image_id"].value_counts()) >= 2).groupby(folders).sum()
    kept = set(shared.sort_values(ascending=False, kind="stable").index[:MOST_SLICES])
    return {image_id: folder for image_id, folder in zip(catalog["image_id"], folders, strict=True) if folder in kept}


def check_classes(drawn: pd.DataFrame, names: Sequence[str], guidelines: Path) -> None:
    """InputError for the first region whose class is none of `names`."""
    unknown = drawn[~drawn["label"].isin(names)]
    if len(unknown):
        first = unknown.iloc[0]
        raise InputError(
            f"{first['annotator']} used the class {first['label']!r} on image {first['image_id']}; "
            f"add it to {guidelines}/classes.yaml or relabel"
        )


def main() -> None:
    """Paths come from dvc.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    read = ("ratings", "regions", "attributes", "catalog", "metadata", "guidelines")
    for name in (*read, "out", "report", "params"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    paths = vars(parser.parse_args())
    params = load_params(paths["params"], "agree", Params)
    run(Inputs(*(paths[name] for name in read)), paths["out"], paths["report"], params, load_rules(paths["params"]))


if __name__ == "__main__":
    with one_line_errors():
        main()
