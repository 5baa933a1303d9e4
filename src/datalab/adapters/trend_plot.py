"""The trend of slices over the rounds as a PNG file: one small plot for each."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from datalab.adapters.plots import save_figure, wrapped

COLUMNS = 3
TITLE_LETTERS = 38
"""Of a line above a plot; wider ones would run into the next plot's."""
SLICE_COLOR, OTHERS_COLOR = "#0072b2", "#777777"


def plot_trends(path: Path, table: pd.DataFrame, shown: Sequence[str]) -> None:
    """Mean IoU by round of each slice in `shown`, at least one, with its interval, beside all other test images.

    `table`: columns of learning.slice_trends.TREND. The number below a point says how many images it stands for.
    """
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    titles = [wrapped(name, TITLE_LETTERS) for name in shown]
    most_lines = max(title.count("\n") + 1 for title in titles)
    height = (1.95 + 0.15 * most_lines) * rows + 0.7
    figure = Figure(figsize=(max(5.0, 3.1 * columns + 0.4), height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axes in grid[len(shown) :]:
        axes.set_axis_off()
    for axes in grid[: len(shown)][-columns:]:
        # the lowest of its column, also where the row below is not full
        axes.tick_params(labelbottom=True)
    for axes, name, title in zip(grid, shown, titles, strict=False):
        _draw(axes, table[table["slice"] == name])
        axes.set_title(title, size=9)
    numbers = sorted(table["round"].unique().tolist())
    grid[0].set_xticks(numbers)
    grid[0].set_xlim(numbers[0] - 0.4, numbers[-1] + 0.4)
    grid[0].set_ylim(0, 1.03)
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside upper right", ncols=2, frameon=False)
    figure.supxlabel("round", size=9)
    figure.supylabel("mean IoU of the test images", size=9)
    save_figure(figure, path)


def _draw(axes: Axes, rows: pd.DataFrame) -> None:
    rounds, iou = rows["round"].to_numpy(), rows["iou"].to_numpy()
    axes.plot(
        rounds, rows["elsewhere"], "--", color=OTHERS_COLOR, marker="D", markersize=4, zorder=3, label="all others"
    )
    # rounded figures may lie a hair outside of their interval
    reach = np.maximum(0.0, [iou - rows["low"], rows["high"] - iou])
    axes.errorbar(
        rounds, iou, yerr=reach, color=SLICE_COLOR, marker="o", markersize=5, capsize=3, label="slice, 95% interval"
    )
    for place, images in zip(rounds.tolist(), rows["images"].tolist(), strict=True):
        axes.annotate(str(images), (place, 0.02), ha="center", size=7, color=SLICE_COLOR)
    axes.spines[["top", "right"]].set_visible(False)
