"""How much worse the segmenter is on damaged images: noise, blur, JPEG, over- and underexposure, low contrast, fog.

The last part of stage `evaluate`, in the same process: loading torch and SAM once more would take longer than the work.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from datalab.adapters.dataset_folder import DatasetFolder
from datalab.adapters.embedding_cache import Embedding
from datalab.adapters.files import read_rgb, write_json, write_text
from datalab.adapters.plots_curves import plot_robustness
from datalab.adapters.sam import SamLoader
from datalab.adapters.sam_embed import embed_image
from datalab.adapters.segmenter import Segmenter, members_of
from datalab.adapters.segmenter_samples import Sample, read_sample, with_pixels
from datalab.adapters.stage_progress import stage_bar
from datalab.adapters.torch_threads import side_by_side
from datalab.learning.corruptions import CORRUPTIONS, SEVERITIES, Pixels, corrupt
from datalab.learning.evaluation import ONE_IMAGE
from datalab.learning.intervals import DIFFERENCES, drawn, interval, mean_of
from datalab.learning.metrics import (
    Counts,
    Floats,
    confusion_matrix,
    figure_of,
    mean_defined,
    overlap_counts,
    overlap_iou,
)
from datalab.ranges import Count, Seed
from datalab.resampling import places_of, sum_units
from datalab.stages.held_out import read_held_out

LARGEST_SIDE = 512
"""Pixels; a larger image is shrunk first, so that noise and JPEG's blocks mean the same on every photograph."""
ASKED = [("none", 0), *((kind, severity) for kind in CORRUPTIONS for severity in SEVERITIES)]
"""(corruption, severity) of every question, the undamaged image first."""


@dataclass(frozen=True)
class Params:
    """Section `robustness` of params.yaml; SAM is that of section `sam`."""

    seed: Seed
    images: Count
    """Test images drawn at random; each is embedded and predicted 22 times."""
    resamples: Count
    """Draws of the bootstrap."""


@dataclass(frozen=True)
class Inputs:
    """Files it reads."""

    model: Path
    dataset: Path
    images: Path
    embeddings: Path


def run(inputs: Inputs, out: Path, plots: Path, params: Params, load: SamLoader) -> None:
    """Write `out`, and robustness.csv and robustness.png into `plots`.

    `out` has `undamaged`, the mean IoU of the drawn images, and for each corruption and severity `miou` and by how much
    it is lower: `drop`, from `low` to `high` (95% interval over images, each compared with itself undamaged), which
    where a single image decides are null with a `reason`; `mean_drop` is the mean over them all. Classes are those that
    occur in the truth of the drawn images.
    """
    held = read_held_out(inputs.dataset, inputs.model, inputs.embeddings)
    folder, rows, segmenter = held.folder, held.rows, held.segmenter
    rng = np.random.default_rng(params.seed)
    drawn = rows.iloc[np.sort(rng.permutation(len(rows))[: params.images])]
    counts = _ask(drawn, folder, segmenter, inputs, params, load)
    report = {
        "images": len(drawn),
        **figures(sum_units(counts, places_of(list(drawn["group"]))), rng, params.resamples),
    }
    write_json(out, report)
    table = tabulated(report)
    write_text(plots / "robustness.csv", table.to_csv(index=False))
    plot_robustness(plots / "robustness.png", table.dropna(), report["undamaged"] or 0.0)


