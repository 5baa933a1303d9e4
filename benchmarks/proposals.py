"""What SAM's proposals are worth on photographs it was not trained on: before and after the gate, before and after it
learned from labels.

For each data set: proposals on images nobody has labelled, gated by some gold images; then the decoder learns from the
objects of some labelled images and is judged on objects of others. No peer: `ratio` is the IoU after over before.
"""

import json
import os
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from tqdm import tqdm

from datalab.adapters.files import read_label_map, read_rgb
from datalab.adapters.sam import ProposalParams, ask, load_sam, model_version, propose_regions
from datalab.adapters.sam_adapt import Course, Lesson, adapt, judge, lessons_of
from datalab.config import load_params
from datalab.learning.gate import GateParams
from datalab.masks import BoolMask, connected_rles, iou_matrix, mask_to_rle, rle_to_mask
from datalab.rounds.gating import gate_proposals
from datalab.stages.adapt import Params as AdaptParams
from datalab.stages.adapt import figures
from measure import parser_of
from simulated.tiles import tiles_of

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("DATALAB_SHARED_DATA", ROOT.parent / "shared" / "data"))
GOLD, JUDGED, LESSONS = 20, 30, 60
"""Images the gate is calibrated on, that are judged, and whose objects teach the decoder."""
LEAST_SHARE, LARGEST_SHARE = 0.001, 0.6
MOST_OBJECTS = 8
"""Per image that teaches: camvid has a hundred."""
GOOD_IOU = 0.5
LEFT_OUT = {"camvid": {11, 255}, "magnetic_tile": {0}}
"""Values that are no class: CamVid's void, as docs/examples/camvid-classes.yaml has it, and what is whole of a tile."""
SEED = 5
Pair = tuple[Path, Path]
One = TypeVar("One")


def camvid() -> tuple[list[Pair], list[Pair]]:
    """Frames of drives, 240 x 180; every fourth, since neighbours are nearly the same; taught by another drive."""
    folder = SHARED / "camvid" / "train"
    pairs = [(path, folder / "masks" / f"{path.stem}.png") for path in sorted((folder / "images").glob("*.jpg"))][::4]
    is_taught = [pair[0].stem.startswith("0016E5") for pair in pairs]
    return [pair for pair, one in zip(pairs, is_taught, strict=True) if not one], [
        pair for pair, one in zip(pairs, is_taught, strict=True) if one
    ]


def magnetic_tile() -> tuple[list[Pair], list[Pair]]:
    """Tiles with a defect, of those that are judged one exposure; other tiles teach, there are few, in all theirs."""
    folder = SHARED / "magnetic_tile"
    images = sorted((folder / "images").glob("*/*.jpg"))
    named = tiles_of(images)
    tiles: dict[str, list[Pair]] = {}
    for path in images:
        mask = folder / "masks" / path.parent.name / f"{path.stem}.png"
        if read_label_map(mask).any():
            tiles.setdefault(named[path.stem], []).append((path, mask))
    judged, taught = dealt(list(tiles.values()))
    return [exposures[0] for exposures in judged], list(chain.from_iterable(taught))[:LESSONS]


def bsds500() -> tuple[list[Pair], list[Pair]]:
    """Photographs, with the first person's regions."""
    folder = SHARED / "bsds500" / "val"
    judged, taught = dealt(
        [
            (path, sorted((folder / "segmentations").glob(f"{path.stem}_*.png"))[0])
            for path in sorted((folder / "images").glob("*.jpg"))
        ]
    )
    return judged, taught[:LESSONS]


def dealt(independent: list[One]) -> tuple[list[One], list[One]]:
    """Those that are judged, gold first, and all others."""
    drawn = [independent[place] for place in np.random.default_rng(SEED).permutation(len(independent))]
    return drawn[: GOLD + JUDGED], drawn[GOLD + JUDGED :]


SETS = {"camvid": camvid, "magnetic_tile": magnetic_tile, "bsds500": bsds500}


def objects_of(name: str, mask: Path) -> list[BoolMask]:
    """The connected parts of every class, of an object's size."""
    labels = read_label_map(mask)
    parts = []
    for value in sorted(set(np.unique(labels).tolist()) - LEFT_OUT.get(name, set())):
        found = connected_rles(labels == value, LEAST_SHARE * labels.size)
        parts += [rle_to_mask(rle, *labels.shape) for area, rle in found if area <= LARGEST_SHARE * labels.size]
    return parts


