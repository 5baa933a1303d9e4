"""A run that is killed, in earnest, and goes on."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from datalab.adapters import segmenter_state
from datalab.adapters.segmenter_network import NetworkSize
from datalab.adapters.segmenter_samples import Sample
from datalab.adapters.segmenter_schedule import Look
from datalab.adapters.segmenter_state import ABANDONED_S, StateFile, run_key
from datalab.adapters.segmenter_training import Recipe, _new_run, train_segmenter
from tests.adapters.blobs import AUGMENTATION, SCHEDULE, blob_samples

SIZE = NetworkSize(channels=6, classes=3, width=16, members=2)
RECIPE = Recipe(SIZE, replace(SCHEDULE, steps=8, validate_every=2, ema=0.5), AUGMENTATION, seed=3)


def kept(folder: Path, samples: list[Sample], recipe: Recipe = RECIPE) -> StateFile:
    return StateFile(folder, run_key(recipe, samples, samples[:2], {}))


class Killed(BaseException):
    """Stands for whatever ends a process."""


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("at", [2, 4, 6])
def test_a_run_goes_on_where_it_was_and_gives_the_same(tmp_path: Path, at: int) -> None:
    samples = blob_samples(tmp_path, range(4))
    whole, looks = train_segmenter(samples, samples[:2], RECIPE)
    heard: list[Look] = []

    def interrupt(look: Look) -> None:
        # heard before the look is kept, so the run goes back one look
        if look.step == at:
            raise Killed

    with pytest.raises(Killed):
        train_segmenter(samples, samples[:2], RECIPE, state=kept(tmp_path / "states", samples), on_look=interrupt)
    assert len(list((tmp_path / "states").glob("*"))) == (at > 2)
    again, found = train_segmenter(
        samples, samples[:2], RECIPE, state=kept(tmp_path / "states", samples), on_look=heard.append
    )
    assert same(again, whole)
    assert found == looks == heard
    # until its model is saved a run that is done is kept too, and is there at once
    known, same_looks = train_segmenter(samples, samples[:2], RECIPE, state=kept(tmp_path / "states", samples))
    assert same(known, whole)
    assert same_looks == looks
    kept(tmp_path / "states", samples).forget()
    assert not list((tmp_path / "states").glob("*"))


def test_a_run_of_other_labels_or_settings_is_not_taken_up(tmp_path: Path) -> None:
    samples = blob_samples(tmp_path, range(2))
    assert samples[1].labels is not None
    other = replace(samples[1], labels=np.zeros_like(samples[1].labels))
    keys = [
        run_key(RECIPE, samples, [], {}),
        run_key(RECIPE, samples[:1], samples[1:], {}),
        run_key(RECIPE, samples, samples[:1], {}),
        run_key(RECIPE, samples, samples[1:], {}),
        run_key(replace(RECIPE, seed=4), samples, [], {}),
        run_key(RECIPE, [samples[0], other], [], {}),
        run_key(RECIPE, samples[::-1], [], {}),
        run_key(RECIPE, samples, [], {"a": torch.zeros(2)}),
    ]
    assert len(set(keys)) == len(keys)
    assert run_key(RECIPE, samples, [], {}) == keys[0]


def test_a_half_of_a_run_by_other_code_is_not_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = blob_samples(tmp_path, range(2))
    key = run_key(RECIPE, samples, [], {})
    monkeypatch.setattr(segmenter_state, "version", lambda name: "1.0")
    assert run_key(RECIPE, samples, [], {}) != key
    monkeypatch.undo()
    monkeypatch.setattr(segmenter_state, "OWN_CODE", "segmenter_s*.py")
    assert run_key(RECIPE, samples, [], {}) != key


def test_what_a_loss_may_be_at_most_is_known_after_a_kill(tmp_path: Path) -> None:
    samples = blob_samples(tmp_path, range(2))
    run, again = (_new_run(samples, RECIPE, None) for _ in range(2))
    run.most = 1234.5
    kept(tmp_path / "states", samples).keep(run)
    assert kept(tmp_path / "states", samples).take(again)
    assert again.most == 1234.5


@pytest.mark.slow
def test_a_damaged_state_is_no_state(tmp_path: Path) -> None:
    samples = blob_samples(tmp_path, range(4))
    folder = tmp_path / "states"
    folder.mkdir()
    (folder / f"{run_key(RECIPE, samples, samples[:2], {})}.safetensors").write_bytes(b"cut off")
    found, _ = train_segmenter(samples, samples[:2], RECIPE, state=kept(folder, samples))
    whole, _ = train_segmenter(samples, samples[:2], RECIPE)
    assert same(found, whole)


def test_the_run_of_another_workspace_is_left_alone_until_it_is_abandoned(tmp_path: Path) -> None:
    samples = blob_samples(tmp_path / "samples", range(4))
    folder = tmp_path / "states"
    folder.mkdir()
    fresh, old = folder / "fresh.safetensors", folder / "old.safetensors"
    for path, age in ((fresh, 60), (old, ABANDONED_S + 60)):
        path.write_bytes(b"of another run")
        os.utime(path, (time.time() - age,) * 2)
    train_segmenter(samples, samples[:2], RECIPE, state=kept(folder, samples))
    kept(folder, samples).forget()
    assert list(folder.iterdir()) == [fresh]


PROGRAM = """
import sys
from pathlib import Path
from dataclasses import replace
from safetensors.torch import save_file
from datalab.adapters.segmenter_training import train_segmenter
from tests.adapters.blobs import blob_samples
from tests.adapters.test_segmenter_state import RECIPE, kept
folder = Path(sys.argv[1])
samples = blob_samples(folder / "samples", range(4))
longer = replace(RECIPE, schedule=replace(RECIPE.schedule, steps=400, validate_every=20, patience=100))
network, looks = train_segmenter(samples, samples[:2], longer, state=kept(folder / "states", samples, longer))
save_file(network.state_dict(), folder / sys.argv[2])
"""


@pytest.mark.slow
def test_a_process_that_is_killed_for_real_loses_at_most_a_look(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}

    def start(name: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path), name], env=environment)

    assert start("whole").wait(timeout=300) == 0
    process = start("killed")
    deadline = time.monotonic() + 300
    while not list((tmp_path / "states").glob("*.safetensors")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed").exists()
    assert start("killed").wait(timeout=300) == 0
    assert (tmp_path / "killed").read_bytes() == (tmp_path / "whole").read_bytes()
