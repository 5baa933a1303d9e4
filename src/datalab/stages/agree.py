"""Stage `agree`: how far people who labelled the same images agree, with intervals."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datalab.adapters.files import read_table, write_json, write_table
from datalab.config import load_guidelines, load_params
from datalab.errors import InputError, one_line_errors
from datalab.quality.agreement import (
    object_agreement,
    pair_table,
    per_class,
    per_pair,
    pixel_kappa,
    presence_alpha,
    presence_kappa,
    rated_images,
)
from datalab.quality.figure import Figure
from datalab.tables import ANNOTATED_REGIONS, RATINGS


@dataclass(frozen=True)
class Params:
    """Section `agree` of params.yaml."""

    seed: int
    iou_threshold: float
    least_images: int
    """Double-labelled images below which there is no verdict."""
    reliable: float
    """Lower end of the objects' interval from which labels can be relied on."""


def run(ratings: Path, regions: Path, guidelines: Path, out: Path, report: Path, params: Params) -> None:
    """Write `out` (table PAIRS) and `report` (figures, per class, per pair, verdict).

    InputError where somebody used a class that guidelines/classes.yaml does not know.
    """
    names = load_guidelines(guidelines).names
    drawn = read_table(regions, ANNOTATED_REGIONS)
    unknown = sorted(set(drawn["label"]) - set(names))
    if unknown:
        raise InputError(f"somebody used the class {unknown[0]!r}; add it to {guidelines}/classes.yaml or relabel")
    rated = read_table(ratings, RATINGS)
    images = rated_images(rated, drawn)
    rng = np.random.default_rng(params.seed)
    pairs = pair_table(images, params.iou_threshold)
    figures = {
        "objects (matched IoU)": object_agreement(pairs, rng),
        "class presence (kappa)": presence_kappa(images, names, rng),
        "pixels (kappa)": pixel_kappa(images, names, rng),
    }
    write_table(out, pairs)
    write_json(
        report,
        {
            "figures": _json(figures),
            "per_class": _json(per_class(images, names, params.iou_threshold, rng)),
            "presence_alpha": _json(presence_alpha(images, names, rng)),
            "per_pair": _json(per_pair(pairs, rng)),
            "double_labelled_images": len(images),
            "annotators": sorted(rated["annotator"].unique()),
            "verdict": _verdict(figures["objects (matched IoU)"], len(images), params),
        },
    )


def _json(figures: dict[str, Figure]) -> dict[str, object]:
    return {name: figure.as_json() for name, figure in figures.items()}


def _verdict(objects: Figure, images: int, params: Params) -> dict[str, str | None]:
    """Judged by the interval's lower end, and only with enough images."""
    if images < params.least_images or objects.low is None:
        reason = f"{images} double-labelled images; a verdict needs {params.least_images}"
        return {"value": None, "reason": reason}
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