def gold_rows(image_id: str, objects: list[BoolMask]) -> Iterator[dict[str, object]]:
    """Of table GOLD, what the gate reads."""
    for rle in [mask_to_rle(one) for one in objects] or [""]:
        yield {"image_id": image_id, "label": "object", "rle": rle}


def proposals(name: str, pairs: list[Pair]) -> dict[str, Any]:
    """How many candidates there are, how good, and what of it the gate shows."""
    params = load_params(ROOT / "params.yaml", "proposals", ProposalParams)
    sam, version = load_sam("small"), model_version("small")
    found, truth = [], {}
    gold: list[dict[str, object]] = []
    for place, (image, mask) in enumerate(tqdm(pairs, f"{name}: proposals", disable=None)):
        image_id = f"{place:03d}"
        truth[image_id] = objects_of(name, mask)
        found.append(propose_regions(sam, version, [ask(image_id, read_rgb(image), params)], params))
        if place < GOLD:
            gold += gold_rows(image_id, truth[image_id])
    candidates = pd.concat([one for one in found if len(one)], ignore_index=True).assign(label="object")
    judged = set(list(truth)[GOLD:])
    gate = load_params(ROOT / "params.yaml", "proposal_gate", GateParams)
    shown, facts = gate_proposals(candidates, judged, pd.DataFrame(gold), gate, params.max_regions)
    asked = candidates[candidates["image_id"].isin(judged)]
    error = facts["sources"].get("sam", {}).get("error") or {}
    return {
        "images": len(judged),
        "objects": sum(len(truth[image_id]) for image_id in judged),
        "candidates": worth(asked, truth, judged),
        "shown": worth(shown, truth, judged),
        "stated_error": error.get("mean_absolute_error"),
    }


def worth(table: pd.DataFrame, truth: dict[str, list[BoolMask]], judged: set[str]) -> dict[str, Any]:
    """Count, mean true IoU, share below one half, and the share of all objects that got a good one."""
    best: list[float] = []
    covered = 0
    for image_id, rows in table.groupby("image_id"):
        masks = [mask_to_rle(one) for one in truth[str(image_id)]]
        height, width = int(rows["height"].iloc[0]), int(rows["width"].iloc[0])
        overlap = iou_matrix(list(rows["rle"]), masks, height, width)
        best += list(overlap.max(axis=1, initial=0.0))
        covered += int((overlap.max(axis=0, initial=0.0) >= GOOD_IOU).sum())
    objects = sum(len(truth[image_id]) for image_id in judged)
    return {
        "count": len(best),
        "mean_iou": round(float(np.mean(best)), 3) if best else None,
        "bad_share": round(float(np.mean(np.array(best) < GOOD_IOU)), 3) if best else None,
        "objects_found": round(covered / objects, 3),
    }


def adaptation(name: str, taught: list[Pair], judged: list[Pair]) -> dict[str, Any]:
    """IoU on held-out objects before and after the decoder learned, with the interval of the difference."""
    params = load_params(ROOT / "params.yaml", "adapt", AdaptParams)
    rng = np.random.default_rng(SEED)
    sam = load_sam("small")

    def lessons(pairs: list[Pair]) -> list[Lesson]:
        made: list[Lesson] = []
        for image, mask in tqdm(pairs, f"{name}: objects", disable=None):
            parts = objects_of(name, mask)
            chosen = [parts[place] for place in rng.permutation(len(parts))[:MOST_OBJECTS]]
            made += lessons_of(sam, image.stem, read_rgb(image), chosen, rng)
        return made

    learned, exam = lessons(taught), lessons(judged)
    before = judge(sam, exam)
    adapt(sam, learned, Course(params.steps, params.batch_size, params.learning_rate), rng)
    alone = {one.image_id: one.image_id for one in exam}
    found = figures(exam, alone, before, judge(sam, exam), rng, params.resamples)
    return {"images": len(taught), "objects": len(learned) // 2, **found}


def main() -> None:
    """Print one JSON line."""
    parser = parser_of(__doc__)
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    line: dict[str, Any] = {"name": "proposals", "sam": model_version("small"), "sets": {}}
    for name in parser.parse_args().sets:
        judged, taught = SETS[name]()
        line["sets"][name] = {
            "proposals": proposals(name, judged),
            "adaptation": adaptation(name, taught, judged),
        }
    line["ratio"] = {
        name: round(one["adaptation"]["all"]["after"] / one["adaptation"]["all"]["before"], 3)
        for name, one in line["sets"].items()
    }
    sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
