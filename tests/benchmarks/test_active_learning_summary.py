import json
from pathlib import Path
from typing import Any

import active_learning_summary
import pytest
from active_learning import made_by
from active_learning_summary import repeated

LINE = {"set": "sample", "start": 10, "strategy": "default", "seed": 0, "score": [0.25, 0.5]}


def again(monkeypatch: pytest.MonkeyPatch, cache: Path, lines: list[dict[str, Any]], score: list[float]) -> Any:
    """What `repeated` says where the run that is done again has this score."""

    def run_seed(images: str, start: int, seed: int, strategies: list[str], out: Path) -> None:
        found = {"set": images, "start": start, "strategy": strategies[0], "seed": seed, "score": score}
        out.write_text(json.dumps(found) + "\n", encoding="utf-8")

    monkeypatch.setattr(active_learning_summary, "load_images", lambda name, *_: name)
    monkeypatch.setattr(active_learning_summary, "run_seed", run_seed)
    return repeated(lines, cache, cache)


def test_what_this_processor_gave_has_to_come_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines = [{**LINE, "score": [0.9, 0.9], "made_by": "another, torch 1"}, {**LINE, "made_by": made_by()}]
    cell = {"set": "sample", "start": 10, "strategy": "default", "seed": 0}
    same = again(monkeypatch, tmp_path, lines, [0.25, 0.5])
    assert same == {**cell, "same": True, "largest_difference": 0.0}
    other = again(monkeypatch, tmp_path, lines, [0.25, 0.501])
    assert other == {**cell, "same": False, "largest_difference": 0.001}


def test_figures_of_other_processors_are_no_gate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = [{**LINE, "made_by": "another, torch 1"}, LINE]
    assert again(monkeypatch, tmp_path, lines, []) == {"same": None, "reason": f"no line was made by {made_by()}"}


def test_images_that_are_not_there_are_no_gate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = again(monkeypatch, tmp_path, [{**LINE, "set": "camvid", "made_by": made_by()}], [])
    assert (found["same"], found["reason"]) == (None, f"{tmp_path / 'camvid'} does not exist")
