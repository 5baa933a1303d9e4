"""Two runs that meet in one workspace."""

import logging
import threading
from pathlib import Path

import pytest

from datalab.workspace import Workspace
from label_round import alone


def test_the_second_run_goes_away_where_it_has_no_patience(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with alone(workspace, patient=True) as first:
        with alone(workspace, patient=False) as second:
            assert (first, second) == (True, False)
        with alone(Workspace(tmp_path / "other"), patient=False) as elsewhere:
            assert elsewhere
    with alone(workspace, patient=False) as later:
        assert later


def test_a_patient_run_says_that_it_waits_and_begins_when_the_other_one_is_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    workspace = Workspace(tmp_path)
    order: list[str] = []

    def second() -> None:
        with alone(workspace, patient=True) as mine:
            order.append(f"second {mine}")

    told = threading.Event()
    handler = logging.Handler()
    handler.emit = lambda record: told.set()  # type: ignore[method-assign]
    logging.getLogger("datalab.label_round").addHandler(handler)
    with alone(workspace, patient=True):
        other = threading.Thread(target=second)
        other.start()
        assert told.wait(10)
        order.append("first")
    other.join(10)
    assert order == ["first", "second True"]
