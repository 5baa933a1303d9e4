"""The learning curve of a project as a picture: mIoU against labelled images and against annotators' time."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from datalab.learning.power_law import PowerLaw

Row = Mapping[str, Any]
Floats = npt.NDArray[np.float64]
DPI = 110
MEASURED, EXPECTED, REPORTED = "#0072b2", "#d55e00", "#8a8f98"
"""Blue and orange of Okabe and Ito, which colour-blind people can tell apart, and grey."""
LEAST_HEIGHT = 0.1
"""Of the score's axis: a flat curve must not be stretched until its noise looks like a climb."""
SAME = 0.005
"""A figure that far from the comparable one is drawn beside it."""
SMOOTH = 80
PANELS = {"labelled_images": "labelled images", "annotator_minutes": "minutes of all annotators"}


def draw_learning_curve(proof: Row) -> bytes:
    """A PNG of section `proof` of a report: measured with 95% band, forecast dashed; the same input, the same bytes.

    What cannot be compared with the newest round, and what was reported where it differs, are hollow grey circles. A
    panel without data says so.
    """
    figure = Figure(figsize=(10, 3.9), layout="constrained")
    FigureCanvasAgg(figure)
    both = figure.subplots(1, 2, sharey=True)
    for axes, (key, label) in zip(both, PANELS.items(), strict=True):
        _panel(axes, proof, key)
        axes.set_xlabel(label)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e6e9ed", linewidth=0.8)
        axes.set_axisbelow(True)
    both[0].set_ylabel("mIoU on test images")
    low, high = both[0].get_ylim()
    spare = max(0.0, LEAST_HEIGHT - (high - low)) / 2
    both[0].set_ylim(max(0.0, low - spare), min(1.0, high + spare))
    handles, labels = both[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def _panel(axes: Axes, proof: Row, key: str) -> None:
    rounds = [row for row in proof["curve"]["rounds"] if row[key] is not None]
    if not rounds:
        axes.text(0.5, 0.5, "no answer tells its time", transform=axes.transAxes, ha="center", color=REPORTED)
        axes.set_xticks([])
        return
    scored = [row for row in rounds if row["score"] is not None]
    forecast = [row for row in proof["forecast"]["rounds"] if row[key] is not None]
    if scored:
        shared = (
            "measured, on shared test images" if len(scored) > 1 and proof["curve"]["basis"] == "linked" else "measured"
        )
        _measured(axes, [row[key] for row in scored], scored, shared)
    apart = [row for row in rounds if row["miou"]["value"] is not None and _differs(row)]
    if apart:
        axes.plot([row[key] for row in apart], [row["miou"]["value"] for row in apart], "o", color=REPORTED,
                  markerfacecolor="white", markersize=5, zorder=2,
                  label="as reported, on that round's test images")  # fmt: skip
    if forecast:
        _forecast(axes, proof, key, scored, forecast)
    furthest = max(row[key] for row in [*rounds, *forecast])
    axes.set_xlim(0, 1.08 * furthest)


def _differs(row: Row) -> bool:
    return row["score"] is None or abs(row["score"]["value"] - row["miou"]["value"]) > SAME


def _measured(axes: Axes, places: Sequence[float], rows: Sequence[Row], label: str) -> None:
    """Line, band and round numbers; a single round has a whisker, since a band needs two."""
    values, low, high = (_column(rows, "score", name) for name in ("value", "low", "high"))
    axes.plot(places, values, "o-", color=MEASURED, markersize=5, linewidth=1.8, label=label, zorder=4)
    if len(rows) > 1:
        axes.fill_between(places, low, high, color=MEASURED, alpha=0.15, linewidth=0, label="95% interval")
    else:
        axes.vlines(places, low, high, color=MEASURED, alpha=0.4, linewidth=3, label="95% interval")
    for place, value, row in zip(places, values, rows, strict=True):
        axes.annotate(str(row["round"]), (place, value), (6, -11), textcoords="offset points", size=9,
                      color=MEASURED)  # fmt: skip


def _forecast(axes: Axes, proof: Row, key: str, past: Sequence[Row], rows: Sequence[Row]) -> None:
    """The fitted curve, through the past and on; its band begins at the newest round."""
    numbers = {name: np.array([value]) for name, value in proof["forecast"]["numbers"].items()}
    law = PowerLaw(float(numbers["first"][0]), numbers["level"], numbers["speed"], numbers["bend"])
    known = [*past, *rows[1:]]
    images = np.linspace(known[0]["labelled_images"], rows[-1]["labelled_images"], SMOOTH)
    by_images = np.array([[row["labelled_images"], row[key]] for row in known], dtype=np.float64)
    places = np.interp(images, *by_images[by_images[:, 0].argsort()].T)
    axes.plot(places, law.at(images)[0], "--", color=EXPECTED, linewidth=1.5, label="fitted and forecast", zorder=3)
    low, high = (_column(rows, "miou", name) for name in ("low", "high"))
    axes.fill_between([row[key] for row in rows], low, high, color=EXPECTED, alpha=0.15, linewidth=0)


def _column(rows: Sequence[Row], group: str, name: str) -> Floats:
    return np.array([row[group][name] for row in rows], dtype=np.float64)
