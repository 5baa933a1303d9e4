"""Stage `compare`: the model of the round before, the champion, on the test images of the new one, the challenger."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from datalab.adapters.dataset_folder import DatasetFolder, read_dataset
from datalab.adapters.embedding_cache import embedded_by
from datalab.adapters.files import fresh_folder, read_json, read_label_map, read_table, write_json, write_label_map
from datalab.adapters.segmenter import Segmenter, load_segmenter, predict
from datalab.adapters.segmenter_samples import positions_of, read_sample
from datalab.adapters.stage_progress import stage_bar
from datalab.config import load_params
from datalab.errors import one_line_errors
from datalab.learning.comparison import Duel, counts_of, duel
from datalab.learning.metrics import confusion_matrix
from datalab.ranges import Count, Seed
from datalab.tables import CONFUSIONS

MODEL = "segmenter.safetensors"
"""In the champion's folder; absent in the first round."""
LEARNED = "learned.json"
"""Beside it, the ids of the images that it learned from; absent where an earlier version kept the champion."""


@dataclass(frozen=True)
class Params:
    """Section `compare` of params.yaml."""

    seed: Seed
    resamples: Count
    """Draws of the bootstrap."""
    flip: bool
    """As in section `evaluate`, by which the challenger was judged."""


@dataclass(frozen=True)
class Inputs:
    """Files of the stage."""

    champion: Path
    """Folder with the model of the round before and what it learned from."""
    dataset: Path
    images: Path
    embeddings: Path
    confusions: Path
    """Table CONFUSIONS of the challenger on the test images."""


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    predictions: Path
    """Folder of the champion's label maps, <image_id>.png."""
    report: Path


def run(inputs: Inputs, outputs: Outputs, params: Params) -> None:
    """Judge the champion on the test images as `evaluate` judged the challenger, and write what differs.

    The report has `champion`, `challenger` and `difference` (mIoU, pooled, with 95% intervals over images), on how many
    images each is better, or the `reason` why there is nothing to compare. Test images that the champion learned from,
    they or an image of their group, are not judged: `left_out` counts them, `test_images` the others.
    """
    folder = read_dataset(inputs.dataset)
    test = folder.split("test")
    rows = test[~test["group"].isin(_learned_groups(inputs.champion / LEARNED, folder))]
    left_out = len(test) - len(rows)
    path = inputs.champion / MODEL
    champion = load_segmenter(path) if path.exists() else None
    reason = _why_not(champion, folder, rows, inputs)
    with fresh_folder(outputs.predictions) as maps:
        if champion is None or reason:
            write_json(outputs.report, {"reason": reason, "test_images": len(rows), "left_out": left_out})
            return
        judged = np.stack(list(_judge(champion, rows, folder, inputs, maps, params.flip)))
    challenger = read_table(inputs.confusions, CONFUSIONS)
    known = counts_of(challenger, rows["image_id"].tolist(), folder.class_names)
    found = duel(judged, known, list(rows["group"]), np.random.default_rng(params.seed), params.resamples)
    write_json(outputs.report, {**_report(found), "left_out": left_out})


def _learned_groups(learned: Path, folder: DatasetFolder) -> pd.Series:
    """Groups of today's dataset with an image that the champion learned from; none where nobody kept which."""
    ids = read_json(learned) if learned.exists() else []
    return folder.index.loc[folder.index["image_id"].isin(ids), "group"]


def _why_not(champion: Segmenter | None, folder: DatasetFolder, rows: pd.DataFrame, inputs: Inputs) -> str | None:
    if champion is None:
        return "there is no model of an earlier round"
    if rows.empty:
        none = folder.split("test").empty
        return "the dataset has no test image" if none else "the model before learned from every test image"
    if (champion.class_ids, champion.class_names) != (folder.class_ids, folder.class_names):
        return "the model before knows other classes"
    if champion.network.uses_embedding and champion.encoder != embedded_by(inputs.embeddings):
        other = "another" if champion.encoder else "an unknown"
        return f"the model before was trained on embeddings of {other} SAM checkpoint"
    return None


def _judge(
    champion: Segmenter, rows: pd.DataFrame, folder: DatasetFolder, inputs: Inputs, maps: Path, flip: bool
) -> Iterator[npt.NDArray[np.int64]]:
    """(K, K) of every test image; its label map goes to `maps`."""
    for row in stage_bar("compare", len(rows), "image", rows.itertuples()):
        image_id = str(row.image_id)
        mask, embedding = folder.mask(image_id), inputs.embeddings / f"{image_id}.npy"
        sample = read_sample(inputs.images / str(row.file), embedding, champion.longest_side, mask, folder.class_ids)
        predicted = predict(champion, sample, flip).label_map
        write_label_map(maps / f"{image_id}.png", predicted)
        truth, answer = (positions_of(ids, folder.class_ids, mask) for ids in (read_label_map(mask), predicted))
        yield confusion_matrix(truth, answer, len(folder.class_ids))


def _report(found: Duel) -> dict[str, Any]:
    gain = found.by_image[:, 1] - found.by_image[:, 0]
    return {
        "reason": None,
        "test_images": len(gain),
        **{name: getattr(found, name).as_json() for name in ("champion", "challenger", "difference")},
        "better": int((gain > 0).sum()),
        "worse": int((gain < 0).sum()),
    }


def main() -> None:
    """Command line of the stage; the paths are given in dvc.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    reads = ("champion", "dataset", "images", "embeddings", "confusions")
    for name in (*reads, "predictions", "report", "params"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    inputs = Inputs(given.champion, given.dataset, given.images, given.embeddings, given.confusions)
    outputs = Outputs(given.predictions, given.report)
    run(inputs, outputs, load_params(given.params, "compare", Params))


if __name__ == "__main__":
    with one_line_errors():
        main()
