"""How wrong the model that chose a batch was about its images, now that people have labelled them.

It saw none of them, and the choice went by its doubts. A model of today would have learned from the others of the
batch, which are like the chosen images rather than like the random ones.
"""

import argparse
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from datalab.adapters.dataset_folder import DatasetFolder, read_classes, read_dataset
from datalab.adapters.files import read_label_map, write_table
from datalab.adapters.stage_progress import stage_bar
from datalab.errors import one_line_errors
from datalab.quality.label_errors import disagreement
from datalab.tables import SURPRISE, typed

GONE = 256
"""Of a class that is no more: no label map has it."""


def run(rounds: Path, dataset: Path, out: Path) -> None:
    """Write table SURPRISE of every image of a round's `predicted` that is in the dataset, by round and image.

    `rounds`: data/rounds. A round that no model chose has no `predicted`, and no rows.
    """
    folder = read_dataset(dataset)
    labelled = set(folder.index["image_id"])
    paths = [path for path in sorted(rounds.glob("[0-9]*/predicted/*.png")) if path.stem in labelled]

    @cache
    def ids_of(predicted: Path) -> npt.NDArray[np.int16]:
        return _todays_ids(read_classes(predicted), folder)

    rows: list[tuple[str, str, float]] = []
    for path in stage_bar("surprise", len(paths), "image", paths):
        seen = ids_of(path.parent)[read_label_map(path)]
        rows.append((path.parents[1].name, path.stem, disagreement(read_label_map(folder.mask(path.stem)), seen)))
    write_table(out, typed(pd.DataFrame(rows, columns=list(SURPRISE))))


def _todays_ids(then: Mapping[int, str], dataset: DatasetFolder) -> npt.NDArray[np.int16]:
    """(256,) today's id of each pixel value of `then`, by the name of its class: numbers may be dealt anew."""
    today = dict(zip(dataset.class_names, dataset.class_ids, strict=True))
    ids = np.full(256, GONE, dtype=np.int16)
    for value, name in then.items():
        ids[value] = today.get(name, GONE)
    return ids


def main() -> None:
    """Command line of the stage; the paths are given in dvc.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("rounds", "dataset", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    run(given.rounds, given.dataset, given.out)


if __name__ == "__main__":
    with one_line_errors():
        main()
