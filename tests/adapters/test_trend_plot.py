from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from datalab.adapters.trend_plot import plot_trends
from datalab.learning.slice_trends import TREND

BLUE = (0, 114, 178)


def table(rounds: int, names: list[str]) -> pd.DataFrame:
    rows = [
        (number, name, 9, 0.4 + 0.1 * number, 0.3 + 0.1 * number, 0.5 + 0.1 * number, 0.8)
        for name in names
        for number in range(1, rounds + 1)
    ]
    return pd.DataFrame(rows, columns=list(TREND))


def drawn(path: Path) -> "np.ndarray[tuple[int, ...], np.dtype[np.int16]]":
    return np.asarray(Image.open(path).convert("RGB"), dtype=np.int16)


def blue_pixels(path: Path) -> int:
    return int((np.abs(drawn(path) - BLUE).max(axis=2) < 12).sum())


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [1, 3])
def test_every_slice_has_a_plot_of_its_own(tmp_path: Path, rounds: int) -> None:
    names = ["dark", "coin there", "folder: a", "for $5^, not $10"]
    plot_trends(tmp_path / "one.png", table(rounds, names), names[:1])
    plot_trends(tmp_path / "four.png", table(rounds, names), names)
    assert drawn(tmp_path / "four.png").shape[0] > drawn(tmp_path / "one.png").shape[0]
    assert blue_pixels(tmp_path / "four.png") > 2 * blue_pixels(tmp_path / "one.png") > 0


def test_a_figure_a_hair_outside_its_interval_is_drawn(tmp_path: Path) -> None:
    rows = table(1, ["dark"]).assign(iou=0.5, low=0.5000001, high=0.5)
    plot_trends(tmp_path / "hair.png", rows, ["dark"])
    assert blue_pixels(tmp_path / "hair.png") > 0


@pytest.mark.slow
def test_long_names_have_lines_that_end_beside_the_next_plot(tmp_path: Path) -> None:
    name = "lower half of camera_temperature_celsius & scratch on the lower side there"
    plot_trends(tmp_path / "short.png", table(1, ["a", "b", "c"]), ["a", "b", "c"])
    plot_trends(tmp_path / "long.png", table(1, [name, "b", f"{name}!"]), [name, "b", f"{name}!"])
    long = drawn(tmp_path / "long.png")
    assert long.shape[0] > drawn(tmp_path / "short.png").shape[0]
    titles = np.flatnonzero((long[35:75].max(axis=2) < 128).max(axis=0))
    width = long.shape[1]
    middle = (titles > width // 3 + 60) & (titles < 2 * width // 3 - 60)
    assert titles.max() < width - 8
    assert middle.sum() < 15
