"""Which masks people get to see: those the gate, calibrated on this workspace's gold, expects to be good."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from datalab.learning.gate import (
    GateError,
    GateParams,
    decide,
    errors_by_class,
    fit_calibration,
    gate_scores,
    held_out_error,
    held_out_expected,
    why_no_gate,
    why_none_shown,
    why_not_accepted,
)
from datalab.learning.gate_examples import Examples
from datalab.masks import iou_matrix
from datalab.quality.gold import in_unknown_pixels
from datalab.tables import GATED_PROPOSALS, known_objects

SAME_REGION_IOU = 0.5
"""Masks that overlap more are versions of one region, of which the better one is shown."""
CLEAR_LEAD = 0.1
"""By so much the better one has to lead for its class to count where another has a different one. Versions of a region
differ little as masks, and how good a mask is says little about its class."""


def gate_proposals(
    candidates: pd.DataFrame,
    image_ids: set[str],
    gold: pd.DataFrame,
    params: GateParams,
    limit: int,
    groups: Mapping[str, str] | None = None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Table GATED_PROPOSALS of `image_ids`, at most `limit` an image, and what the gate did, for the round's facts.

    `candidates`: table CANDIDATES with classes, of `image_ids` and of every gold image. Each source is calibrated by
    itself; proposals on a gold image by the other groups of gold (`groups`: image_id to its group; an image that is not
    there hangs together with no other), so that they are as good as those of any image. Where gold is too
    little for one, its `expected_iou` is missing, its facts have the `reason`, and what `ungated_at` says is shown;
    nothing is where gold says all the same that it is bad, and of the model's own regions, since nothing says how good
    they are. What is shown of a calibrated source goes before what nobody could calibrate. `reason` of the whole is
    None where any source is calibrated; `not_best` counts versions of a region and what is beyond `limit`.
    """
    sources: dict[str, dict[str, Any]] = {}
    parts = [candidates.iloc[:0].assign(expected_iou=np.nan, decision="", order=0.0)]
    for source, rows in candidates.groupby("source", sort=False):
        sources[str(source)], part = _gate_source(rows, gold, params, groups or {})
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
    """Of versions of one region the one with the highest `order`; the best `limit` per image.

    Also of one source: SAM makes nearly the same of two boxes that nearly agree. The label is "", for people to pick,
    where a version of another class is less than CLEAR_LEAD behind; read-only it is then no more.
    """
    kept: list[Any] = []
    unclear: list[Any] = []
    for _, rows in proposals.sort_values("order", ascending=False, kind="stable").groupby("image_id", sort=False):
        rles, labels, order = list(rows["rle"]), list(rows["label"]), rows["order"].to_numpy()
        same = iou_matrix(rles, rles, int(rows["height"].iloc[0]), int(rows["width"].iloc[0])) > SAME_REGION_IOU
        chosen: list[int] = []
        for place in range(len(rows)):
            better = [one for one in chosen if same[place, one]]
            if not better:
                chosen.append(place)
            close = [one for one in better if order[one] - order[place] < CLEAR_LEAD]
            unclear += [rows.index[one] for one in close if labels[place] not in ("", labels[one])]
        kept += list(rows.index[chosen[:limit]])
    named = proposals.copy()
    named.loc[unclear, "label"] = ""
    named.loc[named.index.isin(unclear) & (named["decision"] == "accept"), "decision"] = "propose"
    return named.loc[kept].reset_index(drop=True)


def is_example(candidates: pd.DataFrame, gold: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which lie on gold images, and not where nobody knows the class: those would be examples of what is wrong."""
    on_gold = candidates["image_id"].isin(gold["image_id"]).to_numpy()
    return np.asarray(on_gold & ~in_unknown_pixels(candidates, gold))


def gold_examples(candidates: pd.DataFrame, gold: pd.DataFrame, groups: Mapping[str, str]) -> Examples:
    """Those that can be with their true IoU: with the object they fit best, any and of their class, 0 for none."""
    chosen = candidates[is_example(candidates, gold)]
    truth = dict(iter(known_objects(gold).groupby("image_id")))
    true_iou, named_iou = np.zeros(len(chosen)), np.zeros(len(chosen))
    for place, row in enumerate(chosen.to_dict("records")):
        objects = truth.get(row["image_id"], gold.iloc[:0])
        overlap = iou_matrix([row["rle"]], list(objects["rle"]), row["height"], row["width"])[0]
        true_iou[place] = overlap.max(initial=0.0)
        named_iou[place] = overlap[(objects["label"] == row["label"]).to_numpy(dtype=bool)].max(initial=0.0)
    return Examples(
        scores=gate_scores(chosen["predicted_iou"].to_numpy(), chosen["stability"].to_numpy()),
        true_iou=true_iou,
        named_iou=named_iou,
        labels=tuple(chosen["label"]),
        image_ids=tuple(chosen["image_id"]),
        groups=tuple(groups.get(one, one) for one in chosen["image_id"]),
    )


def _gate_source(
    rows: pd.DataFrame, gold: pd.DataFrame, params: GateParams, groups: Mapping[str, str]
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Facts of one source, and its rows with `expected_iou`, `decision` and `order`, what is better being higher."""
    examples = gold_examples(rows, gold, groups)
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
    expected[is_example(rows, gold)] = held_out
    error, by_class = held_out_error(examples, held_out, params), errors_by_class(examples, held_out, params)
    refused = {label: why_not_accepted(one, params) for label, one in by_class.items()}
    facts = {
        "reason": None,
        "examples": len(examples.scores),
        "images": len(set(examples.image_ids)),
        "groups": len(set(examples.groups)),
        "classes": sorted(calibration.classes),
        "lowered": {label: round(factor, 4) for label, factor in calibration.lowered.items()},
        "error": error.as_json(),
        "by_class": {
            label: {"examples": examples.labels.count(label), **one.as_json(), "accept_reason": refused[label]}
            for label, one in by_class.items()
        },
        "accept_reason": _accept_reason(by_class, refused, params),
    }
    # what gold does not bear out is left to people
    decisions = decide(expected, labels, params, [label for label, why in refused.items() if why is None])
    # equal expectations are common (isotonic curves have steps); the score tells their order
    return facts, rows.assign(expected_iou=expected, decision=decisions, order=expected + 1e-6 * scores)


def _accept_reason(
    by_class: Mapping[str, GateError], refused: Mapping[str, str | None], params: GateParams
) -> str | None:
    """Why nothing of a source is accepted; None where some class may be. `refused`: by class, why it may not."""
    if not params.auto_accept:
        return "proposal_gate.auto_accept is false"
    if None in refused.values():
        return None
    if not any(error.accepted for error in by_class.values()):
        return f"no proposal on gold that has a class reaches {params.accept_at:g}"
    nearest = max(by_class, key=lambda label: by_class[label].accepted)
    return f"gold bears out no class; {nearest}: {refused[nearest]}"
