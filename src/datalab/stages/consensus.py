"""Stage `consensus`: one set of masks per image, out of everybody's, or as a reviewer decided."""

import argparse
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from datalab.adapters.files import fresh_folder, read_json, read_table, write_json, write_label_map, write_table
from datalab.adapters.stage_progress import stage_bar, stage_progress
from datalab.config import load_params
from datalab.errors import one_line_errors
from datalab.quality.adjudication import Decision, audit, read_decisions
from datalab.quality.consensus import Merged, Rules, merge_images
from datalab.quality.contested import decided_objects
from datalab.quality.disagreement import disagreement_map
from datalab.quality.rated import RatedImage, RatedImages, rated_images
from datalab.ranges import Share
from datalab.tables import ADJUDICATION, ANNOTATED_REGIONS, CONSENSUS, DECISIONS, PROVENANCE, RATINGS

COLUMNS = tuple(dict.fromkeys((*CONSENSUS, *PROVENANCE, *ADJUDICATION)))


@dataclass(frozen=True)
class Params:
    """Section `consensus` of params.yaml."""

    iou_threshold: Share
    outline_iou: Share
    pixels: str
    classes: str


@dataclass(frozen=True)
class Inputs:
    """Files of the stage."""

    ratings: Path
    regions: Path
    gold_report: Path
    decisions: Path
    """Table DECISIONS: what reviewers said."""


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    consensus: Path
    """Table CONSENSUS with PROVENANCE."""
    adjudication: Path
    """Table ADJUDICATION."""
    disagreement: Path
    """<image_id>.png, 255 times the share of the pairs of raters who gave a pixel different classes."""
    report: Path


def run(inputs: Inputs, outputs: Outputs, params: Params) -> None:
    """Merge every rated image that is not gold; where a reviewer decided, the decision is the consensus, or that part
    of it that was asked about.

    Skills come from the gold report. An image that is rated and has no row in the consensus is empty, but for what is
    undecided. The report counts contested and decided images, and of the audited ones those with errors.
    """
    rated = read_table(inputs.ratings, RATINGS)
    rated = rated[rated["role"] != "gold"]
    scores = read_json(inputs.gold_report)["annotators"]
    skills = {annotator: float(score["skill"]) for annotator, score in scores.items()}
    images = rated_images(rated, read_table(inputs.regions, ANNOTATED_REGIONS), at_least=1)
    merged = merge_images(images, skills, Rules(**vars(params)), stage_progress)
    decisions = read_decisions(read_table(inputs.decisions, DECISIONS))
    decided = {
        image_id: decided_objects(merged[image_id], decisions[image_id], images[image_id], params.iou_threshold)
        for image_id in images
        if image_id in decisions
    }
    table = _table(images, {**merged, **decided})
    write_table(outputs.consensus, table.loc[table["kept"].astype(bool), [*CONSENSUS, *PROVENANCE]])
    write_table(outputs.adjudication, table.loc[table["reason"] != "", list(ADJUDICATION)])
    _write_maps(images, outputs.disagreement)
    write_json(outputs.report, _report(images, merged, decisions, params))


def _table(images: RatedImages, merged: Mapping[str, Sequence[Merged]]) -> pd.DataFrame:
    rows = [row for image_id, rated in images.items() for row in _rows(rated, merged[image_id])]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows(rated: Sequence[RatedImage], merged: Iterable[Merged]) -> Iterator[dict[str, object]]:
    first = rated[0]
    named: Counter[str] = Counter()
    for one in merged:
        name = _name(first.image_id, one)
        named[name] += 1
        yield {
            "image_id": first.image_id,
            "region_id": name if named[name] == 1 else f"{name}-{named[name]}",
            "label": one.label,
            "rle": one.rle,
            "height": first.height,
            "width": first.width,
            "votes": one.votes,
            "raters": len(rated),
            "agreement": one.agreement,
            "method": one.method,
            "contributors": ", ".join(one.contributors),
            "reason": one.doubt,
            "kept": one.kept,
            "disputed": one.disputed,
        }


def _name(image_id: str, one: Merged) -> str:
    """By class and pixels: what is said of an object must not come to be about another one that takes its place."""
    return f"{image_id}-c{hashlib.sha256(f'{one.label} {one.rle}'.encode()).hexdigest()[:8]}"


def _write_maps(images: RatedImages, out: Path) -> None:
    with fresh_folder(out) as folder:
        for image_id, rated in stage_bar("disagreement", len(images), "image", images.items()):
            if len(rated) > 1:
                shares = disagreement_map(rated)
                write_label_map(folder / f"{image_id}.png", np.asarray(np.rint(255 * shares), dtype=np.uint8))


def _report(
    images: RatedImages, merged: Mapping[str, list[Merged]], decisions: Mapping[str, Decision], params: Params
) -> dict[str, object]:
    contested = {image_id for image_id, objects in merged.items() if any(one.doubt for one in objects)}
    accepted = set(images) - contested
    audits = [
        audit(image_id, merged[image_id], decision, images[image_id][0], params.iou_threshold, params.outline_iou)
        for image_id, decision in decisions.items()
        if image_id in accepted and decision.reason == "audit"
    ]
    return {
        "images": len(images),
        "contested_images": len(contested),
        "decided_contested_images": sum(image_id in decisions for image_id in contested),
        "audited_images": len(audits),
        "wrong_images": sum(one.errors > 0 for one in audits),
        "audited_objects": sum(one.objects for one in audits),
        "wrong_objects": sum(one.errors for one in audits),
    }


def main() -> None:
    """Paths come from dvc.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    taken = ("ratings", "regions", "gold-report", "decisions")
    given = ("out", "adjudication", "disagreement", "report")
    for name in (*taken, *given, "params"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    paths = parser.parse_args()
    inputs = Inputs(paths.ratings, paths.regions, paths.gold_report, paths.decisions)
    outputs = Outputs(paths.out, paths.adjudication, paths.disagreement, paths.report)
    run(inputs, outputs, load_params(paths.params, "consensus", Params))


if __name__ == "__main__":
    with one_line_errors():
        main()