def figures(counts: Counts, rng: np.random.Generator, resamples: int) -> dict[str, Any]:
    """Figures of robustness.json from (N, 22, K, K) confusion matrices of N independent images, as ASKED."""

    def drops(sums: npt.NDArray[Any]) -> Floats:
        iou = overlap_iou(sums)
        each = iou[..., :1, :] - iou[..., 1:, :]
        return np.concatenate([each, each.mean(axis=-2, keepdims=True)], axis=-2)

    overlaps = overlap_counts(counts)  # drawn a thousand times the matrices of 150 classes would fill gigabytes
    miou = mean_defined(overlap_iou(overlaps.sum(axis=0)))
    means = mean_of(drawn(overlaps, drops, rng, resamples), np.ones(counts.shape[-1], dtype=bool))
    low, high = interval(means, DIFFERENCES)
    found = [_drop(*ends) for ends in zip(means.value, low, high, strict=True)]
    report: dict[str, Any] = {"undamaged": _number(miou[0]), "mean_drop": found[-1]}
    for (kind, severity), own, drop in zip(ASKED[1:], miou[1:], found, strict=False):
        report.setdefault(kind, {})[str(severity)] = {"miou": _number(own), **drop}
    return report


def tabulated(report: Mapping[str, Any]) -> pd.DataFrame:
    """Of the report a row for each damage: `damage`, such as "noise 1", and its `corruption`, `severity` and `miou`.

    DVC lays the rows of one name on top of each other, so each severity has a name of its own.
    """
    return pd.DataFrame(
        [
            {
                "damage": f"{kind} {level}",
                "corruption": kind,
                "severity": level,
                "miou": report[kind][str(level)]["miou"],
            }
            for kind, level in ASKED[1:]
        ]
    )


def _drop(value: float, low: float, high: float) -> dict[str, Any]:
    """`drop`, `low` and `high`, and where one is null the `reason`."""
    found = figure_of(value, low, high, ONE_IMAGE).as_json()
    reason = found.pop("reason")
    return {"drop": found.pop("value"), **found, **({} if reason is None else {"reason": reason})}


def _number(value: float) -> float | None:
    """None where undefined: no pixel is judged."""
    return None if np.isnan(value) else round(float(value), 6)


def _ask(
    rows: pd.DataFrame,
    folder: DatasetFolder,
    segmenter: Segmenter,
    inputs: Inputs,
    params: Params,
    load: SamLoader,
) -> Counts:
    """Confusion matrices (N, 22, K, K) at half the working size."""
    samples = [
        read_sample(
            inputs.images / str(row.file),
            inputs.embeddings / f"{row.image_id}.npy",
            segmenter.longest_side,
            folder.mask(str(row.image_id)),
            folder.class_ids,
        )
        for row in rows.itertuples()
    ]
    pictures = [_shrunk(read_rgb(inputs.images / str(row.file))) for row in rows.itertuples()]
    embedded = _embedder(segmenter, load)

    def judge(question: tuple[int, int]) -> Counts:
        place, asked = question
        kind, severity = ASKED[asked]
        # the pattern of noise and fog is the image's own, and the same at every severity
        rng = np.random.default_rng([params.seed, place])
        pixels = corrupt(pictures[place], kind, severity, rng)
        return _confusion(segmenter, with_pixels(samples[place], pixels, embedded(pixels)))

    questions = [(place, asked) for place in range(len(samples)) for asked in range(len(ASKED))]
    found = list(stage_bar("robustness", len(questions), "image", side_by_side(judge, questions)))
    classes = len(folder.class_ids)
    return np.stack(found).reshape(len(samples), len(ASKED), classes, classes)


def _embedder(segmenter: Segmenter, load: SamLoader) -> Callable[[Pixels], Embedding | None]:
    """SAM's embedding of some pixels, or None for a model that looks at none."""
    if not segmenter.network.uses_embedding:
        return lambda pixels: None
    sam = load()
    return lambda pixels: embed_image(sam, pixels)


def _confusion(segmenter: Segmenter, sample: Sample) -> Counts:
    assert sample.labels is not None
    positions = members_of(segmenter, sample, flip=False).mean(axis=0).argmax(axis=0)
    return confusion_matrix(sample.labels, positions, len(segmenter.class_ids))


def _shrunk(pixels: Pixels) -> Pixels:
    scale = LARGEST_SIDE / max(pixels.shape[:2])
    if scale >= 1:
        return pixels
    height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
