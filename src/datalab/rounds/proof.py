"""Does labelling still pay, and does choosing: section `proof` of a round's report."""

from dataclasses import asdict, dataclass
from typing import Annotated

import numpy as np

from datalab.adapters.files import read_table, write_table
from datalab.config import load_number, load_params
from datalab.figure import Figure
from datalab.learning.control import LEAST_IMAGES, Comparison, Part, per_image, per_minute
from datalab.learning.forecast import POINTS, Forecast, forecast, hindsight, verdict
from datalab.learning.learning_curve import LearningCurve, learning_curve
from datalab.learning.power_law import Floats
from datalab.ranges import Amount, Count, Seed, Within
from datalab.rounds.batch import BatchParams
from datalab.rounds.proof_inputs import (
    Row,
    batch_parts,
    judged_in,
    kept_confusions,
    past_rows,
    point_of,
    point_row,
)
from datalab.rounds.state import Round
from datalab.tables import CONFUSIONS, NEXT_BATCH, SCORES
from datalab.workspace import Workspace


@dataclass(frozen=True)
class ProofParams:
    """Section `proof` of params.yaml."""

    seed: Seed
    resamples: Annotated[int, Within(100)]
    """Draws of the bootstrap."""
    stop_below_points: Amount
    """Of mIoU (a hundredth each): a batch that surely brings less is not worth labelling."""
    ahead: Count
    """Batches that are forecast."""
    longest_answer_s: Annotated[float, Within(1)]
    """An answer that was open for longer counts as this."""


def prove(workspace: Workspace, state: Round) -> Row:
    """The section, from this round's files and the earlier reports; keeps the round's CONFUSIONS beside the reports.

    Keys: `point`, what later rounds read; `curve`, the rounds that can be compared, as `scores` of a common `basis`;
    `forecast`, from now on; `next_batch`; `verdict`; `hindsight`, what would have been said before; `control`. What is
    undefined is null with a reason.
    """
    params = load_params(workspace.params, "proof", ProofParams)
    rng = np.random.default_rng([params.seed, state.number])
    write_table(kept_confusions(workspace, state.number), read_table(workspace.confusions, CONFUSIONS))
    rows = past_rows(workspace, state.number, params.longest_answer_s)
    rows.append(point_row(workspace, state, params.longest_answer_s))
    judged = judged_in(workspace, [row["round"] for row in rows])
    curve = learning_curve([point_of(row) for row in rows], judged, rng, params.resamples)
    batch, ahead = _planned(workspace, rows[-1]["labelled_images"], params.ahead)
    images = np.array([one.images for one in curve.points], dtype=np.float64)
    seen, reason = (None, None) if batch == 0 else forecast(images, curve.scores, curve.draws, ahead, rng)
    gain = Figure(None, reason=reason) if seen is None else seen.gain
    least = params.stop_below_points / POINTS
    past = hindsight(images, curve.scores, curve.draws, least, rng)
    said = verdict(gain, len(images), batch, least)
    return {
        "point": rows[-1],
        "curve": {"basis": curve.basis, "rounds": _curve_rows(rows, curve)},
        "forecast": {"reason": reason, **_forecast_rows(seen, rows[-1])},
        "next_batch": {"images": batch, "minutes": _minutes(rows[-1], batch), "gain": gain.as_json()},
        "stop_below_points": params.stop_below_points,
        "verdict": {**asdict(said), "reason": said.reason + _unpaid(workspace)},
        "hindsight": [
            {
                "round": curve.points[one.place].number,
                "verdict": one.verdict.value,
                "reason": one.verdict.reason,
                "expected": one.expected.as_json(),
                "came": one.came.as_json(),
            }
            for one in past
        ],
        "control": _control(batch_parts(workspace, state.number, params.longest_answer_s), state.number),
    }


def _planned(workspace: Workspace, labelled: int, rounds: int) -> tuple[int, Floats]:
    """Images of the next batch, and labelled images after each round to come: at most what the pool has."""
    chosen = len(read_table(workspace.next_batch, NEXT_BATCH))
    batch = min(chosen, load_params(workspace.params, "batch", BatchParams).images)
    pool = max(batch, len(read_table(workspace.scores, SCORES)))
    added = np.minimum(batch * np.arange(1, rounds + 1), pool)
    return batch, np.unique(labelled + added).astype(np.float64)


