"""A training run on disk, so that one that was killed goes on where it was.

Beside the outputs, not among them: what a stage had written so far is deleted when it starts anew. The file is named by
all that the run is made of, so that another run never takes it.
"""

import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from datalab.adapters.files import write_bytes
from datalab.adapters.segmenter_samples import Sample
from datalab.adapters.segmenter_schedule import Average, Best, Look, Optimiser

PROGRESS = "progress"
OWN_CODE = "segmenter*.py"
"""Files beside this one that decide what a run gives."""
LIBRARIES = ("torch", "torchvision", "lightning-fabric", "segmentation-models-pytorch")
ABANDONED_S = 7 * 24 * 3600.0


@dataclass
class Run:
    """All that changes while the segmenter learns."""

    network: torch.nn.Module
    optimiser: Optimiser
    average: Average
    best: Best
    looks: list[Look]
    step: int = 0
    is_enough: bool = False
    """Whether patience has run out."""
    most: float = math.inf
    """A larger loss has exploded; known from the first step on."""


class StateFile:
    """Keeps one run."""

    def __init__(self, folder: Path, key: str) -> None:
        """`key`: of `run_key`."""
        self.folder = folder
        self.path = folder / f"{key}.safetensors"

    def keep(self, run: Run) -> None:
        """Write the run, whole or not at all; what other runs left here goes after ABANDONED_S: one may be going on."""
        progress = {
            "step": run.step,
            "is_enough": run.is_enough,
            "miou": run.best.miou,
            "stale": run.best.stale,
            "most": run.most,
            "looks": [asdict(look) for look in run.looks],
        }
        write_bytes(self.path, save(_tensors(run), metadata={PROGRESS: json.dumps(progress)}))
        for other in self.folder.glob("*.safetensors"):
            if other != self.path and time.time() - other.stat().st_mtime > ABANDONED_S:
                other.unlink(missing_ok=True)

    def take(self, run: Run) -> bool:
        """Bring `run`, a new one of the same kind, to where it was when kept; False where there is no sound file."""
        try:
            with safe_open(self.path, framework="pt") as file:
                progress: dict[str, Any] = json.loads((file.metadata() or {})[PROGRESS])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
        except (OSError, SafetensorError, KeyError, ValueError):
            return False
        _restore(run, tensors)
        run.step, run.is_enough = progress["step"], progress["is_enough"]
        run.best.miou, run.best.stale = progress["miou"], progress["stale"]
        run.most = progress.get("most", math.inf)  # runs kept before there was a limit have none
        run.looks[:] = [Look(**look) for look in progress["looks"]]
        return True

    def forget(self) -> None:
        """The run is done."""
        self.path.unlink(missing_ok=True)


def run_key(
    recipe: object, train: Sequence[Sample], validation: Sequence[Sample], backbone: Mapping[str, Tensor]
) -> str:
    """16 hex digits of what decides what a run gives: `recipe` (its repr), images, embeddings, labels, weights, the
    segmenter's own code and the libraries it is made of: a half of a run by others is no half of this one.
    """
    digest = hashlib.sha256(repr((recipe, len(train), [version(name) for name in LIBRARIES])).encode())
    for path in sorted(Path(__file__).parent.glob(OWN_CODE)):
        digest.update(path.read_bytes())
    for sample in (*train, *validation):
        for part in (sample.image, sample.embedding, sample.labels):
            digest.update(b"" if part is None else repr(part.shape).encode() + part.tobytes())
    for name, value in sorted(backbone.items()):
        digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()[:16]


def _tensors(run: Run) -> dict[str, Tensor]:
    parts: dict[str, dict[str, Tensor]] = {
        "network": run.network.state_dict(),
        "average": run.average.weights,
        "best": run.best.weights,
    }
    for number, state in run.optimiser.adam.state_dict()["state"].items():
        parts[f"adam.{number}"] = state
    return {f"{part}/{name}": value.contiguous() for part, values in parts.items() for name, value in values.items()}


def _restore(run: Run, tensors: dict[str, Tensor]) -> None:
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        part, _, rest = name.partition("/")
        parts.setdefault(part, {})[rest] = value
    run.network.load_state_dict(parts["network"])
    run.average.weights.update(parts.get("average", {}))
    run.best.weights = parts["best"]
    states = {int(part.removeprefix("adam.")): values for part, values in parts.items() if part.startswith("adam.")}
    adam = run.optimiser.adam
    adam.load_state_dict({"state": states, "param_groups": adam.state_dict()["param_groups"]})
