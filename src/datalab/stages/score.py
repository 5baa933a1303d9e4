"""Predict every image, and say how unsure the model is about those that nobody has labelled."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from datalab.adapters.files import fresh_folder, read_table, write_label_map, write_table
from datalab.adapters.segmenter import Prediction, load_segmenter, predict
from datalab.adapters.segmenter_samples import read_sample
from datalab.config import load_params
from datalab.errors import InputError, one_line_errors
from datalab.learning.uncertainty import entropy, focus, image_score, mutual_information
from datalab.tables import CATALOG, GOLD, RATINGS, SCORES

MEASURES = ("mutual_information", "entropy")


@dataclass(frozen=True)
class Params:
    """What counts as unsure."""

    measure: str
    """"mutual_information" (what the committee disagrees about) or "entropy" (what it finds ambiguous together)."""
    flip: bool
    """Whether the mirrored image is asked as well; doubles members and time."""
    band: int
    """How far beyond a predicted object still counts in full, in pixels of the prediction (half the working size)."""
    elsewhere: float
    """Weight of the rest, 0 to 1."""
    window: int
    """Side of the square over which uncertainty is averaged, in pixels of the prediction."""
    top: float
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


def run(inputs: Inputs, scores: Path, predictions: Path, params: Params) -> None:
    """Write `predictions`/<image_id>.png for every catalog image and table SCORES for the pool.

    The pool is the catalog without images that were rated and without gold.
    """
    if params.measure not in MEASURES:
        raise InputError(f"score.measure is {params.measure!r}; known: {', '.join(MEASURES)}")
    segmenter = load_segmenter(inputs.model)
    catalog = read_table(inputs.catalog, CATALOG)
    busy = {*read_table(inputs.ratings, RATINGS)["image_id"], *read_table(inputs.gold, GOLD)["image_id"]}
    rows: list[tuple[str, float, float]] = []
    with fresh_folder(predictions) as folder:
        for image_id, file in tqdm(list(zip(catalog["image_id"], catalog["file"], strict=True)), desc="score"):
            sample = read_sample(inputs.images / file, inputs.embeddings / f"{image_id}.npy", segmenter.longest_side)
            prediction = predict(segmenter, sample, params.flip)
            write_label_map(folder / f"{image_id}.png", prediction.label_map)
            if image_id not in busy:
                rows.append((image_id, score_of(prediction, params), float(np.mean(prediction.label_map > 0))))
    write_table(scores, _table(rows))


def score_of(prediction: Prediction, params: Params) -> float:
    """The acquisition score of one image, in [0, 1]; larger = the model is less sure."""
    mean = prediction.members.mean(axis=0)
    unsure = mutual_information(prediction.members) if params.measure == "mutual_information" else entropy(mean)
    score = image_score(unsure, focus(mean, params.band, params.elsewhere), params.window, params.top)
    if not np.isfinite(score):
        raise InputError("the model gives probabilities that are not finite; train again with a lower learning rate")
    return score


def _table(rows: list[tuple[str, float, float]]) -> pd.DataFrame:
    """Table SCORES with its dtypes even where the pool is empty."""
    table = pd.DataFrame(rows, columns=list(SCORES))
    return table.astype({"image_id": "str", "uncertainty": "float64", "predicted_foreground": "float64"})


def main() -> None:
    """Command line of the stage; the paths are given in dvc.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("model", "catalog", "images", "embeddings", "ratings", "gold", "scores", "predictions", "params"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    inputs = Inputs(given.model, given.catalog, given.images, given.embeddings, given.ratings, given.gold)
    run(inputs, given.scores, given.predictions, load_params(given.params, "score", Params))


if __name__ == "__main__":
    with one_line_errors():
        main()
