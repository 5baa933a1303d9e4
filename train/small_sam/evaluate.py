"""Measure a SAM beside GrabCut, the filled box and the inscribed ellipse, all from the same prompts.

python -m small_sam.evaluate --out figures.json [--data folder] [--sample folder]        (in the folder train/)
"""

from collections.abc import Callable
from pathlib import Path

import click
import cv2
import numpy as np
import numpy.typing as npt
from segment_anything import SamPredictor
from tqdm import tqdm

from datalab.adapters.files import write_json
from datalab.adapters.sam import load_sam, model_version
from datalab.adapters.sam_zoom import part_round
from datalab.learning.intervals import DIFFERENCES, bootstrap_interval
from datalab.resampling import places_of, sum_units
from small_sam.objects import READERS, Example, composites, sample_images
from small_sam.shapes import Mask
from small_sam.surfaces import Picture

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels, the ends excluded; tight."""
GRABCUT_ROUNDS = 5
RESAMPLES = 1000
ENDS = ("mean", "low", "high")


def tight_box(mask: Mask) -> Box:
    """The smallest box round a (H, W) mask that is not empty."""
    y, x = np.nonzero(mask)
    return int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1


def innermost_pixel(mask: Mask) -> tuple[int, int]:
    """The pixel (x, y) of a (H, W) mask farthest from its outside: where a person would click."""
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), mask.shape)
    return int(x), int(y)


def filled_box(picture: Picture, box: Box) -> Mask:
    """All of the box, as a (H, W) mask."""
    mask = np.zeros(picture.shape[:2], dtype=bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask


def inscribed_ellipse(picture: Picture, box: Box) -> Mask:
    """The largest ellipse in the box, as a (H, W) mask."""
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]] + 0.5
    middle, half = np.array([box[0] + box[2], box[1] + box[3]]) / 2, np.array([box[2] - box[0], box[3] - box[1]]) / 2
    inside: Mask = ((x - middle[0]) / half[0]) ** 2 + ((y - middle[1]) / half[1]) ** 2 <= 1
    return inside


def grabcut(picture: Picture, box: Box) -> Mask:
    """OpenCV's GrabCut of the box; the filled box where it finds nothing or the box is the whole picture."""
    kinds = np.zeros(picture.shape[:2], dtype=np.uint8)
    if filled_box(picture, box).all():
        return filled_box(picture, box)
    rectangle = (box[0], box[1], box[2] - box[0], box[3] - box[1])
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(np.ascontiguousarray(picture), kinds, rectangle, *models, GRABCUT_ROUNDS, cv2.GC_INIT_WITH_RECT)
    found: Mask = (kinds == cv2.GC_FGD) | (kinds == cv2.GC_PR_FGD)
    return found if found.any() else filled_box(picture, box)


BASELINES: dict[str, Callable[[Picture, Box], Mask]] = {
    "GrabCut": grabcut,
    "filled box": filled_box,
    "inscribed ellipse": inscribed_ellipse,
}


OURS = "box enlarged, single mask"
"""What people get who draw a box: nobody picks the best of three for them."""


def iou(a: Mask, b: Mask) -> float:
    """Intersection over union of two (H, W) masks, one of which is not empty."""
    return float((a & b).sum() / (a | b).sum())


def measure(predictor: SamPredictor, example: Example) -> dict[str, float]:
    """IoU with the truth of every method."""
    truth, box = example.mask, tight_box(example.mask)
    predictor.set_image(example.picture)
    click_at = {"point_coords": np.array([innermost_pixel(truth)]), "point_labels": np.array([1])}
    clicked, click_scores, _ = predictor.predict(**click_at)
    once, _, _ = predictor.predict(**click_at, multimask_output=False)
    found = {
        "click, single mask": iou(once[0], truth),
        "click, best of three": max(iou(mask, truth) for mask in clicked),
        "click, SAM's choice": iou(clicked[click_scores.argmax()], truth),
        **{f"box, {name}": value for name, value in boxed(predictor, np.array(box), truth).items()},
    }
    x0, y0, x1, y1 = part_round(np.array(box, dtype=np.float64), *truth.shape)
    predictor.set_image(np.ascontiguousarray(example.picture[y0:y1, x0:x1]))
    part = boxed(predictor, np.array(box) - [x0, y0, x0, y0], truth[y0:y1, x0:x1])
    return {
        **found,
        **{f"box enlarged, {name}": value for name, value in part.items()},
        **{name: iou(baseline(example.picture, box), truth) for name, baseline in BASELINES.items()},
    }


