"""Stage `adjudicate`: which images a reviewer should decide about: the riskiest first, a random audit among them."""

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datalab.adapters.files import read_json, read_table, write_json, write_table
from datalab.config import load_params
from datalab.errors import InputError, one_line_errors
from datalab.masks import rle_union
from datalab.quality.adjudication import errors_left
from datalab.quality.risk import PARTS, audit_sample, mix, risk_of
from datalab.ranges import Amount, Seed, Share
from datalab.tables import ADJUDICATION, DECISIONS, LABEL_ERRORS, QUEUE, RATINGS, SUSPECTED

ASKED = ("images", "objects")
"""All of a contested image, or its contested objects alone."""
IMAGE_AGREEMENT = ("image_id", "agreement")


@dataclass(frozen=True)
class Params:
    """Section `adjudicate` of params.yaml."""

    seed: Seed
    audit_share: Share
    risk: Amount
    """From which an image is queued that nobody contested."""
    agreement: Amount
    """Weights of the parts of the risk; this and the next three."""
    skill: Amount
    model: Amount
    label_error: Amount
    ask: str
    """About a contested image: one of ASKED."""


@dataclass(frozen=True)
class Inputs:
    """Files of the stage."""

    ratings: Path
    agreement: Path
    gold_report: Path
    adjudication: Path
    decisions: Path
    label_errors: Path
    consensus_report: Path
    """With the outcome of the audit so far."""


def run(inputs: Inputs, out: Path, report: Path, params: Params) -> None:
    """Write `out` (table QUEUE): contested and risky images by risk, the audit at random places among them.

    `report` has what the audit says of the images that it is drawn from and nobody has looked at (`unseen_images`); of
    the risky ones that wait (`risky_images`) it says nothing.

    Gold images are left out, and those that are decided, but for objects that were contested after a decision about
    others. InputError for an `ask` that is none.
    """
    if params.ask not in ASKED:
        raise InputError(f"adjudicate.ask is {params.ask!r} in params.yaml; known: {', '.join(ASKED)}")
    ratings = read_table(inputs.ratings, RATINGS)
    ratings = ratings[ratings["role"] != "gold"]
    doubts = read_table(inputs.adjudication, ADJUDICATION)
    errors = read_table(inputs.label_errors, LABEL_ERRORS)
    decisions = read_table(inputs.decisions, DECISIONS)
    decided = set(decisions["image_id"]) - set(doubts["image_id"])
    table = pd.DataFrame({"image_id": sorted(set(ratings["image_id"]) - decided)})
    for name, values in _parts(ratings, inputs, errors).items():
        table[name] = table["image_id"].map(values).astype("float64")
    weights = {name: float(getattr(params, name)) for name in PARTS}
    known = table[list(PARTS)].to_dict("records")
    table["risk"] = [_nan(risk_of({str(key): _none(value) for key, value in row.items()}, weights)) for row in known]
    contested = table["image_id"].isin(doubts["image_id"]) | (table["risk"] >= params.risk)
    drawn = set(audit_sample(table.loc[~contested, "image_id"], params.audit_share, params.seed))
    table["reason"] = np.where(contested, "contested", "audit")
    why = _reasons(doubts, errors)
    areas = _areas(doubts, decisions) if params.ask == "objects" else {}
    table["asked"] = [areas.get(image_id, "") for image_id in table["image_id"]]
    table["why"] = [why.get(image_id, "") for image_id in table["image_id"]]
    queued = table[contested | table["image_id"].isin(drawn)]
    write_table(out, _ordered(queued, params.seed))
    risky = contested & ~table["image_id"].isin(doubts["image_id"])
    write_json(report, _left(read_json(inputs.consensus_report), int((~contested).sum()), int(risky.sum())))


def _left(consensus: Mapping[str, int], unseen: int, risky: int) -> dict[str, Any]:
    figures = errors_left(consensus["wrong_images"], consensus["audited_images"], unseen)
    return {
        "unseen_images": unseen,
        "risky_images": risky,
        **{name: figure.as_json() for name, figure in figures.items()},
    }


