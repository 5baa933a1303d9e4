"""How wrong the model that chose a batch was about its images, now that people have labelled them.

It saw none of them, and the choice went by its doubts. A model of today would have learned from the others of the
batch, which are like the chosen images rather than like the random ones.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from datalab.adapters.dataset_folder import DatasetFolder, read_dataset
from datalab.adapters.files import read_label_map, write_table
from datalab.errors import one_line_errors
from datalab.quality.label_errors import disagreement
from datalab.tables import SURPRISE, typed


def run(rounds: Path, dataset: Path, out: Path) -> None:
    """Write table SURPRISE of every image of a round's `predicted` that is in the dataset, by round and image.

    `rounds`: data/rounds. A round that no model chose has no `predicted`, and no rows.
    """
    folder = read_dataset(dataset)
    rows = [row for path in sorted(rounds.glob("[0-9]*/predicted")) for row in _rows(path, folder)]
    write_table(out, typed(pd.DataFrame(rows, columns=list(SURPRISE))))


def _rows(predicted: Path, dataset: DatasetFolder) -> Iterator[tuple[str, str, float]]:
    labelled = set(dataset.index["image_id"])
    for path in sorted(predicted.glob("*.png")):
        if path.stem in labelled:
            found = disagreement(read_label_map(dataset.mask(path.stem)), read_label_map(path))
            yield predicted.parent.name, path.stem, found


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
