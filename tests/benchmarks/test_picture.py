from pathlib import Path

import numpy as np
import pytest

from datalab.adapters.files import read_rgb
from simulated.picture import COLORS, draw_curves
from simulated.statistics import Cell, Floats, cells_of


def cell_of(seeds: int, arms: tuple[str, ...] = ("random", "default")) -> Cell:
    lines = [
        {"set": "tiles", "start": 30, "strategy": arm, "seed": seed, "labelled": [30, 60, 90],
         "score": [0.1, 0.2 + 0.02 * seed, 0.3 + 0.1 * place]}
        for place, arm in enumerate(arms) for seed in range(seeds)
    ]  # fmt: skip
    return cells_of(lines)[0]


def count_of(pixels: Floats, color: str) -> int:
    wanted = np.array(list(bytes.fromhex(color[1:])))
    return int((np.abs(pixels - wanted).max(axis=2) < 25).sum())


def drawn(path: Path, cells: list[Cell]) -> Floats:
    draw_curves(path, cells)
    return read_rgb(path).astype(np.float64)


@pytest.mark.slow
def test_every_arm_has_its_colour_and_every_cell_its_panel(tmp_path: Path) -> None:
    one = drawn(tmp_path / "plots" / "one.png", [cell_of(3)])
    two = drawn(tmp_path / "two.png", [cell_of(3), cell_of(3, ("random",))])
    assert count_of(one, COLORS["random"]) > 100
    assert count_of(one, COLORS["default"]) > 100
    assert count_of(one, COLORS["k_center"]) == 0
    assert two.shape[1] == 2 * one.shape[1]
    half = two[:, two.shape[1] // 2 :]
    assert count_of(half, COLORS["random"]) > 100
    assert count_of(half, COLORS["default"]) == 0


def test_a_band_needs_three_seeds(tmp_path: Path) -> None:
    def tinted(pixels: Floats) -> int:
        """Pixels between white and the curve's colour, as the band's."""
        band = 255 - 0.12 * (255 - np.array([0xD5, 0x5E, 0x00]))
        return int((np.abs(pixels - band).max(axis=2) < 3).sum())

    assert tinted(drawn(tmp_path / "three.png", [cell_of(3)])) > 50 + tinted(drawn(tmp_path / "two.png", [cell_of(2)]))


def test_the_same_runs_give_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        draw_curves(tmp_path / f"{name}.png", [cell_of(2)])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
