"""The results of the trainings as tables and a picture: every seed a dot, the mean a bar, with its interval."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from datalab.figure import Figure as Estimate
from datalab.quality.student import Sides, student_difference, student_ratio

OURS, REFERENCE = "#d55e00", "#777777"
Line = dict[str, Any]
Key = tuple[str, float, str, str]
"""Data set, minutes to spend, side and model."""


def grouped(lines: Sequence[Line]) -> dict[Key, list[Line]]:
    """The lines of each training's seeds, in the order of the data sets and minutes, ours first and the best first.

    Those of the newest edition of a data set that there are for the same minutes: others were judged on other images.
    """
    newest: dict[tuple[str, float], int] = {}
    for line in lines:
        judged = line["set"], line["budget_minutes"]
        newest[judged] = max(newest.get(judged, 0), line["edition"])
    found: dict[Key, list[Line]] = defaultdict(list)
    for line in lines:
        if line["edition"] == newest[line["set"], line["budget_minutes"]]:
            found[line["set"], line["budget_minutes"], line["side"], line["model"]].append(line)
    return dict(sorted(found.items(), key=lambda one: (*one[0][:3], -_mean(one[1], "miou"))))


def table(groups: Mapping[Key, Sequence[Line]]) -> str:
    """Markdown: mean over the seeds and its 95% interval, Student's t."""
    rows = ["| data | loop | model | mIoU (95% over seeds) | seeds | steps | minutes | peak memory |"]
    rows.append("|---|---|---|---|---|---|---|---|")
    for (name, _, side, model), lines in groups.items():
        cells = [
            name,
            side,
            f"`{model}`",
            _shown(student_ratio(_seeds(lines), (0, 1)), ""),
            str(len(lines)),
            f"{_mean(lines, 'steps'):.0f} of {lines[0]['batch']}",
            f"{_mean(lines, 'minutes'):.1f}",
            f"{_mean(lines, 'peak_memory_mb') / 1024:.1f} GB",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def comparison(groups: Mapping[Key, Sequence[Line]]) -> str:
    """Markdown: the mIoU of our loop less that of the reference's, same model and minutes, with Welch's interval."""
    rows = ["| data | minutes | model | ours less reference (95% over seeds) |", "|---|---|---|---|"]
    for (name, minutes, side, model), lines in groups.items():
        peer = groups.get((name, minutes, "reference", model))
        if side == "ours" and peer:
            found = student_difference(_seeds(lines), _seeds(peer))
            rows.append(f"| {name} | {minutes:g} | `{model}` | {_shown(found, '+')} |")
    return "\n".join(rows)


def class_table(groups: Mapping[Key, Sequence[Line]]) -> str:
    """Markdown: a table for each data set, of the mean IoU of every class over the seeds."""
    tables = []
    for name in dict.fromkeys(key[0] for key in groups):
        of_it = {key: lines for key, lines in groups.items() if key[0] == name}
        classes = list(next(iter(of_it.values()))[0]["iou"])
        rows = [f"| {name} | minutes | {' | '.join(classes)} |", f"|{'---|' * (len(classes) + 2)}"]
        for (_, minutes, side, model), lines in of_it.items():
            means = [f"{np.mean([line['iou'][label] for line in lines]):.2f}" for label in classes]
            rows.append(f"| {side} `{model}` | {minutes:g} | {' | '.join(means)} |")
        tables.append("\n".join(rows))
    return "\n\n".join(tables)


def draw(path: Path, groups: Mapping[Key, Sequence[Line]]) -> None:
    """A panel for each data set and budget."""
    panels_of = list(dict.fromkeys(key[:2] for key in groups))
    figure = Figure(figsize=(8, 0.8 + 0.33 * len(groups)), layout="constrained")
    FigureCanvasAgg(figure)
    heights = [sum(key[:2] == one for key in groups) for one in panels_of]
    panels = figure.subplots(len(panels_of), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (name, minutes) in zip(panels, panels_of, strict=True):
        rows = [(*key[2:], lines) for key, lines in groups.items() if key[:2] == (name, minutes)]
        for place, (side, _, lines) in enumerate(rows):
            values = [line["miou"] for line in lines]
            color = OURS if side == "ours" else REFERENCE
            axes.barh(place, np.mean(values), color=color, alpha=0.45, height=0.7)
            found = student_ratio(_seeds(lines), (0, 1))
            if found.low is not None and found.high is not None:
                axes.plot([found.low, found.high], [place, place], color="black", linewidth=0.8)
            axes.plot(values, [place] * len(values), "o", color=color, markersize=4)
            axes.text(max(*values, found.high or 0) + 0.005, place, f"{np.mean(values):.3f}", va="center", size=8)
        axes.set_yticks(range(len(rows)), [f"{model}, {side}" for side, model, _ in rows], size=8)
        axes.invert_yaxis()
        axes.set_title(
            f"{name}, {minutes:g} minutes: mIoU on test images, a dot each seed, 95% over seeds", size=9, loc="left"
        )
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _seeds(lines: Sequence[Line]) -> Sides:
    return Sides([line["miou"] for line in lines], np.ones(len(lines)))


def _shown(figure: Estimate, sign: str) -> str:
    """Seeds that all come to the same say nothing of how they vary, and one alone does not either."""
    value = f"{figure.value:{sign}.3f}"
    return value if figure.low is None else f"{value} ({figure.low:{sign}.3f} to {figure.high:{sign}.3f})"


def _mean(lines: Sequence[Line], key: str) -> float:
    return float(np.mean([line[key] for line in lines]))
