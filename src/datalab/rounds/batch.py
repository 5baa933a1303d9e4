"""Who is asked about what: the table of a round, made of chosen images and gold."""

from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from datalab.ranges import Count, Natural, Seed, Share
from datalab.tables import ROUND_BATCH

SENT_BACK = "review"
"""Reason of an image that a reviewer wants to have labelled again."""


@dataclass(frozen=True)
class BatchParams:
    """Size and shape of a round."""

    seed: Seed
    images: Count
    """Images chosen from the pool."""
    overlap: Count
    """How many people label an image of the overlap set, and a gold image."""
    overlap_share: Share
    """Share of the chosen images in the overlap set; the others are labelled once."""
    careful_overlap_share: Share
    """The same while gold says that somebody's labels cannot be relied on."""
    gold: Natural
    """Gold images mixed in."""
    unaided_share: Share
    """Share of the tasks that get no proposals, drawn at random: what proposals are worth is measured against them."""


def compose_batch(chosen: pd.DataFrame, gold: list[str], params: BatchParams, rng: np.random.Generator) -> pd.DataFrame:
    """Table ROUND_BATCH: the chosen images (NEXT_BATCH: image_id, rank, reason) with gold images at random places.

    Gold goes to as many people as the overlap set, so that nothing tells the two apart. The overlap set is drawn at
    random, not by rank: agreement measured on the hardest images alone would say nothing about the others. So are the
    tasks without proposals. What a reviewer sent back takes no part in either: one person mends it, with proposals.
    """
    picked = chosen.sort_values("rank").head(params.images)
    fresh = np.flatnonzero((picked["reason"] != SENT_BACK).to_numpy())
    overlapping = set(rng.permutation(fresh)[: round(params.overlap_share * len(fresh))].tolist())
    rows = [
        {"image_id": image_id, "role": "batch", "overlap": params.overlap if place in overlapping else 1, "reason": why}
        for place, (image_id, why) in enumerate(zip(picked["image_id"], picked["reason"], strict=True))
    ]
    for image_id in gold:
        row = {"image_id": image_id, "role": "gold", "overlap": params.overlap, "reason": "gold"}
        rows.insert(int(rng.integers(0, len(rows) + 1)), row)
    table = pd.DataFrame(rows, columns=["image_id", "role", "overlap", "reason"])
    aided = np.array(_with_proposals(list(table["role"]), params.unaided_share, rng), dtype=bool)
    aided |= (table["reason"] == SENT_BACK).to_numpy()
    return table.assign(rank=range(len(table)), aided=aided).loc[:, list(ROUND_BATCH)]


def _with_proposals(roles: list[str], unaided_share: float, rng: np.random.Generator) -> list[bool]:
    """For each task whether it gets proposals.

    Dealt by role: as many as the share says, the fraction of a task that is left over being one as often as it says. Of
    two or more gold images one at least goes without, since quality cannot be compared otherwise.
    """
    aided = np.ones(len(roles), dtype=bool)
    for role in ("batch", "gold"):
        places = np.flatnonzero(np.array(roles) == role)
        # rounded to the nearest, small rounds would never have any
        count = int(unaided_share * len(places) + rng.random())
        if role == "gold" and unaided_share > 0 and len(places) >= 2:
            count = max(1, count)
        aided[rng.permutation(places)[:count]] = False
    return [bool(one) for one in aided]


def rotate_gold(gold: list[str], exposures: dict[str, int], count: int, rng: np.random.Generator) -> list[str]:
    """`count` gold images, those shown in the fewest rounds first, ties at random."""
    shuffled = [gold[place] for place in rng.permutation(len(gold))]
    return sorted(shuffled, key=lambda image_id: exposures.get(image_id, 0))[:count]


def choose_gold(truth: pd.DataFrame, catalog: pd.DataFrame, count: int, rng: np.random.Generator) -> pd.DataFrame:
    """Rows of `truth` (table GOLD) for `count` images drawn at random, stratified by their classes and slice.

    One image per duplicate group: a near copy in the pool of a gold image would be learned by heart. Images are dealt
    in turn from the strata (sets of classes in one folder of sources), rare ones first.
    """
    groups = dict(zip(catalog["image_id"], catalog["duplicate_group"], strict=True))
    sizes = catalog["duplicate_group"].value_counts()
    slices = {image_id: PurePosixPath(source).parent for image_id, source in catalog[["image_id", "source"]].to_numpy()}
    strata: dict[tuple[PurePosixPath, str], list[str]] = {}
    for image_id, rows in truth.groupby("image_id", sort=True):
        if sizes[groups[image_id]] == 1:
            stratum = (slices[image_id], "+".join(sorted(set(rows["label"]) - {""})))
            strata.setdefault(stratum, []).append(str(image_id))
    decks = [rng.permutation(members).tolist() for members in sorted(strata.values(), key=len)]
    dealt = [deck[turn] for turn in range(max(map(len, decks), default=0)) for deck in decks if turn < len(deck)]
    return truth[truth["image_id"].isin(dealt[:count])].reset_index(drop=True)
