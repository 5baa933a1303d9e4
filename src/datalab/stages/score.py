"""Predict every image, and say how unsure the model is about those that nobody has labelled."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from datalab.adapters.embedding_cache import embedded_by
from datalab.adapters.files import fresh_folder, read_table, write_label_map, write_table
from datalab.adapters.segmenter import check_encoder, load_segmenter, predict
from datalab.adapters.segmenter_samples import read_sample
from datalab.adapters.stage_progress import stage_bar
from datalab.config import BACKGROUND, load_params
from datalab.errors import one_line_errors
from datalab.learning.evidence import MEASURES, Evidence, Lens, check_lens, evidence_of
from datalab.learning.uncertainty import tempered
from datalab.ranges import Count, Natural, Share
from datalab.tables import CATALOG, CLASS_SCORES, EVIDENCE, GOLD, RATINGS, SCORES, typed


@dataclass(frozen=True)
class Params:
    """What counts as unsure."""

    measure: str
    """One of datalab.learning.evidence.MEASURES."""
    reduce: str
    """One of datalab.learning.evidence.REDUCTIONS: how a map becomes a number."""
    flip: bool
    """Whether the mirrored image is asked as well; doubles members and time."""
    band: Natural
    """How far beyond a predicted object still counts in full, in pixels of the prediction (half the working size)."""
    elsewhere: Share
    """Weight of the rest, 0 to 1."""
    window: Count
    """Side of the square over which uncertainty is averaged, in pixels of the prediction."""
    top: Share
    """Share of the windows whose mean is the image's score."""


@dataclass(frozen=True)
class Inputs:
    """Files of the stage."""

    model: Path
    catalog: Path
    images: Path
    embeddings: Path
    ratings: Path
    gold: Path


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    scores: Path
    """Tables SCORES and EVIDENCE in one."""
    class_scores: Path
    """Table CLASS_SCORES."""
    maps: Path
    """Folder of <image_id>.png of the pool: uncertainty 0 to 1 as 0 to 255, in pixels of the prediction."""
    predictions: Path
    """Folder of <image_id>.png of every catalog image: class ids."""


def run(inputs: Inputs, out: Outputs, params: Params) -> None:
    """Predict every catalog image and score the pool: the catalog without images that were rated and without gold.

    InputError where the model learned from another SAM's embeddings.
    """
    lens = Lens(params.measure, params.reduce, 2 if params.flip else 1, params.band, params.elsewhere, params.window,
                params.top)  # fmt: skip
    check_lens(lens)
    segmenter = load_segmenter(inputs.model)
    check_encoder(segmenter, embedded_by(inputs.embeddings))
    catalog = read_table(inputs.catalog, CATALOG)
    busy = {*read_table(inputs.ratings, RATINGS)["image_id"], *read_table(inputs.gold, GOLD)["image_id"]}
    rows: list[tuple[str, Evidence, float]] = []
    with fresh_folder(out.predictions) as folder, fresh_folder(out.maps) as maps:
        files = list(zip(catalog["image_id"], catalog["file"], strict=True))
        for image_id, file in stage_bar("score", len(files), "image", files):
            sample = read_sample(inputs.images / file, inputs.embeddings / f"{image_id}.npy", segmenter.longest_side)
            prediction = predict(segmenter, sample, params.flip)
            write_label_map(folder / f"{image_id}.png", prediction.label_map)
            if image_id not in busy:
                members = tempered(prediction.members, segmenter.temperature)
                evidence = evidence_of(members, lens)
                unsure = MEASURES[lens.measure](members, lens)
                write_label_map(maps / f"{image_id}.png", np.asarray(np.rint(unsure * 255), dtype=np.uint8))
                rows.append((image_id, evidence, float(np.mean(prediction.label_map > 0))))
    write_table(out.scores, _scores(rows))
    write_table(out.class_scores, _class_scores(rows, segmenter.class_names))


def _scores(rows: list[tuple[str, Evidence, float]]) -> pd.DataFrame:
    """SCORES with EVIDENCE."""
    found = [
        (image_id, one.uncertainty, foreground, one.margin, one.wrong_pixels, one.objects)
        for image_id, one, foreground in rows
    ]
    return typed(pd.DataFrame(found, columns=[*SCORES, *EVIDENCE]))


def _class_scores(rows: list[tuple[str, Evidence, float]], names: tuple[str, ...]) -> pd.DataFrame:
    found = [
        (image_id, name, score, residual)
        for image_id, one, _ in rows
        for name, score, residual in zip((BACKGROUND, *names[1:]), one.class_scores, one.residual, strict=True)
    ]
    return typed(pd.DataFrame(found, columns=list(CLASS_SCORES)))


def main() -> None:
    """Command line of the stage; the paths are given in dvc.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    reads, writes = tuple(Inputs.__annotations__), tuple(Outputs.__annotations__)
    for name in (*reads, *writes, "params"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, required=True)
    given = vars(parser.parse_args())
    inputs, outputs = Inputs(**{name: given[name] for name in reads}), Outputs(**{name: given[name] for name in writes})
    run(inputs, outputs, load_params(given["params"], "score", Params))


if __name__ == "__main__":
    with one_line_errors():
        main()
