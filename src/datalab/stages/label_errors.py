"""Stage `label_errors`: which labels are probably wrong, by models that have not seen them."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pandas as pd

from datalab.adapters.backbones import starting_weights
from datalab.adapters.dataset_folder import DatasetFolder, read_dataset
from datalab.adapters.files import read_table, write_table
from datalab.adapters.segmenter_augment import Policy
from datalab.adapters.segmenter_folds import out_of_fold
from datalab.adapters.segmenter_samples import Sample
from datalab.config import load_params
from datalab.errors import one_line_errors
from datalab.learning.folds import assign_folds
from datalab.masks import IGNORE_ID
from datalab.quality.label_errors import (
    Suspect,
    calibrate,
    find_suspects,
    image_quality,
    object_disagreement,
    of_known_classes,
)
from datalab.quality.object_lab import Pairing, image_doubt, object_lab, pair_objects
from datalab.quality.rated import RatedImage, rated_images
from datalab.quality.vote_doubts import Voted, vote_doubts, voted_objects
from datalab.ranges import Count, Seed, Share, Within
from datalab.stages.train import Imbalance, load_policy, read_samples, recipe_of
from datalab.stages.train import Params as TrainParams
from datalab.stages.train import check as check_train
from datalab.tables import ANNOTATED_REGIONS, LABEL_ERRORS, RATINGS

Box = tuple[int, int, int, int]
"""x, y, width, height."""


@dataclass(frozen=True)
class Params:
    """Section `label_errors` of params.yaml; the network is that of section `train`."""

    seed: Seed
    folds: Annotated[int, Within(2)]
    steps: Count
    """Of training, per fold."""
    imbalance: Imbalance
    """As in section `train`; weighed classes get probabilities that are too high, which looks like errors."""
    least_area: Count
    """Smallest object, in pixels of the prediction (half of train.longest_side)."""
    least_score: Share
    """Objects below are not written."""
    iou_threshold: Share
    """Of two people's masks; below they are different objects."""


@dataclass(frozen=True)
class Inputs:
    """Files of the stage."""

    dataset: Path
    images: Path
    embeddings: Path
    ratings: Path
    regions: Path


def run(inputs: Inputs, out: Path, params: Params, train: TrainParams, policy: Policy) -> None:
    """Write `out` (table LABEL_ERRORS), worst first: doubtful objects, and three rows for every labelled image.

    InputError where there are fewer different images than folds, or a number of either section cannot be used.
    """
    check_train(train)
    folder = read_dataset(inputs.dataset)
    samples = read_samples(folder, folder.index, inputs.images, inputs.embeddings, train)
    folds = assign_folds(list(folder.index["group"]), params.folds, np.random.default_rng(params.seed))
    changed = replace(train, seed=params.seed, steps=params.steps, imbalance=params.imbalance)
    recipe = recipe_of(changed, policy, samples[0].embedding.shape[0], len(folder.class_ids))
    backbone, _ = starting_weights(train.model, train.pretrained)
    rated = rated_images(read_table(inputs.ratings, RATINGS), read_table(inputs.regions, ANNOTATED_REGIONS), at_least=1)
    seen: dict[int, Seen] = {}
    known = _classes_elsewhere(samples, folds)
    for place, chances in out_of_fold(samples, folds, recipe, backbone):
        theirs = rated.get(str(folder.index["image_id"].iloc[place]), ())
        seen[place] = _seen(samples[place], chances, known[folds[place]], theirs, folder.class_names, params)
    judged = Judged(folder, samples, [seen[place] for place in range(len(samples))])
    rows = [*_image_rows(judged), *_suspect_rows(judged, params), *_object_lab_rows(judged, params)]
    table = pd.DataFrame([*rows, *_vote_rows(judged, params)], columns=list(LABEL_ERRORS))
    write_table(out, table.sort_values(["score", "image_id"], ascending=[False, True], kind="stable"))


@dataclass(frozen=True)
class Seen:
    """What a model that has not seen an image makes of it: its (K, h, w) prediction itself is let go."""

    grid: tuple[int, int]
    """(h, w)."""
    doubts: Mapping[str, float]
    """Of the whole image, by kind."""
    suspects: Sequence[Suspect]
    objects: Pairing
    voted: Sequence[tuple[Box, Voted]]


