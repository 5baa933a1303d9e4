"""Segmentation models on CamVid at 240 x 180 and the magnetic tiles, each trained for the same minutes of one core,
beside torchvision's reference loop.

Trains what benchmarks/results/segmentation.jsonl does not have yet, two at a time, and adds a line for each; a run that
was killed goes on. `--table` prints the results and draws them beside. Minutes are of the training alone, in CPU time
of one thread. Longer, and of one model: `--minutes 10 --set magnetic_tile --model lraspp_mobilenet_v3_large`; models of
a ResNet 50, which learn next to nothing in a few minutes, are trained by name alone.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from segmenting.data import CLASSES, EDITION, POLICY, SAMPLING, SIDE, Split, read_splits
from segmenting.picture import class_table, comparison, draw, grouped, table
from segmenting.reference import BATCH, Reference

from datalab.adapters.segmenter import Segmenter, predict
from datalab.adapters.segmenter_instances import MASK_RCNN
from datalab.adapters.segmenter_network import EMBEDDING_DECODER
from datalab.adapters.segmenter_training import train_segmenter
from datalab.config import load_params
from datalab.learning.metrics import confusion_matrix, iou_per_class, mean_iou
from datalab.stages.train import Params, load_policy, recipe_of
from measure import parser_of

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("DATALAB_SHARED_DATA", ROOT.parent / "shared" / "data"))
RESULTS = ROOT / "benchmarks" / "results" / "segmentation.jsonl"
FIRST = (
    ("ours", EMBEDDING_DECODER),
    ("ours", "lraspp_mobilenet_v3_large"),
    ("reference", "lraspp_mobilenet_v3_large"),
)
THEN = tuple(
    (side, model)
    for model in ("deeplabv3_mobilenet_v3_large", "unet_mobilenet_v2", "unet_efficientnet_b0", "unet_resnet34")
    for side in ("ours", "reference")
)
BY_NAME = (
    ("ours", "fcn_resnet50"),
    ("reference", "fcn_resnet50"),
    ("ours", "deeplabv3_resnet50"),
    ("ours", MASK_RCNN),
)

SEEDS = (1, 2, 3)
LOOKS = 6
"""At the validation images, in a training."""
PROBE = 10
"""Steps by which the number of steps is found."""
MOST = 1.1
"""Times its minutes that a training may take; a longer one starts again with fewer steps."""


def train_ours(name: str, model: str, seed: int, splits: dict[str, Split], minutes: float) -> tuple[Any, int, float]:
    """(label maps of the test images, steps, minutes)."""
    given = ROOT / "params.yaml"
    params = replace(
        load_params(given, "train", Params), model=model, seed=seed, longest_side=SIDE[name], patience=LOOKS
    )
    train, validation = splits["train"].samples, splits["validation"].samples
    policy = load_policy(given, POLICY[name])

    def learn(steps: int, stopped_by: Any) -> Any:
        chosen = replace(params, steps=steps, validate_every=max(1, steps // LOOKS), sampling=SAMPLING[name])
        recipe = recipe_of(chosen, policy, train[0].embedding.shape[0], len(CLASSES[name]))
        started = time.process_time()
        network, _ = train_segmenter(train, stopped_by, recipe)
        return network, time.process_time() - started

    _, once = learn(PROBE, [])
    looks = LOOKS * len(validation) * _seconds_per_image(learn(1, [])[0], validation[:5])

    def affordable(tried: int) -> int:
        return max(LOOKS, int((minutes * 60 - looks) / ((learn(tried, [])[1] - once) / (tried - PROBE))))

    steps = affordable(3 * PROBE)
    if steps > 60 * PROBE:
        # the first steps are quicker than the later ones, which find less of the images in the processor's cache
        steps = affordable(steps // 10)
    network, spent = learn(steps, validation)
    if spent > MOST * minutes * 60:
        steps = int(steps * minutes * 60 / spent)
        network, spent = learn(steps, validation)
    ids = tuple(range(len(CLASSES[name])))
    segmenter = Segmenter(network, ids, CLASSES[name], SIDE[name])
    return [predict(segmenter, sample, flip=True).label_map for sample in splits["test"].samples], steps, spent / 60


def _seconds_per_image(network: Any, samples: Any) -> float:
    classes = network.size.classes
    segmenter = Segmenter(network, tuple(range(classes)), tuple(map(str, range(classes))), 8)
    started = time.process_time()
    for sample in samples:
        predict(segmenter, sample, flip=False)
    return (time.process_time() - started) / len(samples)


def train_reference(
    name: str, model: str, seed: int, splits: dict[str, Split], minutes: float
) -> tuple[Any, int, float]:
    """(label maps of the test images, steps, minutes)."""
    train = splits["train"]
    probe = Reference(model, len(CLASSES[name]), SIDE[name], seed)
    list(probe.train(train.samples, train.truths, 2, seed))
    started = time.process_time()
    list(probe.train(train.samples, train.truths, PROBE, seed))
    steps = int(minutes * 60 / ((time.process_time() - started) / PROBE))
    reference = Reference(model, len(CLASSES[name]), SIDE[name], seed)
    started = time.process_time()
    for _ in reference.train(train.samples, train.truths, steps, seed):
        pass
    spent = time.process_time() - started
    return [reference.predict(sample) for sample in splits["test"].samples], steps, spent / 60


def one(name: str, side: str, model: str, seed: int, minutes: float, cache: Path) -> dict[str, Any]:
    """A line of the results."""
    torch.set_num_threads(1)
    splits = read_splits(name, SHARED, cache)
    train = train_ours if side == "ours" else train_reference
    found, steps, spent = train(name, model, seed, splits, minutes)
    pairs = zip(splits["test"].truths, found, strict=True)
    confusion = sum(confusion_matrix(truth, predicted, len(CLASSES[name])) for truth, predicted in pairs)
    iou = iou_per_class(np.asarray(confusion))
    return {
        "set": name,
        "edition": EDITION[name],
        "side": side,
        "model": model,
        "seed": seed,
        "budget_minutes": minutes,
        "minutes": round(spent, 2),
        "steps": steps,
        "batch": BATCH if side == "reference" else load_params(ROOT / "params.yaml", "train", Params).batch_size,
        "miou": round(float(mean_iou(np.asarray(confusion))), 4),
        "iou": {key: round(float(value), 4) for key, value in zip(CLASSES[name], iou, strict=True)},
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def wanted(seeds: Sequence[int]) -> list[tuple[str, str, str, int]]:
    """Seed by seed, so that what is there early compares something."""
    groups = (FIRST, THEN, BY_NAME)
    return [(name, *one, seed) for pairs in groups for seed in seeds for name in CLASSES for one in pairs]


def run_in_process(key: tuple[str, str, str, int], minutes: float, cache: Path) -> dict[str, Any] | None:
    """Each training in a process of its own, whose memory is its alone."""
    command = [sys.executable, __file__, "--minutes", str(minutes), "--cache", str(cache), "--one", *map(str, key)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(f"{key} failed: {done.stderr.strip().splitlines()[-1]}\n")
        return None
    line: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return line


def main() -> None:
    """Train what is missing."""
    parser = parser_of(__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "datalab-segmentation")
    parser.add_argument("--set", choices=list(CLASSES), help="this data alone")
    models = sorted({model for _, model in FIRST + THEN + BY_NAME})
    parser.add_argument("--model", choices=models, help="this model alone")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--at-once", type=int, default=2, help="trainings beside each other")
    parser.add_argument("--table", action="store_true", help="train nothing")
    parser.add_argument("--one", nargs=4, metavar=("SET", "SIDE", "MODEL", "SEED"))
    given = parser.parse_args()
    if given.one:
        name, side, model, seed = given.one
        sys.stdout.write(json.dumps(one(name, side, model, int(seed), given.minutes, given.cache)) + "\n")
        return
    if given.table:
        groups = grouped([json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()])
        sys.stdout.write(f"{table(groups)}\n\n{comparison(groups)}\n\n{class_table(groups)}\n")
        draw(RESULTS.with_suffix(".png"), groups)
        return
    for name in CLASSES:
        read_splits(name, SHARED, given.cache)
    lines = RESULTS.read_text(encoding="utf-8").splitlines() if RESULTS.exists() else []
    done = [line for line in map(json.loads, lines) if line["budget_minutes"] == given.minutes]
    current = [line for line in done if line["edition"] == EDITION[line["set"]]]
    have = {tuple(line[key] for key in ("set", "side", "model", "seed")) for line in current}
    there_are = [key for key in wanted(given.seeds) if given.set in (None, key[0])]
    asked = [key for key in there_are if given.model == key[2] or (given.model is None and key[1:3] not in BY_NAME)]
    missing = [key for key in asked if key not in have]
    with ThreadPoolExecutor(given.at_once) as pool:
        running = [pool.submit(run_in_process, key, given.minutes, given.cache) for key in missing]
        for one_done in as_completed(running):  # a line is on disk as soon as its training is over
            if found := one_done.result():
                with RESULTS.open("a", encoding="utf-8") as out:
                    out.write(json.dumps(found) + "\n")
                sys.stderr.write(f"{found['set']} {found['side']} {found['model']} {found['seed']}: {found['miou']}\n")


if __name__ == "__main__":
    main()
