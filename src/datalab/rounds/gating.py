"""Which masks people get to see: those the gate, calibrated on this workspace's gold, expects to be good."""

from dataclasses import asdict, replace
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
    held_out_expected,
    why_no_gate,
    why_none_shown,
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
    itself; proposals on a gold image by the others, so that they are as good as those of any image. Where gold is too
    little for one, its `expected_iou` is missing, its facts have the `reason`, and what `ungated_at` says is shown;
    nothing is where gold says all the same that it is bad, and of the model's own regions, since nothing says how good
    they are. What is shown of a calibrated source goes before what nobody could calibrate. `reason` of the whole is
    None where any source is calibrated; `not_best` counts versions of a region and what is beyond `limit`.
    """
    sources: dict[str, dict[str, Any]] = {}
    parts = [candidates.iloc[:0].assign(expected_iou=np.nan, decision="", order=0.0)]
    for source, rows in candidates.groupby("source", sort=False):
        sources[str(source)], part = _gate_source(rows, gold, params)
        if sources[str(source)]["reason"] is None or source != "model":
            parts.append(part[part["image_id"].isin(image_ids)])
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


def _gate_source(rows: pd.DataFrame, gold: pd.DataFrame, params: GateParams) -> tuple[dict[str, Any], pd.DataFrame]:
    """Facts of one source, and its rows with `expected_iou`, `decision` and `order`, what is better being higher."""
    examples = gold_examples(rows, gold)
    scores, labels = gate_scores(rows["predicted_iou"].to_numpy(), rows["stability"].to_numpy()), list(rows["label"])
    reason = why_no_gate(examples, params)
    if reason is not None:
        against = why_none_shown(examples)
        sure = (rows["predicted_iou"] >= params.ungated_at) & (against is None)
        decision = np.where(sure, "propose", "draw")
        # how good they are nobody knows, and SAM thinks well of itself: what gold has proven comes first
        return {"reason": against or reason}, rows.assign(expected_iou=np.nan, decision=decision, order=scores - 1)
    calibration = fit_calibration(examples, params)
    expected = calibration.expected(scores, labels)
    held_out = held_out_expected(examples, params)
    # with its own truth a gold image would get better proposals than others, and say more of them than is true
    expected[rows["image_id"].isin(gold["image_id"]).to_numpy()] = held_out
    error = held_out_error(examples, held_out, params)
    facts = {
        "reason": None,
        "examples": len(examples.scores),
        "images": len(set(examples.image_ids)),
        "classes": sorted(calibration.classes),
        "error": error.as_json(),
        "accept_reason": error.accepted_mean_iou.reason if params.auto_accept else "proposal_gate.auto_accept is false",
    }
    # what nobody could judge is left to people
    proven = replace(params, auto_accept=params.auto_accept and error.accepted > 0)
    # equal expectations are common (isotonic curves have steps); the score tells their order
    order = expected + 1e-6 * scores
    return facts, rows.assign(expected_iou=expected, decision=decide(expected, labels, proven), order=order)