def boxed(predictor: SamPredictor, box: npt.NDArray[np.int64], truth: Mask) -> dict[str, float]:
    """IoU of what the predictor makes of a box in the image it holds, all of `truth` being in that image."""
    masks, scores, _ = predictor.predict(box=box)
    single, _, _ = predictor.predict(box=box, multimask_output=False)
    return {
        "best of three": max(iou(mask, truth) for mask in masks),
        "SAM's choice": iou(masks[scores.argmax()], truth),
        "single mask": iou(single[0], truth),
    }


def leads(row: dict[str, float]) -> dict[str, float]:
    """By how much the single mask from a box is better than each baseline from the same box, on one object."""
    return {f"{OURS}, less {name}": row[OURS] - row[name] for name in BASELINES}


def summarise(
    rows: list[dict[str, float]], groups: list[str], rng: np.random.Generator
) -> dict[str, dict[str, float | None]]:
    """Mean of each method over the objects with its 95% bootstrap interval over their groups; None: too few."""
    values = np.array([list(row.values()) for row in rows])
    counted = np.concatenate([values, np.ones((len(rows), 1))], axis=1)
    units = sum_units(counted, places_of(groups))
    ends = bootstrap_interval(units, lambda sums: sums[:, :-1] / sums[:, -1:], rng, RESAMPLES, bounds=DIFFERENCES)
    figures = zip(values.mean(axis=0), *ends, strict=True)
    return {
        name: {end: None if np.isnan(one) else round(float(one), 3) for end, one in zip(ENDS, three, strict=True)}
        for name, three in zip(rows[0], figures, strict=True)
    }


def read_sets(sample: Path | None, data: Path | None, count: int, seed: int) -> dict[str, list[Example]]:
    """The objects of every set by its name, drawn with the same seed; FileNotFoundError where a set has no files."""
    sets = {"composites": composites(count, np.random.default_rng(seed))}
    if sample is not None:
        sets["sample images"] = sample_images(sample, count, np.random.default_rng(seed))
    if data is not None:
        sets |= {name: read(data / name, count, np.random.default_rng(seed)) for name, read in READERS.items()}
    return sets


@click.command()
@click.option("--checkpoint", default="small", show_default=True, help='"small" or an official .pth file.')
@click.option("--out", type=click.Path(path_type=Path), required=True, help="JSON file of the figures.")
@click.option("--sample", type=click.Path(path_type=Path), help="Folder that `datalab sample` wrote.")
@click.option("--data", type=click.Path(path_type=Path), help=f"Folder with {', '.join(READERS)}.")
@click.option("--count", default=80, show_default=True, help="Objects of each set.")
@click.option("--seed", default=3, show_default=True)
def main(checkpoint: str, out: Path, sample: Path | None, data: Path | None, count: int, seed: int) -> None:
    """Example: python -m small_sam.evaluate --out figures.json."""
    try:
        sets = read_sets(sample, data, count, seed)
    except FileNotFoundError as exc:
        raise click.ClickException(str(exc)) from exc
    predictor = SamPredictor(load_sam(checkpoint))
    figures = {}
    for name, examples in sets.items():
        measured = (measure(predictor, example) for example in tqdm(examples, name, unit="object", disable=None))
        rows = [row | leads(row) for row in measured]
        groups = [one.group for one in examples]
        summary = summarise(rows, groups, np.random.default_rng(seed))
        figures[name] = {"objects": len(rows), "groups": len(set(groups)), "iou": summary}
    write_json(out, {"model_version": model_version(checkpoint), "sets": figures})


if __name__ == "__main__":
    main()
