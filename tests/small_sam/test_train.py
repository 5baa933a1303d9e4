import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from datalab.adapters.sam_small import build_small_sam
from small_sam.train import WARM_UP, Composites, joined, learning_rate, new_run, train

TRAIN = Path(__file__).parents[2] / "train"


def test_the_rate_rises_to_its_peak_and_falls_to_nothing() -> None:
    rates = [learning_rate(step, 2000, 1e-3) for step in range(2000)]
    assert rates[0] == pytest.approx(1e-3 / WARM_UP)
    assert int(np.argmax(rates)) in (WARM_UP - 1, WARM_UP)
    assert max(rates) == pytest.approx(1e-3)
    assert rates[(WARM_UP + 2000) // 2] == pytest.approx(5e-4)
    assert rates[-1] < 1e-8


def test_a_picture_is_the_same_in_whichever_run_it_is_seen() -> None:
    early, late = Composites(0, 8, 7), Composites(5, 8, 7)
    one, same, other = early[5], late[0], early[6]
    assert one.keys() == same.keys()
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["pictures"], other["pictures"])


def test_views_of_several_pictures_lie_one_behind_the_other() -> None:
    data = Composites(0, 2, 7)
    batch = joined([data[0], data[1]])
    assert batch["pictures"].shape == (4, 3, 256, 256)
    assert torch.equal(batch["pictures"][2:], data[1]["pictures"])


@pytest.mark.slow
def test_one_batch_is_learned() -> None:
    data = Composites(0, 2, 7)
    batch = joined([data[0], data[1]])
    run = new_run(7, 1e-3, None)
    for _ in range(12):
        list(train(run, iter([batch]), run.step + 1, 1.0))  # a high peak, since the warm-up has only begun
    losses = [loss for _, (loss, _, _) in run.curve]
    assert losses[-1] < 0.9 * losses[0]
    assert [step for step, _ in run.curve] == list(range(1, 13))


@pytest.mark.slow
def test_a_loss_that_is_no_number_ends_the_training() -> None:
    data = Composites(0, 1, 7)
    run = new_run(7, 1e-3, None)
    with torch.no_grad():
        next(run.sam.parameters()).fill_(float("nan"))
    with pytest.raises(Exception, match="the loss of step 1 is nan"):
        list(train(run, iter([joined([data[0]])]), 1, 1e-3))


def trained(out: Path, steps: int) -> list[str]:
    """The curve's lines; in a process of its own, as it is meant to be run."""
    command = [sys.executable, "-m", "small_sam.train", "--out", str(out), "--steps", str(steps), "--batch", "2"]
    done = subprocess.run(command, cwd=TRAIN, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return (out / "curve.csv").read_text().splitlines()


@pytest.mark.slow
def test_a_training_that_was_stopped_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", 4)
    trained(tmp_path / "stopped", 2)
    with (tmp_path / "stopped" / "curve.csv").open("a") as curve:
        curve.write("3,9.9,0.9,0.9\n")  # drawn before the kill, and not kept
    resumed = trained(tmp_path / "stopped", 4)
    assert [line.split(",")[0] for line in whole] == ["step", "4"]
    assert [line.split(",")[0] for line in resumed] == ["step", "2", "4"]
    weights = [load_file(tmp_path / name / "small_sam.safetensors") for name in ("whole", "stopped")]
    assert weights[0].keys() == build_small_sam().state_dict().keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert {one.name for one in (tmp_path / "stopped").iterdir()} == {"curve.csv", "small_sam.safetensors", "state.pt"}


@pytest.mark.slow
def test_a_run_that_has_its_steps_says_so(tmp_path: Path) -> None:
    run = new_run(7, 1e-3, None)
    run.step = 3
    run.save(tmp_path)
    command = [sys.executable, "-m", "small_sam.train", "--out", str(tmp_path), "--steps", "3"]
    asked = subprocess.run(command, cwd=TRAIN, capture_output=True, text=True, check=False)
    assert asked.returncode == 1
    assert asked.stderr == f"Error: {tmp_path} has 3 steps already; give more by --steps, or another --out\n"
