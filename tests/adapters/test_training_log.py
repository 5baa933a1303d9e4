import subprocess
from pathlib import Path

import pytest

from datalab.adapters.files import read_json
from datalab.adapters.segmenter_schedule import Look
from datalab.adapters.training_log import TrainingLog

LOOKS = (Look(20, 1.5, None), Look(40, 1.25, 0.5))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_curves_of_a_run_are_there_and_those_of_another_are_gone(tmp_path: Path) -> None:
    with TrainingLog(tmp_path / "log") as log:
        log.add(Look(5, 9.0, 0.1))
    for _ in range(2):
        with TrainingLog(tmp_path / "log") as log:
            for look in LOOKS:
                log.add(look)
        written = contents(tmp_path / "log")
        assert written["plots/metrics/loss.tsv"].decode().split() == ["step", "loss", "20", "1.5", "40", "1.25"]
        assert written["plots/metrics/validation_miou.tsv"].decode().split() == ["step", "validation_miou", "40", "0.5"]
        assert read_json(tmp_path / "log" / "metrics.json") == {"loss": 1.25, "validation_miou": 0.5, "step": 40}
    again = contents(tmp_path / "log")
    assert again == written


@pytest.mark.slow
def test_a_repository_without_a_commit_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (["git", "init", "--quiet"], ["dvc", "init", "--quiet"]):
        subprocess.run(command, check=True, capture_output=True)
    with TrainingLog(tmp_path / "log") as log:
        log.add(LOOKS[0])
    assert read_json(tmp_path / "log" / "metrics.json") == {"loss": 1.5, "step": 20}
