"""The learning curves of the arms, one panel per cell."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from simulated.statistics import Cell

COLORS = {
    "random": "#777777",
    "default": "#d55e00",
    "entropy_top": "#0072b2",
    "uncertainty_top": "#56b4e9",
    "random_told": "#000000",
    "k_center": "#009e73",
    "badge": "#cc79a7",
    "cluster_margin": "#e69f00",
    "typicality": "#9a6324",
}
DASHED = {"random_told"}
PER_ROW = 3


def draw_curves(path: Path, cells: list[Cell]) -> None:
    """Mean score over the seeds against labelled images, with one standard error where there are three seeds."""
    columns = min(PER_ROW, len(cells))
    rows = -(-len(cells) // columns)
    figure = Figure(figsize=(5.2 * columns, 4.2 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(cells) :]:
        axes.set_axis_off()
    for axes, cell in zip(panels, cells, strict=False):
        for arm in (one for one in COLORS if one in cell.runs):
            runs = list(cell.runs[arm].values())
            scores, labels = np.stack([score for score, _ in runs]), runs[0][1]
            mean = scores.mean(axis=0)
            style = "dashed" if arm in DASHED else "solid"
            axes.plot(labels, mean, color=COLORS[arm], linestyle=style, marker="o", markersize=3,
                      label=f"{arm} ({len(runs)})")  # fmt: skip
            if len(runs) > 2:
                error = scores.std(axis=0, ddof=1) / np.sqrt(len(runs))
                axes.fill_between(labels, mean - error, mean + error, color=COLORS[arm], alpha=0.12, linewidth=0)
        axes.set_title(f"{cell.name}, start {cell.start}")
        axes.set_xlabel("labelled images")
        axes.set_ylabel("mean IoU of the test images' cells")
        axes.legend(fontsize=7, title="arm (seeds)", title_fontsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90, metadata={"Software": None})
