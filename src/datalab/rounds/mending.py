"""What annotators start from where a reviewer sent labels back: the labels themselves, open where they are wrong."""

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from datalab.adapters.files import read_table
from datalab.masks import rle_box_xywh
from datalab.tables import CONSENSUS, GATED_PROPOSALS, empty, typed
from datalab.workspace import Workspace

NEAR = 0.5
"""Boxes that overlap less are different objects."""
MADE_BY = "consensus"


def regions_to_mend(workspace: Workspace, requests: pd.DataFrame) -> pd.DataFrame:
    """Table GATED_PROPOSALS of the images whose consensus people are to mend. `requests`: table ROUND_REVIEWS.

    "wrong class" of an image: every object may be changed. A verdict on objects: those may be changed, the others are
    shown and fixed; where none of the objects is there any more, all may be changed. "relabel" of an image is left out:
    it starts from proposals as if nobody had seen it.
    """
    if requests.empty or not workspace.consensus.exists():
        return empty(GATED_PROPOSALS)
    anew = requests[(requests["region_id"] == "") & (requests["verdict"] == "relabel")]
    mended = requests[~requests["image_id"].isin(anew["image_id"])]
    consensus = read_table(workspace.consensus, CONSENSUS)
    rows: list[dict[str, object]] = []
    for image_id, asked in mended.groupby("image_id"):
        objects = consensus[consensus["image_id"] == image_id].to_dict("records")
        opened = {place for box in asked["box"] if box for place in _places(str(box), objects)}
        if not opened or (asked["region_id"] == "").any():
            opened = set(range(len(objects)))
        rows += [_proposal(row, place in opened) for place, row in enumerate(objects)]
    return typed(pd.DataFrame(rows, columns=list(GATED_PROPOSALS)))


def _proposal(row: dict[Hashable, Any], may_change: bool) -> dict[str, object]:
    decision = "propose" if may_change else "accept"
    scores = {"predicted_iou": row["agreement"], "stability": 1.0, "expected_iou": np.nan}
    made = {"model_version": MADE_BY, "source": MADE_BY, "decision": decision}
    return {**{str(key): value for key, value in row.items()}, **scores, **made}


def _places(box: str, objects: list[dict[Hashable, Any]]) -> list[int]:
    """Where in `objects` the one that fits this box best lies: the consensus may have changed since it was seen."""
    x, y, width, height = map(float, box.split())
    wanted = [x, y, x + width, y + height]
    overlaps = [_iou(wanted, _box(row)) for row in objects]
    best = int(np.argmax(overlaps)) if overlaps else -1
    return [best] if overlaps and overlaps[best] >= NEAR else []


def _box(row: dict[Hashable, Any]) -> list[float]:
    """(left, top, right, bottom) as shares of the image."""
    height, width = int(row["height"]), int(row["width"])
    x, y, w, h = rle_box_xywh(row["rle"], height, width)
    return [x / width, y / height, (x + w) / width, (y + h) / height]


def _iou(one: list[float], other: list[float]) -> float:
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, across) * max(0.0, down)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return shared / (areas - shared) if areas > shared else 0.0
