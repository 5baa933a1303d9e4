"""Three images of 6 x 4 pixels: one labelled by two people, one labelled and empty, one in the next batch."""

from pathlib import Path

import numpy as np
import pandas as pd

from datalab.adapters.files import write_label_map
from datalab.adapters.review_inputs import REVIEW_FIELDS, ReviewInputs
from datalab.config import Guidelines, LabelClass
from datalab.masks import mask_to_rle
from datalab.tables import (
    ADJUDICATION,
    ANNOTATED_REGIONS,
    CATALOG,
    CONSENSUS,
    DATASET,
    GOLD,
    LABEL_ERRORS,
    NEXT_BATCH,
    PROPOSALS,
    RATINGS,
    SCORES,
    SLICES,
    SURPRISE,
)

GUIDELINES = Guidelines((LabelClass(3, "coin", "#e69f00"), LabelClass(7, "cup", "#56b4e9")), (), "v", "o")
ANNA, BEN = "anna.k@datalab.local", "ben@datalab.local"
HEIGHT, WIDTH = 4, 6


class KilledError(Exception):
    """Stands for the end of the process in the middle of a step."""


def box_mask(top: int, left: int, bottom: int, right: int) -> str:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[top:bottom, left:right] = True
    return mask_to_rle(mask)


def catalog() -> pd.DataFrame:
    rows = [(name, f"{name}.png", f"in/{name}.png", WIDTH, HEIGHT, "0" * 16, name) for name in ("a1", "b2", "c3")]
    return pd.DataFrame(rows, columns=list(CATALOG))


def before_labels(folder: Path) -> ReviewInputs:
    return ReviewInputs(folder / "images", catalog(), GUIDELINES)


def after_round(folder: Path) -> ReviewInputs:
    """The coin of a1: consensus columns 0 to 1, prediction columns 0 to 2 (IoU 8/12; background 12/16)."""
    truth, predicted = np.zeros((2, HEIGHT, WIDTH), dtype=np.uint8)
    truth[:, :2], predicted[:, :3] = 3, 3
    empty = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    write_label_map(folder / "masks" / "a1.png", truth)
    write_label_map(folder / "masks" / "b2.png", empty)
    for name, label_map in (("a1", predicted), ("b2", empty), ("c3", predicted)):
        write_label_map(folder / "predictions" / f"{name}.png", label_map)
    coin, smaller = box_mask(0, 0, 4, 2), box_mask(1, 0, 4, 2)
    return ReviewInputs(
        images=folder / "images",
        catalog=catalog(),
        guidelines=GUIDELINES,
        ratings=pd.DataFrame(
            [
                ("n1", "0001", "a1", ANNA, 9.0, "batch", WIDTH, HEIGHT),
                ("n2", "0002", "a1", BEN, 8.0, "batch", WIDTH, HEIGHT),
                ("n3", "0001", "b2", ANNA, 7.0, "gold", WIDTH, HEIGHT),
            ],
            columns=list(RATINGS),
        ),
        regions=pd.DataFrame(
            [
                ("n1", "0001", ANNA, "a1", "r1", "coin", coin, HEIGHT, WIDTH, "edited"),
                ("n2", "0002", BEN, "a1", "r2", "coin", smaller, HEIGHT, WIDTH, "proposal"),
            ],
            columns=list(ANNOTATED_REGIONS),
        ),
        consensus=pd.DataFrame(
            [("a1", "k1", "coin", coin, HEIGHT, WIDTH, 2, 2, 0.875)],
            columns=list(CONSENSUS),
        ),
        agreement=pd.DataFrame({"image_id": ["a1", "a1", "b2"], "agreement": [0.5, 0.7, np.nan]}),
        index=pd.DataFrame(
            [("a1", "a1.png", "train", "a1", 2), ("b2", "b2.png", "test", "b2", 1)], columns=list(DATASET)
        ),
        scores=pd.DataFrame([("c3", 0.25, 0.5)], columns=list(SCORES)),
        next_batch=pd.DataFrame([("c3", 0, "uncertainty", 0.25)], columns=list(NEXT_BATCH)),
        masks=folder / "masks",
        predictions=folder / "predictions",
        gold=pd.DataFrame([("b2", "g", "", "", HEIGHT, WIDTH)], columns=list(GOLD)),
        doubts=pd.DataFrame(
            [("a1", "k2", "cup", coin, HEIGHT, WIDTH, "existence", False, "", 1, 2, ANNA)], columns=list(ADJUDICATION)
        ),
        surprise=pd.DataFrame([("0003", "a1", 0.25), ("0002", "a1", 0.5)], columns=list(SURPRISE)),
        label_errors=pd.DataFrame(
            [("a1", "image", "", "", 0, 0, 6, 4, 0.75), ("a1", "swapped", "coin", "cup", 0, 0, 2, 4, 0.9)],
            columns=list(LABEL_ERRORS),
        ),
        slices=pd.DataFrame([("b2", "dark")], columns=list(SLICES)),
        proposals=pd.DataFrame(
            [("c3", "p1", "coin", smaller, HEIGHT, WIDTH, 0.9, 0.8, "sam")], columns=list(PROPOSALS)
        ),
        reviews=pd.DataFrame(
            [("a1", "relabel", "a coin is missing", "rita", "2026-01-02", "sent in round 0002")],
            columns=["image_id", *REVIEW_FIELDS],
        ),
        journal=folder / "review-journal.jsonl",
    )
