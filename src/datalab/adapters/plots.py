"""Plots as PNG files, drawn by matplotlib without a screen; the same input gives the same picture."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from datalab.adapters.files import write_bytes
from datalab.masks import IGNORE_ID, resize_labels

DPI = 110
COLUMNS = 4
MOST_INCHES = 20
"""Of a side of the confusion matrix: by its square a picture of 150 classes would take a minute and 2.8 GB."""
MOST_NUMBERED = 30
"""Classes up to which a cell of the confusion matrix has room for its number."""
NAME_LETTERS = 36
"""Of a line of a slice's name beside its bar; longer ones would leave the bars no room."""
UNKNOWN_COLOR = "#ffffff"
BLUE, ORANGE = "#4c72b0", "#d55e00"
TILE_SIDE = 512
"""Pixels of the longest side of what is outlined: a tile shows 350, and the outlines of a photograph take gigabytes."""

Pixels = npt.NDArray[np.uint8]
"""(H, W, 3) RGB."""
LabelMap = npt.NDArray[np.uint8]
"""(H, W) class ids."""


@dataclass(frozen=True)
class Tile:
    """One image of a contact sheet, `for_tile`."""

    image_id: str
    image: npt.NDArray[np.uint8]
    """(H, W, 3) RGB."""
    truth: npt.NDArray[np.uint8]
    """(H, W) class ids."""
    predicted: npt.NDArray[np.uint8]
    """(H, W) class ids."""
    iou: float
    """Mean IoU of this image; NaN where undefined."""


def plot_iou(path: Path, table: pd.DataFrame) -> None:
    """Bars of IoU per class with their intervals; columns class, iou, low, high (NaN: undefined)."""
    figure = Figure(figsize=(7, 1.2 + 0.35 * len(table)), layout="constrained")
    axes = figure.subplots()
    values = table[["iou", "low", "high"]].to_numpy(dtype=np.float64)
    places = np.arange(len(values))
    axes.barh(places, np.nan_to_num(values[:, 0]), color=BLUE, height=0.65)
    for place, (value, low, high) in enumerate(values.tolist()):
        _annotate(axes, place, value, low, high)
    axes.set_yticks(places, [plain(str(name)) for name in table["class"]])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12)
    axes.set_xlabel("intersection over union, with 95% interval over test images")
    axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)


def plot_slices(path: Path, table: pd.DataFrame, q: float) -> None:
    """Mean IoU of each slice with its interval, and a mark where the other images are; columns of learning.slices.

    Those are orange whose own q is below `q`.
    """
    names = [
        wrapped(f"{name} ({images})", NAME_LETTERS)
        for name, images in zip(table["slice"], table["images"], strict=True)
    ]
    most_lines = max((name.count("\n") + 1 for name in names), default=1)
    row = 0.15 + 0.17 * most_lines
    figure = Figure(figsize=(7, 1.4 + row * max(1, len(table))), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(table))
    values = table[["iou", "low", "high"]].to_numpy(dtype=np.float64)
    axes.barh(places, values[:, 0], color=[ORANGE if own < q else BLUE for own in table["q"]], height=0.6)
    axes.plot(table["elsewhere"], places, "D", color="white", markeredgecolor="black", markersize=5, label="elsewhere")
    axes.hlines(places, values[:, 1], values[:, 2], color="black", linewidth=1.5, label="95% interval")
    for place, value in enumerate(values[:, 0].tolist()):
        axes.text(1.02, place, f"{value:.2f}", va="center", size=8)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.1)
    # of the figure: below axes that long names have narrowed it would be cut off
    figure.supxlabel("mean IoU of the slice's images; orange: worse than elsewhere", size=10)
    axes.spines[["top", "right"]].set_visible(False)
    if len(table):
        figure.legend(loc="outside upper right", ncols=2, frameon=False)
    else:
        axes.text(0.5, 0.5, "too few test images for a slice", transform=axes.transAxes, ha="center")
    save_figure(figure, path)


def plot_confusion(path: Path, names: Sequence[str], confusion: npt.NDArray[np.int64]) -> None:
    """Pooled confusion matrix (K, K), each row as shares of the true class; rows without a pixel stay grey.

    Of more than MOST_NUMBERED classes the shares are colours only.
    """
    totals = confusion.sum(axis=1, keepdims=True)
    shares = np.where(totals > 0, confusion / np.maximum(totals, 1), np.nan)
    side = min(2.5 + 0.5 * len(names), MOST_INCHES)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    axes.set_facecolor("#dddddd")
    drawn = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(names) <= MOST_NUMBERED:
        _write_shares(axes, shares)
    shown = [plain(name) for name in names]
    # points of 1/72 inch; about four fifths of the side are cells, and names lie at an angle
    size = min(10.0, 0.7 * 0.8 * side * 72 / len(names))
    axes.set_xticks(range(len(names)), shown, rotation=45, ha="right", rotation_mode="anchor", size=size)
    axes.set_yticks(range(len(names)), shown, size=size)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    figure.colorbar(drawn, shrink=0.8, label="share of the true class's pixels")
    save_figure(figure, path)


def _write_shares(axes: Axes, shares: npt.NDArray[np.float64]) -> None:
    for row, column in np.argwhere(shares >= 0.005):
        share = float(shares[row, column])
        axes.text(
            column, row, f"{share:.2f}", ha="center", va="center", size=7, color="white" if share > 0.6 else "black"
        )


