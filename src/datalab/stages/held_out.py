"""The test images, and the model that has never seen them: what every stage starts from that judges the model."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from datalab.adapters.dataset_folder import DatasetFolder, read_dataset
from datalab.adapters.embedding_cache import embedded_by
from datalab.adapters.segmenter import Segmenter, check_encoder, load_segmenter
from datalab.errors import InputError


@dataclass(frozen=True)
class HeldOut:
    """Split "test" of a dataset, with at least one image."""

    folder: DatasetFolder
    rows: pd.DataFrame
    segmenter: Segmenter


def read_held_out(dataset: Path, model: Path, embeddings: Path) -> HeldOut:
    """InputError where the model knows other classes than the dataset, by value or by name, where it learned from
    another SAM's embeddings than these, or where there is no test image.
    """
    folder, segmenter = read_dataset(dataset), load_segmenter(model)
    if (folder.class_ids, folder.class_names) != (segmenter.class_ids, segmenter.class_names):
        raise InputError("the model was trained for other classes than the dataset has; run dvc repro train")
    check_encoder(segmenter, embedded_by(embeddings))
    rows = folder.split("test")
    if rows.empty:
        raise InputError("the dataset has no test image; label more images")
    return HeldOut(folder, rows, segmenter)
