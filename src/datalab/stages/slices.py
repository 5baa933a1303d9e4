"""Where the model is worse than elsewhere: the test images cut into slices, compared, and drawn."""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd

from datalab.adapters.files import read_table, write_json, write_table, write_text
from datalab.adapters.plots import plot_slices
from datalab.config import load_params
from datalab.errors import one_line_errors
from datalab.learning.slices import compare, found_slices, named_slices
from datalab.masks import BoolMask
from datalab.ranges import Count, Natural, Share, Within
from datalab.tables import CATALOG, JUDGED, SLICES

MANY_FOLDERS = 12
"""More folders than this tell images apart, not parts of them."""


@dataclass(frozen=True)
class Params:
    """Which slices are looked at."""

    seed: Natural
    least: Annotated[int, Within(2)]
    """Images a slice, and the rest, must have."""
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
    views: Path
    """Table SLICES of the views that reviewers saved as slices; a rule in params.yaml of the same name comes first."""


def run(inputs: Inputs, members: Path, out: Path, plots: Path, params: Params) -> None:
    """Write `out` with every slice, worst first, slices.csv and slices.png into `plots`, and `members` (table SLICES).

    `worse` lists the slices below the line, each as a sentence; where there are too few test images for any slice it
    is empty and `reason` says so.
    """
    images = read_table(inputs.judged, JUDGED, others=True)
    traits = images.drop(columns=["image_id", "iou"]).join(_catalog_traits(images, read_table(inputs.catalog, CATALOG)))
    viewed = _viewed_slices(images, read_table(inputs.views, SLICES))
    named = {**viewed, **named_slices(traits, params.named)}
    few = traits if 1 < traits["folder"].nunique() <= MANY_FOLDERS else traits.drop(columns="folder")
    slices = {**found_slices(few), **named}
    rng = np.random.default_rng(params.seed)
    table = compare(images["iou"].to_numpy(dtype=np.float64), slices, params.least, rng, params.resamples)
    report: dict[str, Any] = {
        "images": len(images),
        "slices": [_rounded(row) for row in table.to_dict("records")],
        "named": sorted(named),
        "worse": [_sentence(row) for row in table[table["q"] < params.q].to_dict("records")],
    }
    if table.empty:
        report["reason"] = f"{len(images)} test images: no slice has {params.least}, and leaves as many"
    worse = set(table.loc[table["q"] < params.q, "slice"])
    rows = [(one, name) for name in slices if name in {*named, *worse} for one in images["image_id"][slices[name]]]
    write_table(members, pd.DataFrame(rows, columns=list(SLICES)))
    write_json(out, report)
    write_text(plots / "slices.csv", table.to_csv(index=False))
    plot_slices(plots / "slices.png", table, params.q)


def _viewed_slices(images: pd.DataFrame, views: pd.DataFrame) -> dict[str, BoolMask]:
    """Name -> (N,) bool: which of the N test images are in a reviewer's view."""
    return {
        str(name): images["image_id"].isin(rows["image_id"]).to_numpy(dtype=bool)
        for name, rows in views.groupby("slice")
    }


def _catalog_traits(images: pd.DataFrame, catalog: pd.DataFrame) -> pd.DataFrame:
    """Size of the images and the folder they came from, in their order."""
    rows = catalog.set_index("image_id").loc[images["image_id"]].reset_index(drop=True)
    found = pd.DataFrame({"megapixels": rows["width"].astype(float) * rows["height"].astype(float) / 1e6})
    folders = pd.Series([str(Path(str(source)).parent) for source in rows["source"]])
    return found.assign(folder=folders)


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
    for name in ("judged", "catalog", "views", "members", "out", "plots", "params"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    params = load_params(given.params, "slices", Params)
    run(Inputs(given.judged, given.catalog, given.views), given.members, given.out, given.plots, params)


if __name__ == "__main__":
    with one_line_errors():
        main()
