"""ratings.parquet and regions.parquet of a workspace, as stage collect leaves them."""

from pathlib import Path

import pandas as pd

from datalab.adapters.files import write_table
from datalab.learning.splits import GroupRules
from datalab.tables import CATALOG, METADATA, empty
from tests.quality.images import HEIGHT, WIDTH, Box, tables

CLASSES = """classes: [{id: 1, name: coin, color: "#ff0000"}, {id: 2, name: cup, color: "#00ff00"}]"""

ALONE = GroupRules(group_by="", group_column="", distance=-1)
"""No two images hang together."""


def write_rated(folder: Path, answers: dict[tuple[str, str], list[Box]], role: str = "batch") -> tuple[Path, Path]:
    """(image, annotator) to boxes; the paths of the two tables."""
    ratings, regions = tables(answers, role)
    paths = folder / "ratings.parquet", folder / "regions.parquet"
    for path, table in zip(paths, (ratings, regions), strict=True):
        write_table(path, table)
    (folder / "guidelines").mkdir(exist_ok=True)
    (folder / "guidelines" / "classes.yaml").write_text(CLASSES)
    return paths


def write_catalog(folder: Path, sources: dict[str, str]) -> Path:
    """image_id to the path it came from."""
    rows = [(image, f"{image}.png", source, WIDTH, HEIGHT, "0" * 16, image) for image, source in sources.items()]
    write_table(folder / "catalog.parquet", pd.DataFrame(rows, columns=list(CATALOG)))
    return folder / "catalog.parquet"


def write_metadata(folder: Path, written: dict[str, dict[str, str]]) -> Path:
    """image_id to what its row of a metadata.csv says."""
    rows = [{"image_id": image_id, **said} for image_id, said in written.items()]
    write_table(folder / "metadata.parquet", pd.DataFrame(rows) if rows else empty(METADATA))
    return folder / "metadata.parquet"
