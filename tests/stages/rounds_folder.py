"""A folder of rounds with annotations as Label Studio gives them."""

import json
from pathlib import Path

import pandas as pd

from datalab.adapters.files import read_table, write_table
from datalab.adapters.label_studio.results import region_to_result
from datalab.tables import ANNOTATIONS, BATCH
from tests.quality.images import HEIGHT, WIDTH, Box, rle

Answer = tuple[str, str, list[Box]]
"""image, annotator, boxes."""


def result_json(boxes: list[Box]) -> str:
    results = [
        region_to_result(f"r{place}", label, rle(*box), HEIGHT, WIDTH) for place, (label, *box) in enumerate(boxes)
    ]
    return json.dumps(results)


def write_round(
    rounds: Path, round_id: str, answers: list[Answer], gold: tuple[str, ...] = (), first_id: int = 1, skipped: int = 0
) -> None:
    """Write batch.parquet and annotations.parquet; the last `skipped` answers are cancelled ones."""
    images = sorted({image for image, _, _ in answers})
    batch = [(image, "gold" if image in gold else "batch", 3, rank, "test") for rank, image in enumerate(images)]
    rows = [
        (
            first_id + place, place, round_id, image, annotator, 12.0,
            f"2026-01-0{round_id[-1]}", f"{round_id}-{place:02}", place >= len(answers) - skipped,
            "g", "o", WIDTH, HEIGHT, result_json(boxes),
        )
        for place, (image, annotator, boxes) in enumerate(answers)
    ]  # fmt: skip
    write_table(rounds / round_id / "batch.parquet", pd.DataFrame(batch, columns=list(BATCH)))
    write_table(rounds / round_id / "annotations.parquet", pd.DataFrame(rows, columns=list(ANNOTATIONS)))


def without_drawings(annotations: Path) -> None:
    """Leave a table of answers without what was drawn: whoever asks for that cannot read it any more."""
    kept = tuple(name for name in ANNOTATIONS if name != "result_json")
    write_table(annotations, read_table(annotations, kept))
