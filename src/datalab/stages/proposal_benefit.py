"""Stage `proposal_benefit`: whether proposals help, from the random share of tasks that had none."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datalab.adapters.files import has_columns, read_table, write_json
from datalab.adapters.stage_progress import stage_bar
from datalab.config import load_params
from datalab.errors import one_line_errors
from datalab.quality.gold_ledger import judging_ratings
from datalab.quality.proposal_benefit import Answer, Shape, measure_benefit
from datalab.ranges import Amount, Count, Seed, Share
from datalab.tables import (
    ANNOTATED_REGIONS,
    GOLD,
    GOLD_EVENTS,
    RATINGS,
    REGIONS,
    ROUND_BATCH,
    empty,
    known_objects,
    unknown_pixels,
)

SHOWN = (*REGIONS, "decision")
"""Of a round's proposals."""


@dataclass(frozen=True)
class Params:
    """Section `proposal_benefit` of params.yaml."""

    seed: Seed
    iou_threshold: Share
    least_tasks: Count
    """Images with and without proposals; with fewer the warning says that nothing can be told."""
    longest_answer_s: Amount
    """A longer answer counts as this: people leave tasks open over lunch, and one of them would decide a mean."""


@dataclass(frozen=True)
class Inputs:
    """Files of the stage."""

    rounds: Path
    ratings: Sequence[Path]
    """Tables RATINGS of the newest answers and of those on gold that later ones replaced."""
    regions: Sequence[Path]
    """Their tables ANNOTATED_REGIONS."""
    gold: Path
    gold_events: Path
    """Table GOLD_EVENTS: by what nobody is judged."""


def run(inputs: Inputs, report: Path, params: Params) -> None:
    """Write `report`: `rounds` (round_id to figures) and `all`, the same over every round.

    Rounds that were opened before tasks without proposals existed are left out, and so is what a reviewer sent back: it
    starts from the consensus. What people said of an image before it became gold counts like any other answer, for it
    may have made the truth; what they said of gold whose truth is in doubt is left out.
    """
    gold, events = read_table(inputs.gold, GOLD), read_table(inputs.gold_events, GOLD_EVENTS)
    truth = _by(gold, "image_id")
    drawn = _by(pd.concat([read_table(path, ANNOTATED_REGIONS) for path in inputs.regions]), "annotation_id")
    answered = pd.concat([read_table(path, RATINGS) for path in inputs.ratings], ignore_index=True)
    answered = answered.assign(lead_time_s=answered["lead_time_s"].clip(upper=params.longest_answer_s))
    judged = judging_ratings(answered, gold["image_id"], events).index
    rated = _by(answered.assign(judged=answered.index.isin(judged)), "round_id")
    rng = np.random.default_rng(params.seed)
    answers: list[Answer] = []
    figures = {}
    folders = sorted(path.parent for path in inputs.rounds.glob("*/batch.parquet"))
    for folder in stage_bar("proposal benefit", len(folders), "round", folders):
        if not has_columns(folder / "batch.parquet", ROUND_BATCH):
            continue
        found = list(_answers(folder, rated.get(folder.name, empty((*RATINGS, "judged"))), drawn, truth))
        figures[folder.name] = measure_benefit(found, params.iou_threshold, params.least_tasks, rng)
        answers += found
    pooled = measure_benefit(answers, params.iou_threshold, params.least_tasks, rng)
    write_json(report, {"rounds": figures, "all": pooled})


def _answers(
    folder: Path, ratings: pd.DataFrame, drawn: dict[Any, pd.DataFrame], truth: dict[Any, pd.DataFrame]
) -> Iterator[Answer]:
    batch = read_table(folder / "batch.parquet", ROUND_BATCH)
    batch = batch[batch["reason"] != "review"]
    aided = dict(zip(batch["image_id"], batch["aided"], strict=True))
    path = folder / "proposals.parquet"
    proposals = _by(read_table(path, SHOWN), ["image_id", "decision"]) if path.exists() else {}
    shown_as_gold = set(batch.loc[batch["role"] == "gold", "image_id"])
    for row in ratings[ratings["image_id"].isin(batch["image_id"])].to_dict("records"):
        image_id = row["image_id"]
        if image_id in shown_as_gold and not row["judged"]:
            continue
        regions = drawn.get(row["annotation_id"])
        yield Answer(
            image_id=image_id,
            aided=bool(aided[image_id]),
            seconds=None if pd.isna(row["lead_time_s"]) else float(row["lead_time_s"]),
            regions=_shapes(regions),
            origins=() if regions is None else tuple(regions["origin"]),
            proposals=_shapes(proposals.get((image_id, "propose"))),
            accepted=_shapes(proposals.get((image_id, "accept"))),
            truth=_shapes(known_objects(truth[image_id])) if row["judged"] else None,
            height=int(row["height"]),
            width=int(row["width"]),
            unknown=unknown_pixels(truth[image_id]).get(image_id, "") if row["judged"] else "",
        )


def _by(table: pd.DataFrame, column: str | list[str]) -> dict[Any, pd.DataFrame]:
    return dict(iter(table.groupby(column)))


def _shapes(rows: pd.DataFrame | None) -> tuple[Shape, ...]:
    if rows is None:
        return ()
    return tuple((label, rle) for label, rle in zip(rows["label"], rows["rle"], strict=True) if rle)


def main() -> None:
    """Paths come from dvc.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("rounds", "gold", "gold-events", "report", "params"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("ratings", "regions"):
        parser.add_argument(f"--{name}", type=Path, nargs="+", required=True)
    paths = parser.parse_args()
    params = load_params(paths.params, "proposal_benefit", Params)
    inputs = Inputs(paths.rounds, paths.ratings, paths.regions, paths.gold, paths.gold_events)
    run(inputs, paths.report, params)


if __name__ == "__main__":
    with one_line_errors():
        main()