def for_tile(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """An image (H, W, 3), or a label map (H, W) that keeps its ids and objects, shrunk where its longest side is over
    TILE_SIDE."""
    height, width = pixels.shape[:2]
    scale = TILE_SIDE / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if pixels.ndim == 2:
        return _shrunk_labels(pixels, size)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _shrunk_labels(label_map: LabelMap, size: tuple[int, int]) -> LabelMap:
    """A label map at `size` (width, height): a cell has the id of the pixel in its middle, and an object (connected, of
    one class) that lies in no middle has all cells that it touches; who looks at labels is to see each of them."""
    cells = resize_labels(label_map, size[1], size[0])
    areas = np.bincount(label_map.ravel(), minlength=256)
    areas[[0, IGNORE_ID]] = 0
    # the smallest class last, on top: a larger one has more cells to be seen in
    for class_id in np.argsort(-areas, kind="stable")[: np.count_nonzero(areas)].tolist():
        _, numbers = cv2.connectedComponents((label_map == class_id).astype(np.uint8), connectivity=8)
        lost = np.ones(numbers.max() + 1, dtype=bool)
        lost[0] = False
        lost[resize_labels(numbers, size[1], size[0])] = False
        if lost.any():
            y, x = np.nonzero(lost[numbers])
            cells[y * size[1] // label_map.shape[0], x * size[0] // label_map.shape[1]] = class_id
    return cells


def plot_contact_sheet(path: Path, tiles: Sequence[Tile], colors: Mapping[int, str]) -> None:
    """Each image with the outlines of truth (solid) and prediction (dashed, with a black edge) in the class colours."""
    columns = min(COLUMNS, max(1, len(tiles)))
    rows = max(1, -(-len(tiles) // columns))
    figure = Figure(figsize=(3.2 * columns, 2.9 * rows + 0.4), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, tile in zip(grid, tiles, strict=False):
        axes.imshow(tile.image)
        _outline(axes, tile.truth, colors, "solid")
        _outline(axes, tile.predicted, colors, "dashed")
        score = "nothing judged" if np.isnan(tile.iou) else f"IoU {tile.iou:.2f}"
        axes.set_title(f"{tile.image_id[:8]}  {score}", size=8)
    truth = Line2D([], [], color="black", linestyle="solid", label="truth")
    prediction = Line2D([], [], color="black", linestyle="dashed", label="prediction")
    legend = figure.legend(handles=[truth, prediction], loc="outside lower center")
    legend.set_ncols(2)
    save_figure(figure, path)


def plot_labels(path: Path, images: Sequence[tuple[str, Pixels, LabelMap]], colors: Mapping[int, str]) -> None:
    """Images (name, RGB, label map), `for_tile`, with the outlines of their labels, to see whether the two fit."""
    columns = min(COLUMNS, max(1, len(images)))
    rows = max(1, -(-len(images) // columns))
    figure = Figure(figsize=(3.2 * columns, 2.9 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, (name, pixels, label_map) in zip(grid, images, strict=False):
        axes.imshow(pixels)
        _outline(axes, label_map, colors, "solid")
        axes.set_title(name, size=8)
    save_figure(figure, path)


def plot_pairs(path: Path, pairs: Sequence[tuple[str, Pixels, Pixels]]) -> None:
    """Pairs (title, RGB, RGB) of images, one pair a row; a sentence where there is none."""
    figure = Figure(figsize=(6.4, 0.6 + 2.6 * len(pairs)), layout="constrained")
    if not pairs:
        figure.text(0.5, 0.5, "no two images are unusually alike", ha="center", va="center", size=9)
    for place, (title, *images) in enumerate(pairs):
        for side, pixels in enumerate(images):
            axes = figure.add_subplot(len(pairs), 2, 2 * place + side + 1)
            axes.set_axis_off()
            axes.imshow(pixels)
            if side == 0:
                axes.set_title(title, size=8, loc="left")
    save_figure(figure, path)


def _annotate(axes: Axes, place: float, value: float, low: float, high: float) -> None:
    """The interval as a line and the value beside the bar; what is undefined says so."""
    if np.isnan(value):
        axes.text(0.01, place, "not in the test images", va="center", size=8, color="#777777")
        return
    if not np.isnan(low):
        axes.plot([low, high], [place, place], color="black", linewidth=1.5, solid_capstyle="butt")
    axes.text(max(value, 0.0 if np.isnan(high) else high) + 0.01, place, f"{value:.2f}", va="center", size=8)


def _outline(axes: Axes, label_map: npt.NDArray[np.uint8], colors: Mapping[int, str], style: str) -> None:
    for class_id in sorted({int(value) for value in np.unique(label_map)} - {0, IGNORE_ID}):
        inside = np.pad(label_map == class_id, 1).astype(np.float32)
        extent = np.arange(-1, inside.shape[1] - 1), np.arange(-1, inside.shape[0] - 1)
        color = colors.get(class_id, UNKNOWN_COLOR)
        if style == "dashed":
            axes.contour(*extent, inside, levels=[0.5], colors="black", linewidths=2.2)
        axes.contour(*extent, inside, levels=[0.5], colors=color, linewidths=1.4, linestyles=style)


def plain(text: str) -> str:
    """Text that matplotlib draws as it is: what stands between two dollars would be mathematics to it."""
    return text.replace("$", r"\$")


def wrapped(text: str, letters: int) -> str:
    """`plain` text in lines of at most so many letters."""
    return plain(textwrap.fill(text, letters))


def save_figure(figure: Figure, path: Path) -> None:
    """Write the PNG whole or not at all; no date or version in it."""
    FigureCanvasAgg(figure)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    write_bytes(path, buffer.getvalue())
