"""Where the model is worse than elsewhere: the test images cut into slices, compared, and drawn."""

import argparse
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd

from datalab.adapters.files import read_table, write_json, write_table, write_text
from datalab.adapters.plots import plot_slices
from datalab.adapters.stage_progress import stage_bar
from datalab.config import load_params
from datalab.errors import one_line_errors
from datalab.learning.slices import compare, found_pairs, found_slices, named_slices, worse_slices
from datalab.learning.traits import written_traits
from datalab.masks import BoolMask
from datalab.ranges import Count, Seed, Share, Within
from datalab.tables import CATALOG, JUDGED, METADATA, SLICES

IN_RULES = ("image_id", "width", "height", "source", "duplicate_group")
"""Columns of CATALOG that rules may use, and that make no slices by themselves: megapixels and folder say the same."""


@dataclass(frozen=True)
class Params:
    """Which slices are looked at."""

    seed: Seed
    least: Annotated[int, Within(2)]
    """Groups of images a slice, and the rest, must have; a number is cut by its values where each has so many images.
    """
    resamples: Count
    q: Share
    """Slices below are called worse: so many of them are false alarms, at most."""
    named: dict[str, str]
    """Name -> rule over the columns, e.g. dark: "brightness < 0.3"."""


@dataclass(frozen=True)
class Inputs:
    """The tables that are read."""

    judged: Path
    """Table JUDGED."""
    catalog: Path
    """Table CATALOG."""
    metadata: Path
    """Table METADATA."""
    views: Path
    """Table SLICES of the views that reviewers saved as slices; a rule in params.yaml of the same name comes first."""


def run(inputs: Inputs, members: Path, out: Path, plots: Path, params: Params) -> None:
    """Write `out` with every slice, worst first, slices.csv and slices.png into `plots`, and `members` (table SLICES).

    `worse` lists the slices below the line, each as a sentence; where there are too few test images for any slice it
    is empty and `reason` says so. `pairs` says how many pairs of parts were looked at; those called worse are listed.
    """
    images = read_table(inputs.judged, JUDGED, others=True)
    traits, ruled = _traits(images, inputs)
    viewed = _viewed_slices(images, read_table(inputs.views, SLICES))
    named = {**viewed, **named_slices(ruled, params.named)}
    slices, pairs = {**found_slices(traits, params.least), **named}, found_pairs(traits, params.least)
    rng = np.random.default_rng(params.seed)
    iou, groups = images["iou"].to_numpy(dtype=np.float64), images["group"].tolist()
    table = compare(iou, groups, slices, params.least, rng, params.resamples, pairs, _watched)
    worse = worse_slices(table, slices, pairs, params.q)
    table = table[table["slice"].isin([*slices, *worse])]
    report: dict[str, Any] = {
        "images": len(images),
        "pairs": len(pairs.of),
        "slices": [_rounded(row) for row in table.to_dict("records")],
        "named": sorted(named),
        "worse": [_sentence(row) for row in table[table["slice"].isin(worse)].to_dict("records")],
    }
    if table.empty:
        many = f"{len(images)} test images of {images['group'].nunique()} groups"
        report["reason"] = f"{many}: no slice has {params.least} groups, and leaves as many"
    inside = {name: part for name, part in {**pairs.inside(), **slices}.items() if name in {*named, *worse}}
    rows = [(one, name) for name, part in inside.items() for one in images["image_id"][part]]
    write_table(members, pd.DataFrame(rows, columns=list(SLICES)))
    write_json(out, report)
    write_text(plots / "slices.csv", table.to_csv(index=False))
    plot_slices(plots / "slices.png", table, params.q)


def _watched(parts: Sequence[str]) -> Iterable[str]:
    return stage_bar("slices", len(parts), "part", parts)


def _viewed_slices(images: pd.DataFrame, views: pd.DataFrame) -> dict[str, BoolMask]:
    """Name -> (N,) bool: which of the N test images are in a reviewer's view."""
    return {
        str(name): images["image_id"].isin(rows["image_id"]).to_numpy(dtype=bool)
        for name, rows in views.groupby("slice")
    }


def _traits(images: pd.DataFrame, inputs: Inputs) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What the images are cut by, in their order, and what rules may use: the same and IN_RULES."""
    rows = read_table(inputs.catalog, CATALOG).set_index("image_id", drop=False).loc[images["image_id"]]
    rows = rows.reset_index(drop=True)
    size = pd.DataFrame({"megapixels": rows["width"].astype(float) * rows["height"].astype(float) / 1e6})
    folders = pd.Series([str(Path(str(source)).parent) for source in rows["source"]])
    metadata = read_table(inputs.metadata, METADATA, others=True).set_index("image_id")
    written = written_traits(metadata).reindex(images["image_id"]).reset_index(drop=True)
    traits = images.drop(columns=list(JUDGED)).join(size.assign(folder=folders)).join(written)
    return traits, traits.join(rows[list(IN_RULES)])


def _rounded(row: dict[Any, Any]) -> dict[str, Any]:
    return {
        str(name): None if isinstance(value, float) and math.isnan(value) else
        round(value, 6) if isinstance(value, float) else value
        for name, value in row.items()
    }  # fmt: skip


def _sentence(row: dict[Any, Any]) -> str:
    return f"{row['slice']}: IoU {row['iou']:.2f} on {row['images']} images, {row['elsewhere']:.2f} elsewhere"


def main() -> None:
    """Command line of the stage; the paths are given in dvc.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("judged", "catalog", "metadata", "views", "members", "out", "plots", "params"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    params = load_params(given.params, "slices", Params)
    inputs = Inputs(given.judged, given.catalog, given.metadata, given.views)
    run(inputs, given.members, given.out, given.plots, params)


if __name__ == "__main__":
    with one_line_errors():
        main()
