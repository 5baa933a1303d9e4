"""Stage `label_errors`: which labels are probably wrong, by models that have not seen them."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from datalab.adapters.backbones import starting_weights
from datalab.adapters.dataset_folder import DatasetFolder, read_dataset
from datalab.adapters.files import write_table
from datalab.adapters.segmenter_augment import Policy
from datalab.adapters.segmenter_folds import out_of_fold
from datalab.adapters.segmenter_samples import Sample, read_sample
from datalab.config import load_params
from datalab.errors import one_line_errors
from datalab.learning.folds import assign_folds
from datalab.quality.label_errors import calibrate, find_suspects, image_quality, object_disagreement
from datalab.stages.train import Params as TrainParams
from datalab.stages.train import load_policy, recipe_of
from datalab.tables import LABEL_ERRORS


@dataclass(frozen=True)
class Params:
    """Section `label_errors` of params.yaml; the network is that of section `train`."""

    seed: int
    folds: int
    steps: int
    """Of training, per fold."""
    imbalance: float
    """As in section `train`; weighed classes get probabilities that are too high, which looks like errors."""
    least_area: int
    """Smallest object, in pixels of the prediction (half of train.longest_side)."""
    least_score: float
    """Suspects below are not written."""


def run(
    dataset: Path, images: Path, embeddings: Path, out: Path, params: Params, train: TrainParams, policy: Policy
) -> None:
    """Write `out` (table LABEL_ERRORS), worst first: the suspects, and two rows for every labelled image.

    InputError where there are fewer different images than folds.
    """
    folder = read_dataset(dataset)
    samples = [
        read_sample(
            images / str(row.file),
            embeddings / f"{row.image_id}.npy",
            train.longest_side,
            folder.mask(str(row.image_id)),
            folder.class_ids,
        )
        for row in folder.index.itertuples()
    ]
    folds = assign_folds(list(folder.index["duplicate_group"]), params.folds, np.random.default_rng(params.seed))
    changed = replace(train, seed=params.seed, steps=params.steps, imbalance=params.imbalance)
    recipe = recipe_of(changed, policy, samples[0].embedding.shape[0], len(folder.class_ids))
    backbone, _ = starting_weights(train.model, train.pretrained)
    predicted = dict(out_of_fold(samples, folds, recipe, backbone))
    rows = list(_rows(folder, samples, [predicted[place] for place in range(len(samples))], params))
    table = pd.DataFrame(rows, columns=list(LABEL_ERRORS))
    write_table(out, table.sort_values(["score", "image_id"], ascending=[False, True], kind="stable"))


def _rows(
    folder: DatasetFolder, samples: Sequence[Sample], predicted: Sequence[npt.NDArray[np.float32]], params: Params
) -> Iterator[dict[str, object]]:
    labels = [sample.labels for sample in samples if sample.labels is not None]
    pairs = zip(labels, predicted, strict=True)
    suspects = calibrate([find_suspects(truth, chances, params.least_area) for truth, chances in pairs])
    for place, (image_id, sample) in enumerate(zip(folder.index["image_id"], samples, strict=True)):
        truth, chances = labels[place], predicted[place]
        height, width = sample.size
        whole = (0, 0, width, height)
        yield _row(image_id, "image", "", "", whole, 1 - image_quality(truth, chances))
        yield _row(image_id, "model", "", "", whole, object_disagreement(truth, chances))
        for suspect in suspects[place]:
            if suspect.score >= params.least_score:
                given, suggested = (folder.class_names[place] for place in (suspect.given, suspect.suggested))
                box = _on_image(suspect.box_xywh, truth.shape, sample.size)
                yield _row(image_id, suspect.kind, given, suggested, box, suspect.score)


def _row(
    image_id: str, kind: str, given: str, suggested: str, box: tuple[int, int, int, int], score: float
) -> dict[str, object]:
    sides = dict(zip(("x", "y", "width", "height"), box, strict=True))
    return {"image_id": image_id, "kind": kind, "given": given, "suggested": suggested, **sides, "score": score}


def _on_image(
    box: tuple[int, int, int, int], grid: tuple[int, ...], size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """A box in pixels of the prediction in pixels of the image."""
    across, down = size[1] / grid[1], size[0] / grid[0]
    x, y, width, height = box
    return round(x * across), round(y * down), round(width * across), round(height * down)


def main() -> None:
    """Command line of the stage; the paths are given in dvc.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("dataset", "images", "embeddings", "out", "params"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    params = load_params(given.params, "label_errors", Params)
    train = load_params(given.params, "train", TrainParams)
    policy = load_policy(given.params, train.augmentation)
    run(given.dataset, given.images, given.embeddings, given.out, params, train, policy)


if __name__ == "__main__":
    with one_line_errors():
        main()
