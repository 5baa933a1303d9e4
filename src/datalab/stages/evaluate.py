"""How good the segmenter is on images it has never seen: figures with intervals, and plots to look at."""

import argparse
import heapq
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from datalab.adapters.checkpoints import SamParams
from datalab.adapters.coco_eval import AveragePrecision, ObjectJudge
from datalab.adapters.dataset_folder import DatasetFolder
from datalab.adapters.files import read_label_map, read_rgb, write_json, write_table, write_text
from datalab.adapters.model_cost import NO_EMBEDDING, EmbeddingCost, embedding_cost, model_cost, model_size
from datalab.adapters.plots import Tile, for_tile, plot_confusion, plot_contact_sheet, plot_iou
from datalab.adapters.plots_curves import plot_reliability
from datalab.adapters.sam import SamLoader, load_sam
from datalab.adapters.segmenter import Prediction, Segmenter, predict
from datalab.adapters.segmenter_samples import Sample, positions_of, read_sample
from datalab.adapters.stage_progress import stage_bar, stage_progress
from datalab.config import load_guidelines, load_params
from datalab.errors import one_line_errors
from datalab.learning.calibration import Reliability, reliability, reliability_table
from datalab.learning.evaluation import Row, boundary_figures, calibration, figures, object_figures, with_unlearned
from datalab.learning.metrics import Counts, boundary_counts, confusion_matrix, mean_iou
from datalab.learning.objects import objects_of
from datalab.learning.traits import image_traits
from datalab.learning.uncertainty import tempered
from datalab.masks import IGNORE_ID
from datalab.progress import unseen
from datalab.ranges import Count, Seed, Share
from datalab.resampling import places_of, sum_units
from datalab.stages import robustness
from datalab.stages.held_out import read_held_out
from datalab.tables import CONFUSIONS

EMBEDDED = 6
"""Test images that are embedded anew, to see how long it takes."""


@dataclass(frozen=True)
class Params:
    """How intervals are drawn and what is shown."""

    seed: Seed
    resamples: Count
    """Draws of the bootstrap."""
    flip: bool
    """Whether the mirrored image is asked as well, as when the pool is scored."""
    sheet: Count
    """Images on the contact sheet, worst first."""
    bins: Count
    """Of confidence, when it is compared with how often the model is right."""
    min_area_share: Share
    """Of the image; smaller connected pieces are no objects: neither to be found, nor wrong to find."""


@dataclass(frozen=True)
class Inputs:
    """Files of the stage."""

    model: Path
    dataset: Path
    images: Path
    embeddings: Path
    guidelines: Path
    """Folder with classes.yaml, for the colours."""


@dataclass(frozen=True)
class Judged:
    """What the model did on one test image."""

    confusion: Counts
    """(K, K) at the image's own size."""
    outlines: Counts
    """(K, 3) `boundary_counts` at the image's own size."""
    row: dict[str, Any]
    """Of table JUDGED."""
    reliability: Reliability
    """(2, bins, 3) at half the working size: before and after the temperature."""
    seconds: float
    """The prediction took."""


@dataclass(frozen=True)
class Candidate:
    """For the contact sheet: all of a Tile but the photograph, which is read once more for those that are shown."""

    image_id: str
    path: Path
    truth: npt.NDArray[np.uint8]
    predicted: npt.NDArray[np.uint8]
    iou: float

    def tile(self) -> Tile:
        """With the photograph."""
        return Tile(self.image_id, for_tile(read_rgb(self.path)), self.truth, self.predicted, self.iou)


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    figures: Path
    """metrics.json."""
    judged: Path
    """Table JUDGED, what each image scored, with the traits that slices are made of."""
    confusions: Path
    """Table CONFUSIONS, by which rounds are compared on the same images."""
    plots: Path
    """Folder of iou, confusion, reliability and contact_sheet."""
    cost: Path
    """model_cost.json; the one file with figures of this machine and this run, and so no metric."""


