from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from datalab.adapters.plots_curves import plot_reliability, plot_robustness
from datalab.learning.calibration import reliability_table
from tests.adapters.test_plots import count_of

BLUE, ORANGE = (0x4C, 0x72, 0xB0), (0xD5, 0x5E, 0x00)
NOTHING = reliability_table(np.zeros((5, 3)))
SOME = reliability_table(np.array([[0, 0, 0], [0, 0, 0], [5, 2.5, 3], [10, 7.0, 8], [20, 18.0, 17]]))


@pytest.mark.slow
def test_both_curves_are_drawn_in_their_colours(tmp_path: Path) -> None:
    plot_reliability(tmp_path / "both.png", SOME, SOME, "title")
    plot_reliability(tmp_path / "after.png", NOTHING, SOME, "title")
    assert count_of(tmp_path / "both.png", ORANGE) > 3 * count_of(tmp_path / "after.png", ORANGE)
    assert count_of(tmp_path / "after.png", BLUE) > 1000


@pytest.mark.slow
def test_no_pixel_leaves_an_empty_picture(tmp_path: Path) -> None:
    plot_reliability(tmp_path / "a.png", NOTHING, NOTHING, "nothing judged")
    plot_reliability(tmp_path / "b.png", NOTHING, NOTHING, "nothing judged")
    assert count_of(tmp_path / "a.png", BLUE) < 1000
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("kinds", [["noise", "blur"], []])
def test_severer_is_darker_and_nothing_is_no_error(tmp_path: Path, kinds: list[str]) -> None:
    rows = [(kind, severity, 0.8 - 0.2 * severity) for kind in kinds for severity in (1, 2, 3)]
    table = pd.DataFrame(rows, columns=["corruption", "severity", "miou"])
    plot_robustness(tmp_path / "r.png", table, 0.8)
    darkest = count_of(tmp_path / "r.png", (0x08, 0x3E, 0x81))
    assert darkest > 50 if kinds else darkest == 0