@dataclass(frozen=True)
class Judged:
    """The labelled images, in the order of the dataset, and what is seen in them."""

    folder: DatasetFolder
    samples: Sequence[Sample]
    seen: Sequence[Seen]

    def image_id(self, place: int) -> str:
        """Of one of them."""
        return str(self.folder.index["image_id"].iloc[place])

    def row(self, place: int, kind: str, classes: tuple[int, int], box: Box, score: float) -> dict[str, object]:
        """A row of LABEL_ERRORS; `box` in pixels of the prediction."""
        given, suggested = (self.folder.class_names[each] for each in classes)
        found = _on_image(box, self.seen[place].grid, self.samples[place].size)
        return _row(self.image_id(place), kind, given, suggested, found, score)

    def whole(self, place: int, kind: str, score: float) -> dict[str, object]:
        """A row about a whole image."""
        height, width = self.samples[place].size
        return _row(self.image_id(place), kind, "", "", (0, 0, width, height), score)


def _classes_elsewhere(samples: Sequence[Sample], folds: Sequence[int]) -> dict[int, frozenset[int]]:
    """Fold -> class positions that the images of the other folds show, from which its model learns."""
    shown = [frozenset[int]() if one.labels is None else frozenset(np.unique(one.labels).tolist()) for one in samples]
    return {
        fold: frozenset().union(*(each for each, own in zip(shown, folds, strict=True) if own != fold)) - {IGNORE_ID}
        for fold in set(folds)
    }


def _seen(
    sample: Sample,
    chances: npt.NDArray[np.float32],
    known: frozenset[int],
    rated: Sequence[RatedImage],
    class_names: Sequence[str],
    params: Params,
) -> Seen:
    assert sample.labels is not None
    labels = of_known_classes(sample.labels, known)
    positions = {name: position for position, name in enumerate(class_names)}
    doubts = {
        "image": 1 - image_quality(labels, chances),
        "model": object_disagreement(labels, chances),
    }
    voted = voted_objects(rated, positions, chances, params.iou_threshold)
    return Seen(
        (chances.shape[1], chances.shape[2]),
        doubts,
        find_suspects(labels, chances, params.least_area),
        pair_objects(labels, chances, params.least_area),
        [one for one in voted if known.issuperset(one[1].votes.values())],
    )


def _image_rows(judged: Judged) -> Iterator[dict[str, object]]:
    for place, seen in enumerate(judged.seen):
        for kind, score in seen.doubts.items():
            yield judged.whole(place, kind, score)


def _suspect_rows(judged: Judged, params: Params) -> Iterator[dict[str, object]]:
    for place, found in enumerate(calibrate([seen.suspects for seen in judged.seen])):
        for one in found:
            if one.score >= params.least_score:
                yield judged.row(place, one.kind, (one.given, one.suggested), one.box_xywh, one.score)


def _object_lab_rows(judged: Judged, params: Params) -> Iterator[dict[str, object]]:
    for place, found in enumerate(object_lab([seen.objects for seen in judged.seen])):
        yield judged.whole(place, "objects", image_doubt(found))
        for one in found:
            if one.score >= params.least_score:
                classes = (0, one.label) if one.subtype == "overlooked" else (one.label, one.label)
                yield judged.row(place, one.subtype, classes, one.box_xywh, one.score)


def _vote_rows(judged: Judged, params: Params) -> Iterator[dict[str, object]]:
    objects = [(place, *each) for place, seen in enumerate(judged.seen) for each in seen.voted]
    doubts = vote_doubts([voted for *_, voted in objects])
    for (place, box, _), one in zip(objects if doubts else [], doubts, strict=True):
        if one.score >= params.least_score:
            yield judged.row(place, "votes", (one.given, one.suggested), box, one.score)


def _row(image_id: str, kind: str, given: str, suggested: str, box: Box, score: float) -> dict[str, object]:
    sides = dict(zip(("x", "y", "width", "height"), box, strict=True))
    return {"image_id": image_id, "kind": kind, "given": given, "suggested": suggested, **sides, "score": score}


def _on_image(box: Box, grid: tuple[int, ...], size: tuple[int, int]) -> Box:
    """A box in pixels of the prediction in pixels of the image."""
    across, down = size[1] / grid[1], size[0] / grid[0]
    x, y, width, height = box
    return round(x * across), round(y * down), round(width * across), round(height * down)


def main() -> None:
    """Command line of the stage; the paths are given in dvc.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("dataset", "images", "embeddings", "ratings", "regions", "out", "params"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    params = load_params(given.params, "label_errors", Params)
    train = load_params(given.params, "train", TrainParams)
    inputs = Inputs(given.dataset, given.images, given.embeddings, given.ratings, given.regions)
    run(inputs, given.out, params, train, load_policy(given.params, train.augmentation))


if __name__ == "__main__":
    with one_line_errors():
        main()