def run(inputs: Inputs, outputs: Outputs, params: Params, load: SamLoader) -> None:
    """Judge split "test" and write figures, tables and pictures.

    A figure is {"value", "low", "high"}: the pooled value over all test images and its 95% interval over groups of
    them, which are independent of each other. What is undefined is null and has a "reason", and so has the `iou` of a
    class that no training image shows. `miou`, `dice` are means
    over the classes that occur in the truth, background among them; `miou_objects` leaves background out;
    `boundary_iou` is over the classes with an outline. `calibration` has the expected calibration error of the pixels,
    as the model gives probabilities (`ece_before`) and as they are used, after the temperature (`ece`). `objects` has
    COCO's average precision of connected pieces, and precision, recall and F1 of those found; `model` what
    `model_size` says.
    """
    held = read_held_out(inputs.dataset, inputs.model, inputs.embeddings)
    folder, rows, segmenter = held.folder, held.rows, held.segmenter
    judge = ObjectJudge(len(folder.class_ids), segmenter.network.least_score)
    judged, worst = _all_judged(_judge(rows, folder, segmenter, inputs, params, judge), params.sheet)
    confusions, trusted = (
        np.stack(parts) for parts in zip(*((one.confusion, one.reliability) for one in judged), strict=True)
    )
    report = _report(judged, judge.average_precision(), places_of(list(rows["group"])), folder.class_names, params)
    report["iou"] = with_unlearned(report["iou"], folder.unlearned())
    report["calibration"]["temperature"] = round(segmenter.temperature, 4)
    write_json(outputs.figures, {**report, "model": model_size(segmenter, inputs.model)})
    embedding = _embedding_cost(segmenter, [inputs.images / str(file) for file in rows["file"][:EMBEDDED]], load)
    write_json(outputs.cost, model_cost(segmenter, [one.seconds for one in judged], embedding))
    write_table(outputs.judged, pd.DataFrame([one.row for one in judged]))
    write_table(outputs.confusions, confusion_rows(list(rows["image_id"]), confusions, folder.class_names))
    _plot(outputs.plots, report, confusions.sum(axis=0), worst, inputs)
    _plot_reliability(outputs.plots, report["calibration"], *trusted.sum(axis=0))


def _embedding_cost(segmenter: Segmenter, images: list[Path], load: SamLoader) -> EmbeddingCost:
    if not segmenter.network.uses_embedding:
        return NO_EMBEDDING
    return embedding_cost(load(), images)


