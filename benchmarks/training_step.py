"""A training step as it is on a GPU, in half precision, channels last and compiled, beside fp32, NCHW and eager.

Both sides learn the same recipe from the same seeds on CamVid at 240 x 180, in turn, and are judged on its test drives:
`step` is the ratio of the steps' medians, once they are compiled, `training` that of whole trainings with looks and
compiling. The gate is a mean mIoU within half a point. On a CPU ours does none of the three, so that both ratios are 1:
python benchmarks/training_step.py [--model lraspp_mobilenet_v3_large --steps 40 --seeds 2]
"""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric
from segmenting.data import CLASSES, POLICY, SIDE, Split, read_splits
from tqdm import tqdm

from datalab.adapters import segmenter_training
from datalab.adapters.segmenter import Segmenter, predict
from datalab.adapters.segmenter_models import MODELS
from datalab.adapters.segmenter_schedule import SETTLED
from datalab.config import load_params
from datalab.learning.metrics import confusion_matrix, mean_iou
from datalab.stages.train import Params, load_policy, recipe_of
from measure import parser_of, print_result

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("DATALAB_SHARED_DATA", ROOT.parent / "shared" / "data"))
SET = "camvid"
SETTLED_STEPS = 2 * SETTLED
"""Steps that are not counted: within them the network is compiled."""
AIM = 1.7
"""Of `step`, on a GPU."""
MOST_DIFFERENCE = 0.005


@dataclass(frozen=True)
class Training:
    """What one training took and gave."""

    miou: float
    step_s: float
    """Median of the steps."""
    whole_s: float


def plain_processes() -> Fabric:
    """This process on the same device in full precision."""
    fabric = Fabric(accelerator="cuda" if torch.cuda.is_available() else "cpu", devices=1, precision="32-true")
    fabric.launch()
    return fabric


@contextmanager
def plain() -> Iterator[None]:
    """Within the block training uses nothing that only a GPU is quicker by."""
    instead = {
        "start_processes": plain_processes,
        "prepare": lambda network, _: network,
    }
    with ExitStack() as stack:
        for name, replaced in instead.items():
            stack.enter_context(patch.object(segmenter_training, name, replaced))
        yield


@contextmanager
def timed() -> Iterator[list[float]]:
    """Within the block the list takes up the seconds of every step."""
    seconds: list[float] = []
    step = segmenter_training.train_step

    def measured(*given: Any) -> float:
        started = time.perf_counter()
        loss = step(*given)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
        return loss

    with patch.object(segmenter_training, "train_step", measured):
        yield seconds


def train(splits: dict[str, Split], params: Params, classes: Sequence[str], is_plain: bool) -> Training:
    """One training, judged on the test images."""
    policy = load_policy(ROOT / "params.yaml", POLICY[SET])
    samples = splits["train"].samples
    how = replace(params, compile_from=0) if is_plain else params
    recipe = recipe_of(how, policy, samples[0].embedding.shape[0], len(classes))
    with plain() if is_plain else nullcontext(), timed() as seconds:
        started = time.perf_counter()
        network, _ = segmenter_training.train_segmenter(samples, splits["validation"].samples, recipe)
        whole = time.perf_counter() - started
    segmenter = Segmenter(network, tuple(range(len(classes))), tuple(classes), params.longest_side)
    found = [predict(segmenter, sample, flip=False).label_map for sample in splits["test"].samples]
    return Training(
        miou_of(splits["test"].truths, found, len(classes)), statistics.median(seconds[SETTLED_STEPS:]), whole
    )


def miou_of(truths: Sequence[npt.NDArray[np.uint8]], found: Sequence[npt.NDArray[np.uint8]], classes: int) -> float:
    """Pooled over the images."""
    pairs = zip(truths, found, strict=True)
    return float(mean_iou(np.sum([confusion_matrix(truth, labels, classes) for truth, labels in pairs], axis=0)))


def main() -> None:
    """Measure and print."""
    parser = parser_of(__doc__)
    parser.add_argument("--model", choices=list(MODELS), default="unet_resnet34")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "datalab-segmentation")
    given = parser.parse_args()
    if given.steps <= SETTLED_STEPS or given.seeds < 1:
        parser.error(f"needs more than {SETTLED_STEPS} steps and a seed")
    splits = read_splits(SET, SHARED, given.cache)
    params = replace(
        load_params(ROOT / "params.yaml", "train", Params),
        model=given.model,
        steps=given.steps,
        batch_size=given.batch,
        longest_side=SIDE[SET],
        validate_every=max(1, given.steps // 6),
        compile_from=1,
    )
    pairs = [
        [train(splits, replace(params, seed=seed), CLASSES[SET], is_plain) for is_plain in (False, True)]
        for seed in tqdm(range(1, given.seeds + 1), "pairs of trainings", disable=None)
    ]
    report(pairs, params)


def report(pairs: Sequence[Sequence[Training]], params: Params) -> None:
    """Print the line; `pairs` are ours and plain, one for each seed."""
    ratio = {
        "step": statistics.median(plain.step_s / ours.step_s for ours, plain in pairs),
        "training": statistics.median(plain.whole_s / ours.whole_s for ours, plain in pairs),
    }
    mious = [statistics.mean(side[place].miou for side in pairs) for place in range(2)]
    on_gpu = torch.cuda.is_available()
    sizes = {
        "set": SET,
        "model": params.model,
        "batch": params.batch_size,
        "crop": params.crop,
        "steps": params.steps,
        "miou": [round(miou, 4) for miou in mious],
        "aims": {"step": AIM},
        "met": {"step": ratio["step"] >= AIM} if on_gpu else {},
    }
    place = torch.cuda.get_device_name() if on_gpu else f"CPU, {torch.get_num_threads()} threads"
    peer = f"the same training in fp32, NCHW, eager, torch {torch.__version__}, {place}"
    print_result("training_step", ratio, peer, sizes, len(pairs), abs(mious[0] - mious[1]) <= MOST_DIFFERENCE)


if __name__ == "__main__":
    main()