def _parts(ratings: pd.DataFrame, inputs: Inputs, errors: pd.DataFrame) -> dict[str, Mapping[object, float]]:
    """Part of the risk to its value by image."""
    scores = read_json(inputs.gold_report)["annotators"]
    # the skill of somebody who has seen no gold is what was assumed before
    skills = {name: float(score["skill"]) for name, score in scores.items() if score["images"]}
    lack = 1 - ratings["annotator"].map(skills).astype("float64")
    pairs = read_table(inputs.agreement, IMAGE_AGREEMENT)
    models = errors[errors["kind"] == "model"].set_index("image_id")["score"].to_dict()
    worst = errors[errors["kind"].isin(SUSPECTED)].groupby("image_id")["score"].max().to_dict()
    return {
        "agreement": (1 - pairs.groupby("image_id")["agreement"].mean()).to_dict(),
        "skill": lack.groupby(ratings["image_id"]).mean().to_dict(),
        "model": models,
        # a model that looked and suspects nothing makes an image safer: left out, the image would pass for riskier
        "label_error": {**dict.fromkeys(models, 0.0), **worst},
    }


def _areas(doubts: pd.DataFrame, decisions: pd.DataFrame) -> dict[object, str]:
    """image_id to the RLE of what is contested on it and of what was asked before: the newest answer counts alone."""
    before = decisions.drop_duplicates("image_id").set_index("image_id")["asked"].to_dict()
    found: dict[object, str] = {}
    for image_id, rows in doubts.groupby("image_id"):
        masks = [*rows["rle"], *rows["disputed"], before.get(image_id, "")]
        found[image_id] = rle_union(masks, int(rows["height"].iloc[0]), int(rows["width"].iloc[0]))
    return found


def _reasons(doubts: pd.DataFrame, errors: pd.DataFrame) -> dict[object, str]:
    """image_id to what is in doubt, for people: "existence of coin, cup swapped with coin?"."""
    said: dict[object, list[str]] = {}
    for row in doubts.to_dict("records"):
        said.setdefault(row["image_id"], []).append(f"{row['reason']} of {row['label']}")
    objects = errors[errors["kind"].isin(SUSPECTED)].sort_values("score", ascending=False)
    for row in objects.drop_duplicates("image_id").to_dict("records"):
        doubt = f"{row['given']} or {row['suggested']}? ({row['kind']})"
        said.setdefault(row["image_id"], []).append(f"outline of {row['given']}" if row["kind"] == "outline" else doubt)
    return {image_id: ", ".join(dict.fromkeys(parts)) for image_id, parts in said.items()}


def _ordered(queued: pd.DataFrame, seed: int) -> pd.DataFrame:
    by_risk = queued.sort_values(["risk", "image_id"], ascending=[False, True])
    contested = by_risk.loc[by_risk["reason"] == "contested", "image_id"].tolist()
    audits = queued.loc[queued["reason"] == "audit", "image_id"].tolist()
    rng = np.random.default_rng(seed)
    order = mix(contested, rng.permutation(audits).tolist(), rng)
    ranks = {image_id: rank for rank, image_id in enumerate(order)}
    ranked = queued.assign(rank=queued["image_id"].map(ranks)).sort_values("rank")
    return ranked.loc[:, list(QUEUE)].reset_index(drop=True)


def _none(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _nan(value: float | None) -> float:
    return math.nan if value is None else value


def main() -> None:
    """Paths come from dvc.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    reads = ("ratings", "agreement", "gold-report", "adjudication", "decisions", "label-errors", "consensus-report")
    for name in (*reads, "out", "report", "params"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    paths = parser.parse_args()
    inputs = Inputs(*(getattr(paths, name.replace("-", "_")) for name in reads))
    run(inputs, paths.out, paths.report, load_params(paths.params, "adjudicate", Params))


if __name__ == "__main__":
    with one_line_errors():
        main()
