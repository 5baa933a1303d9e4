"""Which of SAM's masks people get to see: those the gate, calibrated on this workspace's gold, expects to be good."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from datalab.learning.gate import (
    Calibration,
    Examples,
    GateParams,
    decide,
    fit_calibration,
    gate_scores,
    held_out_error,
    why_no_gate,
)
from datalab.masks import iou_matrix
from datalab.tables import GATED_PROPOSALS


def gate_proposals(
    proposals: pd.DataFrame, image_ids: set[str], gold: pd.DataFrame, params: GateParams
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Table GATED_PROPOSALS of `image_ids`, and what the gate did, for the round's facts.

    `proposals`: table PROPOSALS with classes, of `image_ids` and of every gold image. Where gold is too little,
    everything is shown, `expected_iou` is missing and the facts have the `reason`; else they have the expected `error`
    (GateError), counts and the classes with a curve of their own.
    """
    examples = gold_examples(proposals, gold)
    asked = proposals[proposals["image_id"].isin(image_ids)].reset_index(drop=True)
    reason = why_no_gate(examples, params)
    if reason is not None:
        shown = asked.assign(expected_iou=np.nan, decision="propose").loc[:, list(GATED_PROPOSALS)]
        return shown, {"reason": reason, "shown": len(shown)}
    calibration = fit_calibration(examples, params)
    expected = expected_iou(asked, calibration)
    gated = asked.assign(expected_iou=expected, decision=decide(expected, params)).loc[:, list(GATED_PROPOSALS)]
    shown = gated[gated["decision"] != "draw"].reset_index(drop=True)
    return shown, {
        "reason": None,
        "examples": len(examples.scores),
        "images": len(set(examples.image_ids)),
        "classes": sorted(calibration.classes),
        "shown": len(shown),
        "left_out": len(gated) - len(shown),
        "accepted": int((shown["decision"] == "accept").sum()),
        "error": held_out_error(examples, params).as_json(),
        **{key: asdict(params)[key] for key in ("propose_at", "auto_accept", "accept_at")},
    }


def expected_iou(proposals: pd.DataFrame, calibration: Calibration) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Expected IoU in [0, 1] of every row of a table PROPOSALS."""
    scores = gate_scores(proposals["predicted_iou"].to_numpy(), proposals["stability"].to_numpy())
    return calibration.expected(scores, list(proposals["label"]))


def gold_examples(proposals: pd.DataFrame, gold: pd.DataFrame) -> Examples:
    """The proposals on gold images with their true IoU: with the gold object they fit best, 0 on an empty image."""
    chosen = proposals[proposals["image_id"].isin(gold["image_id"])]
    truth = {image_id: list(rows.loc[rows["rle"] != "", "rle"]) for image_id, rows in gold.groupby("image_id")}
    true_iou = [
        float(iou_matrix([row["rle"]], truth[row["image_id"]], row["height"], row["width"]).max(initial=0.0))
        for row in chosen.to_dict("records")
    ]
    return Examples(
        scores=gate_scores(chosen["predicted_iou"].to_numpy(), chosen["stability"].to_numpy()),
        true_iou=np.array(true_iou, dtype=np.float64),
        labels=tuple(chosen["label"]),
        image_ids=tuple(chosen["image_id"]),
    )
