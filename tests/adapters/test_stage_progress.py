import sys

import pytest

from datalab.adapters import stage_progress
from datalab.adapters.stage_progress import share_done, stage_bar


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_progress, "EVERY_S", 0.0)


def test_in_a_pipe_there_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with stage_bar("embed", 5, "image") as bar:
        bar.update(2)
        bar.update(3)
    assert list(stage_bar("adapt SAM", 2, "step", "ab")) == ["a", "b"]
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "embed 0/5\nembed 2/5\nembed 5/5\nadapt SAM 0/2\nadapt SAM 1/2\nadapt SAM 2/2\n"


def test_what_an_earlier_run_did_counts_and_one_process_tells(capsys: pytest.CaptureFixture[str]) -> None:
    for hidden in (False, True):
        with stage_bar("train", 5, "step", done=3, hidden=hidden) as bar:
            bar.update(2)
    assert capsys.readouterr().err == "train 3/5\ntrain 5/5\n"


def test_not_every_image_is_worth_a_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_progress, "EVERY_S", 60.0)
    assert len(list(stage_bar("score", 1000, "image", range(1000)))) == 1000
    assert capsys.readouterr().err == "score 0/1000\n"


def test_nothing_to_do_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    with stage_bar("embed", 0, "image"):
        pass
    assert capsys.readouterr().err == ""


def test_on_a_terminal_there_is_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(stage_bar("embed", 2, "image", "ab")) == ["a", "b"]
    assert "100%" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "share"),
    [
        ("embed 1200/10000", 0.12),
        ("adapt SAM 300/300", 1.0),
        ("embed 0/0", None),
        ("100 of 7/7 images", None),
        ("Running stage 'embed':", None),
        ("> python -m datalab.stages.embed --catalog data/catalog.parquet", None),
        ("", None),
    ],
)
def test_a_line_is_read_back(line: str, share: float | None) -> None:
    assert share_done(line) == share
