"""Which masks people get to see: those the gate, calibrated on this workspace's gold, expects to be good."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from datalab.learning.gate import (
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

SAME_REGION_IOU = 0.5
"""Masks of different sources that overlap more are versions of one region, of which the better one is shown."""


def gate_proposals(
    candidates: pd.DataFrame, image_ids: set[str], gold: pd.DataFrame, params: GateParams, limit: int
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Table GATED_PROPOSALS of `image_ids`, at most `limit` an image, and what the gate did, for the round's facts.

    `candidates`: table CANDIDATES with classes, of `image_ids` and of every gold image. Each source is calibrated by
    itself. Where gold is too little for one, its `expected_iou` is missing, its facts have the `reason`, and it is
    shown as it is; but the model's own regions are not, since nothing then says how good they are. `reason` of the
    whole is None where any source is calibrated; `not_best` counts versions of a region and what is beyond `limit`.
    """
    sources: dict[str, dict[str, Any]] = {}
    parts = [candidates.iloc[:0].assign(expected_iou=np.nan, decision="", order=0.0)]
    for source, rows in candidates.groupby("source", sort=False):
        asked = rows[rows["image_id"].isin(image_ids)]
        sources[str(source)], part = _gate_source(asked, gold_examples(rows, gold), params)
        if sources[str(source)]["reason"] is None or source != "model":
            parts.append(part)
    gated = pd.concat(parts, ignore_index=True)
    good = gated[gated["decision"] != "draw"]
    best = best_per_region(good, limit)
    gates = [facts["reason"] for facts in sources.values()]
    return best.loc[:, list(GATED_PROPOSALS)], {
        "reason": None if None in gates else next(iter(gates), "SAM found nothing on any image"),
        "sources": sources,
        "shown": len(best),
        "left_out": len(gated) - len(good),
        "not_best": len(good) - len(best),
        "accepted": int((best["decision"] == "accept").sum()),
        "shown_by_source": {str(name): int(count) for name, count in best["source"].value_counts().items()},
        **{key: asdict(params)[key] for key in ("propose_at", "auto_accept", "accept_at")},
    }


def best_per_region(proposals: pd.DataFrame, limit: int) -> pd.DataFrame:
    """Of versions of one region from different sources the one with the highest `order`; the best `limit` per image."""
    kept: list[Any] = []
    for _, rows in proposals.sort_values("order", ascending=False, kind="stable").groupby("image_id", sort=False):
        rles, sources = list(rows["rle"]), rows["source"].to_numpy()
        overlap = iou_matrix(rles, rles, int(rows["height"].iloc[0]), int(rows["width"].iloc[0]))
        chosen: list[int] = []
        for place in range(len(rows)):
            rivals = [one for one in chosen if sources[one] != sources[place]]
            if overlap[place, rivals].max(initial=0.0) <= SAME_REGION_IOU:
                chosen.append(place)
        kept += list(rows.index[chosen[:limit]])
    return proposals.loc[kept].reset_index(drop=True)


def gold_examples(candidates: pd.DataFrame, gold: pd.DataFrame) -> Examples:
    """Those on gold images with their true IoU: with the gold object they fit best, 0 on an empty image."""
    chosen = candidates[candidates["image_id"].isin(gold["image_id"])]
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


def _gate_source(asked: pd.DataFrame, examples: Examples, params: GateParams) -> tuple[dict[str, Any], pd.DataFrame]:
    """Facts of one source, and its rows with `expected_iou`, `decision` and `order`, what is better being higher."""
    scores = gate_scores(asked["predicted_iou"].to_numpy(), asked["stability"].to_numpy())
    reason = why_no_gate(examples, params)
    if reason is not None:
        return {"reason": reason}, asked.assign(expected_iou=np.nan, decision="propose", order=scores)
    calibration = fit_calibration(examples, params)
    expected = calibration.expected(scores, list(asked["label"]))
    facts = {
        "reason": None,
        "examples": len(examples.scores),
        "images": len(set(examples.image_ids)),
        "classes": sorted(calibration.classes),
        "error": held_out_error(examples, params).as_json(),
    }
    # equal expectations are common (isotonic curves have steps); the score tells their order
    return facts, asked.assign(expected_iou=expected, decision=decide(expected, params), order=expected + 1e-6 * scores)
