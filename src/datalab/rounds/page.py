"""What the quality page of a round shows, gathered from the reports and tables of a workspace."""

import math
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from datalab.adapters.files import read_json, read_label_map, read_rgb, read_table
from datalab.adapters.report_page import COLORS, Heat, Page, crop_picture, heat_picture, outline_picture, write_page
from datalab.masks import rle_to_mask
from datalab.rounds.state import Round
from datalab.rounds.trends import trend_picture
from datalab.tables import ANNOTATED_REGIONS, CATALOG, LABEL_ERRORS, QUEUE, RATINGS, SUSPECTED
from datalab.workspace import Workspace

MOST_IMAGES, MOST_QUEUED, MOST_SUSPECTS = 12, 20, 10
NOT_NUMBERS = ("image_id", "rank", "reason", "why", "asked")
"""Columns of QUEUE."""
NAME_LENGTH = 40


def write_quality_page(workspace: Workspace, state: Round, parts: Sequence[Markup] = ()) -> None:
    """Write reports/round-NNNN.html, over all rounds so far; `parts` are finished HTML at its end."""
    agreement = read_json(workspace.reports / "agreement.json")
    consensus = read_json(workspace.reports / "consensus.json")
    queue = read_table(workspace.queue, QUEUE)
    contested = queue[queue["reason"] == "contested"]
    names, people = _names(workspace), agreement["annotators"]
    heats, most = _heats(workspace, queue, names)
    page = Page(
        number=state.number,
        workspace=workspace.name,
        images=consensus["images"],
        double=agreement["double_labelled_images"],
        double_groups=agreement.get("double_labelled_groups", agreement["double_labelled_images"]),
        annotators=people,
        verdict=agreement["verdict"],
        figures=agreement["figures"],
        matrix=_matrix(people, agreement["per_pair"]),
        classes=agreement["per_class"],
        attributes=agreement["per_attribute"],
        gold=read_json(workspace.reports / "gold.json")["annotators"],
        letters=list(zip(ascii_uppercase[:most], COLORS, strict=False)),
        heats=heats,
        consensus=consensus,
        left=read_json(workspace.reports / "errors_left.json"),
        audits=int((queue["reason"] == "audit").sum()),
        queue=[_queued(row, names) for row in contested.head(MOST_QUEUED).to_dict("records")],
        queued=len(contested),
        suspects=_suspects(workspace, names),
        parts=parts,
        trends=trend_picture(workspace),
    )
    write_page(workspace.reports / f"round-{state.round_id}.html", page)


def _names(workspace: Workspace) -> dict[str, str]:
    """image_id to the end of its path in the folder it came from."""
    catalog = read_table(workspace.catalog, CATALOG)
    return {
        image_id: source[-NAME_LENGTH:]
        for image_id, source in zip(catalog["image_id"], catalog["source"].astype(str), strict=True)
    }


def _matrix(people: Sequence[str], pairs: Mapping[str, Any]) -> list[list[Any]]:
    if not pairs:
        return []
    found = {frozenset(pair.split(" | ")): figures["objects"] for pair, figures in pairs.items()}
    return [[found.get(frozenset((a, b))) if a != b else None for b in people] for a in people]


def _heats(workspace: Workspace, queue: pd.DataFrame, names: Mapping[str, str]) -> tuple[list[Heat], int]:
    """The images on which people disagree most, and the largest number of people on one of them."""
    ratings = read_table(workspace.ratings, RATINGS)
    regions = read_table(workspace.regions, ANNOTATED_REGIONS)
    files = read_table(workspace.catalog, CATALOG).set_index("image_id")["file"]
    why = dict(zip(queue["image_id"], queue["why"], strict=True))
    means = {path.stem: float(read_label_map(path).mean()) for path in workspace.disagreement.glob("*.png")}
    worst = sorted((one for one, mean in means.items() if mean), key=lambda one: (-means[one], one))
    heats, most = [], 0
    for image_id in worst[:MOST_IMAGES]:
        pixels = read_rgb(workspace.images / str(files[image_id]))
        people = sorted(ratings.loc[ratings["image_id"] == image_id, "annotator"])
        most = max(most, len(people))
        drawn = regions[regions["image_id"] == image_id]
        masks = [
            [
                rle_to_mask(row["rle"], int(row["height"]), int(row["width"]))
                for row in drawn[drawn["annotator"] == who].to_dict("records")
            ]
            for who in people
        ]
        shares = read_label_map(workspace.disagreement / f"{image_id}.png").astype(np.float32) / 255
        note = str(why.get(image_id, ""))
        heats.append(Heat(names[image_id], note, outline_picture(pixels, masks), heat_picture(pixels, shares)))
    return heats, most


def _queued(row: Mapping[Any, Any], names: Mapping[str, str]) -> dict[str, Any]:
    numbers = {key: None if math.isnan(row[key]) else float(row[key]) for key in QUEUE if key not in NOT_NUMBERS}
    return {"name": names[row["image_id"]], "why": row["why"], **numbers}


def _suspects(workspace: Workspace, names: Mapping[str, str]) -> list[dict[str, Any]]:
    errors = read_table(workspace.label_errors, LABEL_ERRORS)
    files = read_table(workspace.catalog, CATALOG).set_index("image_id")["file"]
    objects = errors[errors["kind"].isin(SUSPECTED)].head(MOST_SUSPECTS)
    return [
        {
            **{key: row[key] for key in ("kind", "given", "suggested", "score")},
            "name": names[row["image_id"]],
            "crop": crop_picture(
                read_rgb(workspace.images / str(files[row["image_id"]])),
                (int(row["x"]), int(row["y"]), int(row["width"]), int(row["height"])),
            ),
        }
        for row in objects.to_dict("records")
    ]
