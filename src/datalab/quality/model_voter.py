"""The model as one more voter: how far people agree with it, beside how far they agree with each other."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from datalab.figure import Figure
from datalab.masks import connected_rles
from datalab.quality.agreement import class_confusions, object_table, of_class
from datalab.quality.object_figures import object_figures
from datalab.quality.presence import presence_alpha
from datalab.quality.rated import RatedImage, RatedImages, groups_of

MODEL = "model"
SHOWN = ("agreement", "f1", "panoptic_quality", "mean_iou")


@dataclass(frozen=True)
class Voter:
    """How the model's label maps become a voter's objects."""

    classes: Mapping[int, str]
    """Pixel value to class name."""
    min_area_share: float
    """Components below this share of the image are specks, and left out."""
    iou_threshold: float


def predicted_regions(label_map: npt.NDArray[np.uint8], voter: Voter) -> tuple[tuple[str, str], ...]:
    """(label, rle) of every connected component (8 neighbours) of a (H, W) map that is large enough.

    A label map cannot tell touching objects of one class apart: they become one.
    """
    return tuple(_components(label_map, voter))


def with_model(
    images: RatedImages, predicted: Mapping[str, tuple[tuple[str, str], ...]]
) -> dict[str, list[RatedImage]]:
    """The images that have a prediction, the model as the last of their raters."""
    joined = {}
    for image_id, rated in images.items():
        if image_id in predicted:
            regions = predicted[image_id]
            first = rated[0]
            origins = ("model",) * len(regions)
            vote = RatedImage(image_id, MODEL, regions, origins, first.height, first.width, first.group)
            joined[image_id] = [*rated, vote]
    return joined


def model_report(images: RatedImages, classes: Sequence[str], voter: Voter, rng: np.random.Generator) -> dict[str, Any]:
    """Figures of `with_model` images, inside nested dicts.

    `people` and `model` compare on the same images, those that two people or more labelled: people among themselves,
    and each of them with the model, each by SHOWN; `presence_alpha` with the model's vote and without. `per_annotator`
    and `per_class` take all images. A model that agrees with people as they do with each other could be one of them.
    """
    several = {image_id: rated for image_id, rated in images.items() if len(rated) > 2}
    objects = object_table(images, voter.iou_threshold)
    with_it = objects["annotator_b"] == MODEL
    shared = objects["image_id"].isin(list(several))
    alone = {image_id: rated[:-1] for image_id, rated in several.items()}
    versus = objects[with_it]
    return {
        "images": len(images),
        "double_labelled_images": len(several),
        "double_labelled_groups": len(set(groups_of(several).values())),
        "people": _shown(objects[~with_it], rng),
        "model": _shown(objects[with_it & shared], rng),
        "presence_alpha": {
            "people": presence_alpha(alone, classes, rng),
            "people and model": presence_alpha(several, classes, rng),
        },
        "per_annotator": {who: _shown(rows, rng) for who, rows in versus.groupby("annotator_a")},
        "per_class": {name: _shown(of_class(versus, name), rng) for name in classes},
        "class_confusions": class_confusions(versus),
    }


def _shown(objects: pd.DataFrame, rng: np.random.Generator) -> dict[str, Figure]:
    found = object_figures(objects, rng)
    return {name: found[name] for name in SHOWN}


def _components(label_map: npt.NDArray[np.uint8], voter: Voter) -> Iterator[tuple[str, str]]:
    least = voter.min_area_share * label_map.size
    for value, name in voter.classes.items():
        for _, rle in connected_rles(label_map == value, least):
            yield name, rle
