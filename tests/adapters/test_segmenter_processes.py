"""Two processes that learn together, started by torchrun, beside one."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import create_autospec

import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file

from datalab.adapters.segmenter_processes import compiles_at
from tests.adapters.blobs import SCHEDULE

PROGRAM = """
import json, sys
from dataclasses import replace
from pathlib import Path
from safetensors.torch import save_file
from datalab.adapters.segmenter_training import train_segmenter
from datalab.adapters.segmenter_processes import start_processes
from tests.adapters.blobs import blob_samples
from tests.adapters.test_segmenter_state import RECIPE
out = Path(sys.argv[1])
fabric = start_processes()
samples = blob_samples(out / f"samples{fabric.global_rank}", range(6))
short = replace(RECIPE, schedule=replace(RECIPE.schedule, steps=6, validate_every=1, ema=0.0, patience=100))
network, looks = train_segmenter(samples, [], short)
if fabric.is_global_zero:
    save_file(network.state_dict(), out / "weights")
    (out / "losses.json").write_text(json.dumps([look.loss for look in looks]))
    (out / "world").write_text(str(fabric.world_size))
"""


NORMALISED = """
import json, sys
from dataclasses import replace
from pathlib import Path
from safetensors.torch import save_file
from datalab.adapters.segmenter_training import train_segmenter
from datalab.adapters.segmenter_processes import is_first_process, start_processes
from tests.adapters.blobs import blob_samples
from tests.adapters.test_segmenter_state import RECIPE
out = Path(sys.argv[1])
fabric = start_processes()
rank = fabric.global_rank
assert is_first_process() == (rank == 0)
samples = blob_samples(out / f"samples{rank}", range(8))
size = replace(RECIPE.size, model="lraspp_mobilenet_v3_large")
short = replace(RECIPE.schedule, steps=6, validate_every=1, ema=0.9, patience=2)
network, looks = train_segmenter(samples[:6], samples[6:], replace(RECIPE, size=size, schedule=short))
save_file(network.state_dict(), out / f"weights{rank}")
(out / f"looks{rank}.json").write_text(json.dumps([[look.step, look.validation_miou] for look in looks]))
"""
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def run_program(program: str, folder: Path, command: list[str]) -> None:
    folder.mkdir()
    (folder / "learn.py").write_text(program)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, str(folder / "learn.py"), str(folder)], env=environment, check=True, timeout=300)


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    for name, command in (("one", [sys.executable]), ("two", TORCHRUN)):
        run_program(PROGRAM, tmp_path / name, command)
    assert [(tmp_path / name / "world").read_text() for name in ("one", "two")] == ["1", "2"]
    losses = [json.loads((tmp_path / name / "losses.json").read_text()) for name in ("one", "two")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert losses[0][-1] < losses[0][0]
    weights = [load_file(tmp_path / name / "weights") for name in ("one", "two")]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=2e-3, atol=2e-4)


@pytest.mark.slow
def test_both_processes_have_the_same_averages_and_stop_together(tmp_path: Path) -> None:
    """What batch normalisation averages is of the images that a process sees, which are not the other's."""
    run_program(NORMALISED, tmp_path / "two", TORCHRUN)
    looks = [json.loads((tmp_path / "two" / f"looks{rank}.json").read_text()) for rank in (0, 1)]
    assert looks[0] == looks[1]
    weights = [load_file(tmp_path / "two" / f"weights{rank}") for rank in (0, 1)]
    assert any(name.endswith("running_mean") for name in weights[0])
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


@pytest.mark.parametrize(
    ("device", "first", "steps", "compile_from", "step"),
    [
        ("cuda", 1, 100, 90, 11),
        ("cuda", 1, 100, 91, None),
        ("cuda", 51, 100, 50, 51),
        ("cuda", 52, 100, 50, None),
        ("cuda", 1, 100, 0, None),
        ("cpu", 1, 100, 1, None),
    ],
)
def test_a_gpu_compiles_where_many_steps_follow(
    device: str, first: int, steps: int, compile_from: int, step: int | None
) -> None:
    fabric = create_autospec(Fabric, instance=True, device=torch.device(device))
    schedule = replace(SCHEDULE, steps=steps, compile_from=compile_from)
    assert compiles_at(first, schedule, fabric) == step
