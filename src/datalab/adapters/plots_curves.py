"""Curves as PNG files, drawn as in datalab.adapters.plots."""

from pathlib import Path

import pandas as pd
from matplotlib import colormaps
from matplotlib.figure import Figure

from datalab.adapters.plots import BLUE, ORANGE, save_figure


def plot_reliability(path: Path, before: pd.DataFrame, after: pd.DataFrame, title: str) -> None:
    """How often pixels are right, by how sure the model is of them, and below how many there are.

    `before` and `after` the temperature: tables of learning.calibration.reliability_table with the same bins.
    """
    figure = Figure(figsize=(5.6, 6.4), layout="constrained")
    top, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1]})
    top.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle="dashed", label="as sure as right")
    width = 1 / len(after)
    for table, color, name, side in ((before, ORANGE, "before", -1), (after, BLUE, "after", 1)):
        known = table.dropna()
        top.plot(known["confidence"], known["accuracy"], "o-", color=color, markersize=4, label=f"{name} temperature")
        places = [(place + 0.5) * width + side * width / 5 for place in table.index]
        below.bar(places, table["share"], width=width / 2.5, color=color)
    top.set_ylim(0, 1.02)
    top.set_ylabel("share of pixels that are right")
    top.set_title(title, size=10)
    top.legend(loc="upper left", frameon=False)
    below.set_xlim(0, 1.02)
    below.set_ylabel("share of pixels")
    below.set_xlabel("confidence: probability of the predicted class")
    for axes in (top, below):
        axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)


def plot_robustness(path: Path, table: pd.DataFrame, clean: float) -> None:
    """A row of dots per corruption, the darker the severer, and a line where undamaged images are.

    Columns corruption, severity (1 and up), miou; `clean`: mean IoU of the same images undamaged.
    """
    kinds, severities = list(table["corruption"].unique()), sorted(table["severity"].unique())
    figure = Figure(figsize=(6.4, 1.5 + 0.42 * len(kinds)), layout="constrained")
    axes = figure.subplots()
    rows = table["corruption"].map(kinds.index)
    within = table.groupby("corruption", sort=False)["miou"]
    axes.hlines(range(len(kinds)), within.min(), within.max(), color="#cccccc", linewidth=2, zorder=1)
    for severity in severities:
        shade = colormaps["Blues"](0.3 + 0.65 * severity / max(severities))
        one = table["severity"] == severity
        axes.scatter(table["miou"][one], rows[one], color=shade, s=46, zorder=2, label=f"severity {severity}")
    axes.axvline(clean, color="black", linewidth=1, linestyle="dashed", label=f"undamaged {clean:.2f}")
    axes.set_yticks(range(len(kinds)), kinds)
    axes.invert_yaxis()
    axes.set_xlim(0, min(1.0, 1.15 * max(clean, float(table["miou"].max()))) + 0.02)
    axes.set_xlabel("mean IoU of the same test images")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper right", ncols=4, frameon=False, fontsize=8, columnspacing=1, handletextpad=0.3)
    save_figure(figure, path)