def _report(
    judged: list[Judged], found: AveragePrecision, places: npt.NDArray[np.intp], names: tuple[str, ...], params: Params
) -> dict[str, Any]:
    """The figures; intervals are over the independent units of the images' `places`, `test_groups` of them."""
    confusions, outlines, trusted = (
        sum_units(np.stack(parts), places)
        for parts in zip(*((one.confusion, one.outlines, one.reliability) for one in judged), strict=True)
    )
    units, draws = len(confusions), params.resamples

    def rng() -> np.random.Generator:
        return np.random.default_rng(params.seed)

    def precision(times: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        return found.of_images(times[:, places], stage_progress if len(times) > 1 else unseen)

    hits = sum_units(found.hits, places)
    return {
        **figures(confusions, names, rng(), draws),
        "test_images": len(judged),
        "test_groups": units,
        **boundary_figures(outlines, names, rng(), draws),
        "calibration": calibration(trusted, rng(), draws),
        "objects": object_figures(hits, precision, names, rng(), draws),
    }


def confusion_rows(image_ids: list[str], confusions: Counts, names: tuple[str, ...]) -> pd.DataFrame:
    """Table CONFUSIONS of (N, K, K) matrices: the cells that are not 0, in order."""
    images, truths, predictions = np.nonzero(confusions)
    columns = [np.array(image_ids)[images], np.array(names)[truths], np.array(names)[predictions]]
    return pd.DataFrame(dict(zip(CONFUSIONS, [*columns, confusions[images, truths, predictions]], strict=True)))


def _judge(
    rows: pd.DataFrame,
    folder: DatasetFolder,
    segmenter: Segmenter,
    inputs: Inputs,
    params: Params,
    judge: ObjectJudge,
) -> Iterator[tuple[Judged, Candidate]]:
    """Every test image in turn, and what the sheet would show of it; its objects go to `judge`."""
    objects = dict(list(zip(folder.class_names, folder.class_ids, strict=True))[1:])
    for row in stage_bar("evaluate", len(rows), "image", rows.itertuples()):
        path, image_id = inputs.images / str(row.file), str(row.image_id)
        mask, embedding = folder.mask(image_id), inputs.embeddings / f"{image_id}.npy"
        sample = read_sample(path, embedding, segmenter.longest_side, mask, folder.class_ids)
        started = time.perf_counter()
        prediction = predict(segmenter, sample, params.flip)
        seconds, truth = time.perf_counter() - started, read_label_map(mask)
        positions = [positions_of(ids, folder.class_ids, mask) for ids in (truth, prediction.label_map)]
        least = max(1, round(params.min_area_share * truth.size))
        mean = tempered(prediction.members, segmenter.temperature).mean(axis=0)
        found = prediction.objects
        pieces = objects_of(positions[1], least // 2, mean) if found is None else found
        judge.add(objects_of(positions[0], least // 2), pieces, positions[0] == IGNORE_ID, least)
        confusion = confusion_matrix(positions[0], positions[1], len(folder.class_ids))
        outlines = boundary_counts(positions[0], positions[1], len(folder.class_ids))
        iou = float(mean_iou(confusion))
        judged = {
            "image_id": image_id,
            "iou": iou,
            "group": str(row.group),
            **image_traits(sample.image, truth, objects),
        }
        shown = Candidate(image_id, path, for_tile(truth), for_tile(prediction.label_map), iou)
        trusted = _trust(prediction, sample, segmenter.temperature, params.bins)
        yield Judged(confusion, outlines, judged, trusted, seconds), shown


def _all_judged(found: Iterator[tuple[Judged, Candidate]], most: int) -> tuple[list[Judged], list[Tile]]:
    """All that was judged, and the pictures of the `most` with the lowest IoU: more would not fit into memory."""
    judged: list[Judged] = []
    worst: list[Candidate] = []
    for one, candidate in found:
        judged.append(one)
        worst = heapq.nsmallest(most, [*worst, candidate], key=_badness)
    return judged, [candidate.tile() for candidate in worst]


def _badness(one: Candidate) -> tuple[bool, float, str]:
    """What comes first on the sheet: the lowest IoU, and images without one last."""
    return math.isnan(one.iou), one.iou, one.image_id


def _trust(prediction: Prediction, sample: Sample, temperature: float, bins: int) -> Reliability:
    """(2, bins, 3): before and after the temperature."""
    assert sample.labels is not None
    means = [tempered(prediction.members, heat).mean(axis=0) for heat in (1.0, temperature)]
    return np.stack([reliability(mean, sample.labels, bins) for mean in means])


def _plot(plots: Path, report: dict[str, Any], pooled: Counts, worst: list[Tile], inputs: Inputs) -> None:
    iou: dict[str, Row] = report["iou"]
    table = pd.DataFrame([{"class": name, "iou": figure["value"], "low": figure["low"], "high": figure["high"]}
                          for name, figure in iou.items()])  # fmt: skip
    write_text(plots / "iou.csv", table.to_csv(index=False))
    plot_iou(plots / "iou.png", table)
    plot_confusion(plots / "confusion.png", list(iou), pooled)
    colors = {item.id: item.color for item in load_guidelines(inputs.guidelines).classes}
    plot_contact_sheet(plots / "contact_sheet.png", worst, colors)


def _plot_reliability(plots: Path, errors: dict[str, Row], before: Reliability, after: Reliability) -> None:
    """The picture, and of the bins that have pixels a table for DVC."""
    was, now = reliability_table(before), reliability_table(after)
    both = now.join(was.add_suffix("_before"))
    write_text(plots / "reliability.csv", both[both["share"] > 0].round(6).to_csv(index=False))
    shown = [f"{errors[name]['value']:.3f}" for name in ("ece_before", "ece") if errors[name]["value"] is not None]
    title = f"expected calibration error {' before, '.join(shown)} after the temperature" if shown else "nothing judged"
    plot_reliability(plots / "reliability.png", was, now, title)


def main() -> None:
    """Command line of the stage; the paths are given in dvc.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    reads = ("model", "dataset", "images", "embeddings", "guidelines")
    for name in (*reads, "out", "judged", "confusions", "robustness", "plots", "cost", "params"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    inputs = Inputs(given.model, given.dataset, given.images, given.embeddings, given.guidelines)
    # read before the work of the first part
    damage = load_params(given.params, "robustness", robustness.Params)
    outputs = Outputs(given.out, given.judged, given.confusions, given.plots, given.cost)
    load = cache(partial(load_sam, load_params(given.params, "sam", SamParams).checkpoint))
    run(inputs, outputs, load_params(given.params, "evaluate", Params), load)
    files = robustness.Inputs(given.model, given.dataset, given.images, given.embeddings)
    robustness.run(files, given.robustness, given.plots, damage, load)


if __name__ == "__main__":
    with one_line_errors():
        main()
