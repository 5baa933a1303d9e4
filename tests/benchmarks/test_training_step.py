import json
from dataclasses import replace
from pathlib import Path

import pytest
import training_step
from segmenting.data import Split
from training_step import SETTLED_STEPS, Training, plain, report, timed, train

from datalab.adapters import segmenter_training
from datalab.adapters.segmenter_processes import start_processes
from datalab.config import load_params
from datalab.stages.train import Params
from tests.adapters.blobs import blob_image, blob_samples

PARAMS = replace(
    load_params(training_step.ROOT / "params.yaml", "train", Params),
    steps=SETTLED_STEPS + 2,
    batch_size=2,
    longest_side=64,
    crop=32,
    validate_every=SETTLED_STEPS + 2,
    width=8,
)


@pytest.mark.slow
def test_on_a_cpu_both_sides_learn_the_same(tmp_path: Path) -> None:
    samples = blob_samples(tmp_path, range(4))
    split = Split(samples, [blob_image(seed, 48, 64)[1] for seed in range(4)])
    splits = dict.fromkeys(("train", "validation", "test"), split)
    ours, without = (train(splits, PARAMS, ("background", "disc", "square"), is_plain) for is_plain in (False, True))
    assert ours.miou == without.miou > 0
    assert 0 < ours.step_s < ours.whole_s


def test_plain_is_full_precision_on_the_same_device() -> None:
    with plain():
        fabric = vars(segmenter_training)["start_processes"]()
    assert (fabric._precision.precision, fabric.device.type) == ("32-true", start_processes().device.type)
    assert vars(segmenter_training)["start_processes"] is start_processes


def test_every_step_is_timed_and_afterwards_none() -> None:
    before = segmenter_training.train_step
    with timed() as seconds:
        assert segmenter_training.train_step is not before
    assert seconds == []
    assert segmenter_training.train_step is before


def test_the_ratio_is_of_medians_and_the_gate_half_a_point(capsys: pytest.CaptureFixture[str]) -> None:
    pairs = [
        [Training(0.4, 0.01, 1.0), Training(0.404, 0.02, 3.0)],
        [Training(0.41, 0.01, 1.0), Training(0.406, 0.04, 1.0)],
    ]
    report(pairs, PARAMS)
    line = json.loads(capsys.readouterr().out)
    assert (line["ratio"], line["sizes"]["miou"], line["gate"]) == (
        {"step": 3.0, "training": 2.0},
        [0.405, 0.405],
        True,
    )
    with pytest.raises(SystemExit):
        report([[Training(0.4, 0.01, 1.0), Training(0.41, 0.02, 1.0)]], PARAMS)
    assert json.loads(capsys.readouterr().out)["gate"] is False
