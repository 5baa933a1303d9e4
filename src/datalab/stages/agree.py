"""Stage `agree`: how far people who labelled the same images agree, with intervals."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datalab.adapters.files import read_table, write_json, write_table
from datalab.config import load_guidelines, load_params
from datalab.errors import InputError, one_line_errors
from datalab.quality.agreement import (
    class_confusions,
    object_agreement,
    object_rates,
    object_table,
    of_class,
    pair_table,
)
from datalab.quality.bootstrap import bootstrap_statistic, sum_by_image
from datalab.quality.figure import Figure
from datalab.quality.kappa import both_ways, cohen_kappa
from datalab.quality.pixels import Confusion, pixel_overlap, pixel_tables
from datalab.quality.presence import class_presence, presence_alpha, presence_tables
from datalab.quality.rated import RatedImages, rated_images
from datalab.tables import ANNOTATED_REGIONS, RATINGS

OBJECTS = "objects (matched IoU)"


@dataclass(frozen=True)
class Params:
    """Section `agree` of params.yaml."""

    seed: int
    iou_threshold: float
    least_images: int
    """Double-labelled images below which there is no verdict."""
    reliable: float
    """Lower end of the objects' interval from which labels can be relied on."""


@dataclass(frozen=True)
class Measured:
    """What people said about the images that two or more of them rated."""

    images: RatedImages
    classes: Sequence[str]
    objects: pd.DataFrame
    """Table OBJECTS."""
    pairs: pd.DataFrame
    """Table PAIRS; the two arrays below have its rows."""
    presence: Confusion
    """(pairs, 2, 2): summed over classes, in or not in the image."""
    pixels: Confusion
    """(pairs, K, K): background and classes."""


def run(ratings: Path, regions: Path, guidelines: Path, out: Path, report: Path, params: Params) -> None:
    """Write `out` (table PAIRS) and `report` (figures, per class, per pair, per origin, verdict).

    InputError where somebody used a class that guidelines/classes.yaml does not know.
    """
    names = load_guidelines(guidelines).names
    drawn, rated = read_table(regions, ANNOTATED_REGIONS), read_table(ratings, RATINGS)
    _check_classes(drawn, names, guidelines)
    measured = measure(rated_images(rated, drawn), names, params.iou_threshold)
    rng = np.random.default_rng(params.seed)
    figures = _figures(measured, rng)
    content = {
        "figures": figures,
        "per_class": {name: _class_figures(measured, name, rng) for name in names},
        "per_pair": dict(_pair_figures(measured, people, rng) for people in _people(measured)),
        "per_origin": _origin_figures(measured.objects, rng),
        "class_confusions": class_confusions(measured.objects),
        "double_labelled_images": len(measured.images),
        "annotators": sorted(rated["annotator"].unique()),
        "verdict": _verdict(figures[OBJECTS], len(measured.images), params),
    }
    write_table(out, measured.pairs)
    write_json(report, _plain(content))


def measure(images: RatedImages, classes: Sequence[str], iou_threshold: float) -> Measured:
    """Count everything once; all figures are sums over choices of these rows."""
    objects = object_table(images, iou_threshold)
    return Measured(
        images,
        classes,
        objects,
        pair_table(images, objects),
        presence_tables(images, classes).sum(axis=1),
        pixel_tables(images, classes),
    )


def _figures(measured: Measured, rng: np.random.Generator) -> dict[str, Figure]:
    """Over all pairs. They have no order, so the kappas pool what the two of a pair chose."""
    ids = measured.pairs["image_id"].tolist()
    presence, pixels = (both_ways(sum_by_image(tables, ids)) for tables in (measured.presence, measured.pixels))
    return {
        OBJECTS: object_agreement(measured.objects, rng),
        "class presence (kappa)": bootstrap_statistic(presence, cohen_kappa, rng),
        "pixels (kappa)": bootstrap_statistic(pixels, cohen_kappa, rng),
        "class presence (alpha)": presence_alpha(measured.images, measured.classes, rng),
    }


def _class_figures(measured: Measured, name: str, rng: np.random.Generator) -> dict[str, Any]:
    objects = of_class(measured.objects, name)
    pixels = sum_by_image(measured.pixels, measured.pairs["image_id"].tolist())
    return {
        "objects": object_agreement(objects, rng),
        "f1": object_rates(objects, rng)["f1"],
        "presence": class_presence(measured.images, name, rng),
        "pixels": pixel_overlap(pixels, measured.classes.index(name) + 1, rng),
    }


def _people(measured: Measured) -> list[tuple[str, str]]:
    return sorted(set(zip(measured.pairs["annotator_a"], measured.pairs["annotator_b"], strict=True)))


def _pair_figures(measured: Measured, people: tuple[str, str], rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
    """ "a | b" and the figures of these two; precision and recall read a as the truth."""
    first, second = people
    mine = ((measured.pairs["annotator_a"] == first) & (measured.pairs["annotator_b"] == second)).to_numpy()
    rows = measured.objects
    objects = rows[(rows["annotator_a"] == first) & (rows["annotator_b"] == second)]
    return f"{first} | {second}", {
        "images": int(mine.sum()),
        "objects": object_agreement(objects, rng),
        **object_rates(objects, rng),
        "presence_kappa": bootstrap_statistic(measured.presence[mine], cohen_kappa, rng),
        "pixel_kappa": bootstrap_statistic(measured.pixels[mine], cohen_kappa, rng),
        "class_confusions": class_confusions(objects),
    }


def _origin_figures(objects: pd.DataFrame, rng: np.random.Generator) -> dict[str, Figure]:
    """Two people who both leave a proposal as it is agree with the machine, and look as if they agreed."""
    untouched = (objects["origin_a"] == "proposal") & (objects["origin_b"] == "proposal")
    return {
        "both kept the proposal": object_agreement(objects[untouched], rng),
        "somebody drew or edited": object_agreement(objects[~untouched], rng),
    }


def _check_classes(drawn: pd.DataFrame, names: Sequence[str], guidelines: Path) -> None:
    unknown = drawn[~drawn["label"].isin(names)]
    if len(unknown):
        first = unknown.iloc[0]
        raise InputError(
            f"{first['annotator']} used the class {first['label']!r} on image {first['image_id']}; "
            f"add it to {guidelines}/classes.yaml or relabel"
        )


def _plain(content: Any) -> Any:
    """Figures inside nested dicts as JSON."""
    if isinstance(content, dict):
        return {name: _plain(value) for name, value in content.items()}
    return content.as_json() if isinstance(content, Figure) else content


def _verdict(objects: Figure, images: int, params: Params) -> dict[str, str | None]:
    """Judged by the interval's lower end, and only with enough images."""
    if images < params.least_images:
        return {"value": None, "reason": f"{images} double-labelled images; a verdict needs {params.least_images}"}
    if objects.low is None:
        return {"value": None, "reason": objects.reason}
    return {"value": "reliable" if objects.low >= params.reliable else "not yet reliable", "reason": None}


def main() -> None:
    """Paths come from dvc.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("ratings", "regions", "guidelines", "out", "report", "params"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    paths = parser.parse_args()
    params = load_params(paths.params, "agree", Params)
    run(paths.ratings, paths.regions, paths.guidelines, paths.out, paths.report, params)


if __name__ == "__main__":
    with one_line_errors():
        main()
