"""How well the next rounds are forecast: on the committed simulated rounds, and on curves whose truth is known.

`off` is the mean error in points of the next step's gain, of every simulated run from its fourth round on, beside two
peers that need no fit: `last`, the last step goes on at the same rate, and `none`, nothing more is gained. `covered` is
the share of simulated histories whose 95% interval holds the true gain, by rounds so far: test images that all rounds
share are off by 0.04, each round's own by 0.01, and training by 0.01; in `covered_unlucky` by 0.025.
"""

import json
import sys
from pathlib import Path

import numpy as np

from datalab.learning.forecast import POINTS, Forecast, forecast
from datalab.learning.power_law import Floats
from measure import parser_of
from simulated.statistics import Cell, cells_of

RESULTS = Path(__file__).parent / "results" / "active_learning.jsonl"
KNOWN = 3
DRAWS = 200
HISTORIES = 200
CURVES = ((0.8, 0.3, 0.5), (0.8, 0.3, 1.5), (1.6, 1.1, 0.1))
"""Ceiling, drop and power of the images; the last one rises as a logarithm does, its ceiling far away."""
LUCK = (0.01, 0.025)
"""Standard deviation of the score from training to training."""
LEAST_COVERED = 0.9
"""From the fourth round on; with three nothing shows the luck of training."""


def main() -> None:
    """Print one JSON line; exit code 1 where a peer forecasts better or an interval is too sure."""
    parser_of(__doc__).parse_args()
    rng = np.random.default_rng(0)
    cells = cells_of([json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()])
    off = {name: errors([cell for cell in cells if cell.name == name], rng) for name in sorted({c.name for c in cells})}
    covered, unlucky = ({rounds: coverage(rounds, luck, rng) for rounds in (3, 4, 5, 8, 12)} for luck in LUCK)
    ratio = {name: round(found["last"] / found["ours"], 2) for name, found in off.items()}
    gate = (
        min(ratio.values()) >= 1 and min(value for rounds, value in covered.items() if rounds > KNOWN) >= LEAST_COVERED
    )
    result = {
        "name": "learning_forecast",
        "ratio": ratio,
        "peer": "the last step goes on",
        "off": off,
        "covered": covered,
        "covered_unlucky": unlucky,
        "sizes": {"histories": HISTORIES * len(CURVES), "draws": DRAWS},
        "repeats": 1,
        "gate": bool(gate),
    }
    sys.stdout.write(json.dumps(result) + "\n")
    if not gate:
        sys.exit(1)


def errors(cells: list[Cell], rng: np.random.Generator) -> dict[str, float]:
    """Mean error of the next gain in points, ours and the peers', and how many forecasts that is over."""
    rows = [row for cell in cells for runs in cell.runs.values() for run in runs.values() for row in one_run(*run, rng)]
    means = POINTS * np.mean(rows, axis=0)
    return {**{name: round(float(one), 2) for name, one in zip(("ours", "last", "none"), means, strict=True)},
            "forecasts": len(rows)}  # fmt: skip


def one_run(scores: Floats, labels: Floats, rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Errors of each forecast of one run, from what was known then."""
    rows = []
    for now in range(KNOWN, len(labels)):
        came, step = scores[now] - scores[now - 1], labels[now] - labels[now - 1]
        rate = (scores[now - 1] - scores[now - 2]) / (labels[now - 1] - labels[now - 2])
        seen = known(labels[:now], scores[:now], np.tile(scores[:now], (2, 1)), labels[now : now + 1], rng)
        rows.append((abs(float(seen.gain.value or 0) - came), abs(rate * step - came), abs(came)))
    return rows


def coverage(rounds: int, luck: float, rng: np.random.Generator) -> float:
    """Share of the histories of so many rounds in whose interval the true gain of the next one lies."""
    images: Floats = 36 * np.arange(1, rounds + 2, dtype=np.float64)
    inside = []
    for ceiling, drop, power in CURVES:
        truth = ceiling - drop * (images / 36) ** -power
        for _ in range(HISTORIES):
            noise = rng.normal(0, 0.04) + rng.normal(0, 0.01, rounds) + rng.normal(0, luck, rounds)
            scores = truth[:-1] + noise
            draws = scores + rng.normal(0, 0.04, (DRAWS, 1)) + rng.normal(0, 0.01, (DRAWS, rounds))
            gain = known(images[:-1], scores, draws, images[-1:], rng).gain
            assert gain.low is not None
            assert gain.high is not None
            inside.append(gain.low <= truth[-1] - truth[-2] <= gain.high)
    return round(float(np.mean(inside)), 3)


def known(images: Floats, scores: Floats, draws: Floats, ahead: Floats, rng: np.random.Generator) -> Forecast:
    """The forecast where there is one for sure."""
    seen, reason = forecast(images, scores, draws, ahead, rng)
    assert seen is not None, reason
    return seen


if __name__ == "__main__":
    main()
