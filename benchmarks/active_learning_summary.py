"""What the simulated rounds of active_learning.py found, from the committed results: factors, intervals, tests, a plot.

The gate runs one seed of one cell again, where the images lie, and wants the very figures that this processor and
version of torch gave; others round differently, and where no line is theirs there is no gate. `sets_won`: data sets on
which the default beat random beyond doubt in every cell (paired t-test, p < .05 after Holm over cells).
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from active_learning import HERE, RESULTS, SHARED, done, made_by, run_seed

from measure import parser_of
from simulated.data import load_images
from simulated.picture import draw_curves
from simulated.statistics import Line, cells_of, holm, ratio_to, summary

DEFAULT, TOLD = "default", "random_told"


def main() -> None:
    """Print one JSON line; exit code 1 where the run that was done again differs."""
    parser = parser_of(__doc__)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--cache", type=Path, default=HERE.parent / ".cache" / "active_learning")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--plot", type=Path, help="also draw the curves there")
    asked = parser.parse_args()
    lines = [json.loads(line) for line in asked.results.read_text(encoding="utf-8").splitlines()]
    cells = cells_of(lines)
    if asked.plot:
        draw_curves(asked.plot, cells)
    rng = np.random.default_rng(0)
    rows = [summary(cell, arm, rng) for cell in cells for arm in cell.runs if arm != "random" and cell.seeds(arm)]
    ours = [row for row in rows if row["arm"] == DEFAULT and row["p_better"] is not None]
    for key in ("p_better", "p_worse"):
        for row, p in zip(ours, holm([row[key] for row in ours]), strict=True):
            row[f"{key}_holm"] = round(p, 5)
    won = sorted({row["set"] for row in ours} - {row["set"] for row in ours if row["p_better_holm"] >= 0.05})
    told = [ratio_to(cell, DEFAULT, TOLD, rng) for cell in cells if TOLD in cell.runs]
    again = repeated(lines, asked.data, asked.cache)
    result = {
        "name": "active_learning_summary",
        "sets_won": won,
        "sets": sorted({row["set"] for row in rows}),
        "default_to_random_told": [round(one, 2) for one in told[0]] if told else None,
        "median_factor": round(float(np.median([row["factor"] for row in ours])), 2) if ours else None,
        "rows": rows,
        "repeated": again,
        "gate": again["same"] is not False,
    }
    sys.stdout.write(json.dumps(result) + "\n")
    if not result["gate"]:
        sys.exit(1)


def repeated(lines: list[Line], data: Path, cache: Path) -> dict[str, Any]:
    """One seed of one cell once more: the largest difference to the results, None where it cannot be told."""
    mine = [line for line in lines if line["strategy"] == DEFAULT and line.get("made_by") == made_by()]
    if not mine:
        return {"same": None, "reason": f"no line was made by {made_by()}"}
    wanted = mine[0]
    cell = {key: wanted[key] for key in ("set", "start", "strategy", "seed")}
    if wanted["set"] != "sample" and not (data / wanted["set"]).is_dir():
        return {**cell, "same": None, "reason": f"{data / wanted['set']} does not exist"}
    torch.set_num_threads(1)
    out = cache / "again.jsonl"
    out.unlink(missing_ok=True)
    run_seed(load_images(wanted["set"], data, cache), wanted["start"], wanted["seed"], [DEFAULT], out)
    assert done(out)
    found = json.loads(out.read_text(encoding="utf-8"))["score"]
    difference = float(np.abs(np.subtract(found, wanted["score"])).max())
    return {**cell, "same": difference == 0, "largest_difference": round(difference, 5)}


if __name__ == "__main__":
    main()
