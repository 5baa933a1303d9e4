"""The dataset on disk as stages write and read it: index.parquet, classes.json, masks/<image_id>.png."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from datalab.adapters.files import read_json, read_label_map, read_table
from datalab.errors import InputError
from datalab.tables import DATASET

CLASSES = "classes.json"


@dataclass(frozen=True)
class DatasetFolder:
    """What lies in data/dataset."""

    root: Path
    index: pd.DataFrame
    """Table DATASET."""
    class_ids: tuple[int, ...]
    """Pixel values, 0 (background) first."""
    class_names: tuple[str, ...]

    def split(self, name: str) -> pd.DataFrame:
        """Rows of one split, sorted by image_id."""
        return self.index[self.index["split"] == name].sort_values("image_id").reset_index(drop=True)

    def mask(self, image_id: str) -> Path:
        """Label map of an image."""
        return self.root / "masks" / f"{image_id}.png"

    def unlearned(self) -> list[str]:
        """Names of the classes that no training image shows; where there is none, it takes a few label maps to know."""
        missing = dict(zip(self.class_ids, self.class_names, strict=True))
        for image_id in self.split("train")["image_id"]:
            if not missing:
                break
            for shown in np.unique(read_label_map(self.mask(str(image_id)))).tolist():
                missing.pop(shown, None)
        return list(missing.values())


def read_dataset(folder: Path) -> DatasetFolder:
    """Read index and classes; InputError where something is missing."""
    classes = read_classes(folder)
    index = read_table(folder / "index.parquet", DATASET)
    twice = index[index.duplicated("image_id")]
    if len(twice):
        image_id = twice["image_id"].iloc[0]
        found = ", ".join(index.loc[index["image_id"] == image_id, "split"])
        raise InputError(f"image {image_id} is in {folder / 'index.parquet'} twice ({found}); run dvc repro dataset")
    return DatasetFolder(folder, index, tuple(classes), tuple(classes.values()))


def read_classes(folder: Path) -> dict[int, str]:
    """Pixel value to name, as CLASSES in a folder has them; InputError where it is missing or no list of classes."""
    classes = read_json(folder / CLASSES)
    try:
        return {int(item["id"]): str(item["name"]) for item in classes}
    except (KeyError, TypeError, ValueError) as exc:
        raise InputError(f"{folder / CLASSES} is no list of classes; run dvc repro dataset") from exc
