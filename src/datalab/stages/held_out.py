"""The test images, and the model that has never seen them: what every stage starts from that judges the model."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from datalab.adapters.dataset_folder import DatasetFolder, read_dataset
from datalab.adapters.segmenter import Segmenter, load_segmenter
from datalab.errors import InputError


@dataclass(frozen=True)
class HeldOut:
    """Split "test" of a dataset, with at least one image."""

    folder: DatasetFolder
    rows: pd.DataFrame
    segmenter: Segmenter


def read_held_out(dataset: Path, model: Path) -> HeldOut:
    """InputError where the model knows other classes than the dataset, or there is no test image."""
    folder, segmenter = read_dataset(dataset), load_segmenter(model)
    if folder.class_ids != segmenter.class_ids:
        raise InputError("the model was trained for other classes than the dataset has; run dvc repro train")
    rows = folder.split("test")
    if rows.empty:
        raise InputError("the dataset has no test image; label more images")
    return HeldOut(folder, rows, segmenter)
