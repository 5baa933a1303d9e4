"""How good the segmenter is on images it has never seen: figures with intervals, and plots to look at."""

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from datalab.adapters.dataset_folder import DatasetFolder, read_dataset
from datalab.adapters.files import read_label_map, read_rgb, write_json, write_table, write_text
from datalab.adapters.plots import Tile, plot_confusion, plot_contact_sheet, plot_iou
from datalab.adapters.segmenter import Segmenter, load_segmenter, predict
from datalab.adapters.segmenter_samples import positions_of, read_sample
from datalab.config import load_guidelines, load_params
from datalab.errors import InputError, one_line_errors
from datalab.learning.metrics import (
    ABSENT,
    Counts,
    Floats,
    bootstrap_interval,
    confusion_matrix,
    dice_per_class,
    iou_per_class,
    mean_defined,
    mean_iou,
    pixel_accuracy,
)
from datalab.learning.traits import image_traits

Figure = dict[str, Any]
ONE_IMAGE = "no interval: it hangs on a single test image"


@dataclass(frozen=True)
class Params:
    """How intervals are drawn and what is shown."""

    seed: int
    resamples: int
    """Draws of the bootstrap."""
    flip: bool
    """Whether the mirrored image is asked as well, as when the pool is scored."""
    sheet: int
    """Images on the contact sheet, worst first."""


@dataclass(frozen=True)
class Inputs:
    """Files of the stage."""

    model: Path
    dataset: Path
    images: Path
    embeddings: Path
    guidelines: Path
    """Folder with classes.yaml, for the colours."""


def run(inputs: Inputs, out: Path, judged_out: Path, plots: Path, params: Params) -> None:
    """Judge split "test": `out` gets the figures, `plots` iou.csv, iou.png, confusion.png and contact_sheet.png.

    `judged_out` gets table JUDGED, what each image scored, with the traits that slices are made of.

    A figure is {"value", "low", "high"}: the pooled value over all test images and its 95% interval over images.
    What is undefined is null and has a "reason". `miou`, `dice` are means over the classes that occur in the truth,
    background among them; `miou_objects` leaves background out.
    """
    folder, segmenter = read_dataset(inputs.dataset), load_segmenter(inputs.model)
    if folder.class_ids != segmenter.class_ids:
        raise InputError("the model was trained for other classes than the dataset has; run dvc repro train")
    rows = folder.split("test")
    if rows.empty:
        raise InputError("the dataset has no test image; label more images")
    judged = list(_judge(rows, folder, segmenter, inputs, params))
    confusions = np.stack([confusion for confusion, _, _ in judged])
    report = figures(confusions, folder.class_names, np.random.default_rng(params.seed), params.resamples)
    write_json(out, report)
    write_table(judged_out, pd.DataFrame([row for _, _, row in judged]))
    _plot(plots, report, confusions.sum(axis=0), [tile for _, tile, _ in judged], inputs, params)


def figures(confusions: Counts, names: tuple[str, ...], rng: np.random.Generator, resamples: int) -> dict[str, Any]:
    """The content of metrics.json from one (K, K) confusion matrix per image, shape (N, K, K).

    A mean is over the same classes in every draw of the bootstrap: a draw without a hard class is no better model.
    """
    present = ~np.isnan(iou_per_class(confusions.sum(axis=0)))
    objects = present & (np.arange(len(names)) > 0)

    def statistic(counts: Counts) -> Floats:
        iou, dice = iou_per_class(counts), dice_per_class(counts)
        means = (_mean(iou, present), _mean(iou, objects), _mean(dice, present), pixel_accuracy(counts))
        return np.concatenate([np.stack(means, axis=-1), iou, dice], axis=-1)

    value = statistic(confusions.sum(axis=0))
    low, high = bootstrap_interval(confusions, statistic, rng, resamples)
    found = [_figure(*triple) for triple in zip(value, low, high, strict=True)]
    classes = len(names)
    return {
        **dict(zip(("miou", "miou_objects", "dice", "pixel_accuracy"), found, strict=False)),
        "iou": dict(zip(names, found[4 : 4 + classes], strict=True)),
        "dice_per_class": dict(zip(names, found[4 + classes :], strict=True)),
        "test_images": len(confusions),
    }


def _mean(values: Floats, classes: npt.NDArray[np.bool_]) -> Floats:
    """Mean of (..., K) over these classes; NaN where one of them is undefined, and where there is none."""
    wanted = np.where(np.isnan(values[..., classes]).any(axis=-1, keepdims=True), np.nan, values[..., classes])
    return mean_defined(wanted)


def _figure(value: float, low: float, high: float) -> Figure:
    figure: Figure = {
        name: None if math.isnan(number) else round(float(number), 6)
        for name, number in (("value", value), ("low", low), ("high", high))
    }
    if figure["value"] is None:
        figure["reason"] = ABSENT
    elif figure["low"] is None:
        figure["reason"] = ONE_IMAGE
    return figure


def _judge(
    rows: pd.DataFrame, folder: DatasetFolder, segmenter: Segmenter, inputs: Inputs, params: Params
) -> Iterator[tuple[Counts, Tile, dict[str, Any]]]:
    """Confusion matrix, picture and row of JUDGED of every test image, at the image's own size."""
    objects = dict(list(zip(folder.class_names, folder.class_ids, strict=True))[1:])
    for row in tqdm(list(rows.itertuples()), desc="evaluate", unit="image"):
        path, image_id = inputs.images / str(row.file), str(row.image_id)
        sample = read_sample(path, inputs.embeddings / f"{image_id}.npy", segmenter.longest_side)
        predicted = predict(segmenter, sample, params.flip).label_map
        truth = read_label_map(folder.mask(image_id))
        if truth.shape != predicted.shape:
            raise InputError(f"{folder.mask(image_id)} has another size than its image; run dvc repro dataset")
        positions = [positions_of(ids, folder.class_ids, folder.mask(image_id)) for ids in (truth, predicted)]
        confusion = confusion_matrix(positions[0], positions[1], len(folder.class_ids))
        iou = float(mean_iou(confusion))
        judged = {"image_id": image_id, "iou": iou, **image_traits(sample.image, truth, objects)}
        yield confusion, Tile(image_id, read_rgb(path), truth, predicted, iou), judged


def _plot(
    plots: Path, report: dict[str, Any], pooled: Counts, tiles: list[Tile], inputs: Inputs, params: Params
) -> None:
    iou: dict[str, Figure] = report["iou"]
    table = pd.DataFrame([{"class": name, "iou": figure["value"], "low": figure["low"], "high": figure["high"]}
                          for name, figure in iou.items()])  # fmt: skip
    write_text(plots / "iou.csv", table.to_csv(index=False))
    plot_iou(plots / "iou.png", table)
    plot_confusion(plots / "confusion.png", list(iou), pooled)
    colors = {item.id: item.color for item in load_guidelines(inputs.guidelines).classes}
    worst = sorted(tiles, key=lambda tile: (math.isnan(tile.iou), tile.iou, tile.image_id))[: params.sheet]
    plot_contact_sheet(plots / "contact_sheet.png", worst, colors)


def main() -> None:
    """Command line of the stage; the paths are given in dvc.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("model", "dataset", "images", "embeddings", "guidelines", "out", "judged", "plots", "params"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    inputs = Inputs(given.model, given.dataset, given.images, given.embeddings, given.guidelines)
    run(inputs, given.out, given.judged, given.plots, load_params(given.params, "evaluate", Params))


if __name__ == "__main__":
    with one_line_errors():
        main()
