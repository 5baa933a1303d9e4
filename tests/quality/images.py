"""Tiny images rated by people, typed by hand."""

import numpy as np
import pandas as pd

from datalab.masks import mask_to_rle
from datalab.tables import ANNOTATED_REGIONS, RATINGS

HEIGHT, WIDTH = 6, 8
Box = tuple[str, int, int, int, int]
"""label, top, left, bottom, right."""


def rle(top: int, left: int, bottom: int, right: int) -> str:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[top:bottom, left:right] = True
    return mask_to_rle(mask)


def tables(answers: dict[tuple[str, str], list[Box]], role: str = "batch") -> tuple[pd.DataFrame, pd.DataFrame]:
    """(image, annotator) to boxes, as tables RATINGS and ANNOTATED_REGIONS."""
    ratings, regions = [], []
    for number, ((image_id, annotator), boxes) in enumerate(answers.items()):
        ratings.append((number, "0001", image_id, annotator, 10.0 + number, role, WIDTH, HEIGHT))
        for place, (label, *box) in enumerate(boxes):
            region = (image_id, f"{number}-{place}", label, rle(*box), HEIGHT, WIDTH)
            regions.append((number, "0001", annotator, *region, "manual"))
    return pd.DataFrame(ratings, columns=list(RATINGS)), pd.DataFrame(regions, columns=list(ANNOTATED_REGIONS))