def _unpaid(workspace: Workspace) -> str:
    """What is to be said of a next batch whose minutes pay for no chosen image; "" of any other."""
    reasons, pool = read_table(workspace.next_batch, NEXT_BATCH)["reason"], read_table(workspace.scores, SCORES)
    wanted = min(load_number(workspace.params, "select", "images", int), len(pool))
    limited = load_number(workspace.params, "select", "minutes", float) > 0 and len(reasons) < wanted
    if not limited or not 0 < len(reasons) <= LEAST_IMAGES or (reasons != "random").any():
        return ""
    return f"; select.minutes pays for no chosen image: the next batch is {len(reasons)} random ones, the least control"


def _minutes(row: Row, images: float) -> float | None:
    """What so many images take, by what a labelled image has taken so far: gold and second opinions included."""
    if row["annotator_minutes"] is None or not row["labelled_images"]:
        return None
    return round(float(row["annotator_minutes"]) / int(row["labelled_images"]) * images, 2)


def _curve_rows(rows: list[Row], curve: LearningCurve) -> list[Row]:
    """All rounds; `score` is None for those that cannot be compared with the newest."""
    low, high = np.quantile(curve.draws, (0.025, 0.975), axis=0)
    scores = {
        one.number: Figure(float(score), low=_known(start), high=_known(end)).as_json()
        for one, score, start, end in zip(curve.points, curve.scores, low, high, strict=True)
    }
    keys = ("round", "labelled_images", "annotator_minutes", "test_images", "miou")
    return [{**{key: row[key] for key in keys}, "score": scores.get(row["round"])} for row in rows]


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _forecast_rows(seen: Forecast | None, row: Row) -> Row:
    """`rounds` from the newest one on, and the numbers of the curve."""
    if seen is None:
        return {"rounds": [], "numbers": None}
    places = zip(seen.images, seen.score, seen.low, seen.high, strict=True)
    spent = row["annotator_minutes"]
    rounds = []
    for place, (images, score, low, high) in enumerate(places):
        more = _minutes(row, float(images) - row["labelled_images"])
        rounds.append(
            {
                "round": row["round"] + place,
                "labelled_images": int(images),
                "annotator_minutes": None if more is None else round(spent + more, 2),
                "miou": Figure(float(score), low=float(low), high=float(high)).as_json(),
            }
        )
    law = seen.curve
    numbers = {"first": law.first, "level": law.level[0], "speed": law.speed[0], "bend": law.bend[0]}
    return {"rounds": rounds, "numbers": {name: round(float(value), 6) for name, value in numbers.items()}}


def _control(parts: dict[int, tuple[Part, Part]], number: int) -> Row:
    newest = [parts[number]] if number in parts else []
    return {"round": _compared(newest), "all": _compared(list(parts.values()))}


def _compared(batches: list[tuple[Part, Part]]) -> Row:
    counts = (sum(len(pair[side].surprise) for pair in batches) for side in (0, 1))
    image, minute = per_image(batches), per_minute(batches)
    return {
        "images": dict(zip(("chosen", "random"), counts, strict=True)),
        "surprise_per_image": _figures(image),
        "surprise_per_minute": _figures(minute),
        "says": _says(image.difference),
    }


def _figures(found: Comparison) -> Row:
    return {name: getattr(found, name).as_json() for name in ("chosen", "random", "difference")}


def _says(found: Figure) -> str:
    if found.value is None or found.low is None or found.high is None:
        return f"whether the choice beats chance cannot be told: {found.reason}"
    interval = f"{found.value:+.2f} ({found.low:+.2f} to {found.high:+.2f})"
    if found.low > 0:
        return f"the chosen images surprise the model more than random ones: {interval}"
    if found.high < 0:
        return f"the chosen images surprise the model less than random ones: {interval}"
    return f"no difference between chosen and random images can be told: {interval}"
