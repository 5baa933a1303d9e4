from pathlib import Path

import numpy as np

from datalab.adapters.plots_curves import plot_reliability
from datalab.learning.calibration import reliability_table
from tests.adapters.test_plots import count_of

BLUE, ORANGE = (0x4C, 0x72, 0xB0), (0xD5, 0x5E, 0x00)
NOTHING = reliability_table(np.zeros((5, 3)))
SOME = reliability_table(np.array([[0, 0, 0], [0, 0, 0], [5, 2.5, 3], [10, 7.0, 8], [20, 18.0, 17]]))


def test_both_curves_are_drawn_in_their_colours(tmp_path: Path) -> None:
    plot_reliability(tmp_path / "both.png", SOME, SOME, "title")
    plot_reliability(tmp_path / "after.png", NOTHING, SOME, "title")
    assert count_of(tmp_path / "both.png", ORANGE) > 3 * count_of(tmp_path / "after.png", ORANGE)
    assert count_of(tmp_path / "after.png", BLUE) > 1000


def test_no_pixel_leaves_an_empty_picture(tmp_path: Path) -> None:
    plot_reliability(tmp_path / "a.png", NOTHING, NOTHING, "nothing judged")
    plot_reliability(tmp_path / "b.png", NOTHING, NOTHING, "nothing judged")
    assert count_of(tmp_path / "a.png", BLUE) < 1000
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
