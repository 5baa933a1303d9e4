"""ratings.parquet and regions.parquet of a workspace, as stage collect leaves them."""

from pathlib import Path

from datalab.adapters.files import write_table
from tests.quality.images import Box, tables

CLASSES = """classes: [{id: 1, name: coin, color: "#ff0000"}, {id: 2, name: cup, color: "#00ff00"}]"""


def write_rated(folder: Path, answers: dict[tuple[str, str], list[Box]], role: str = "batch") -> tuple[Path, Path]:
    """(image, annotator) to boxes; the paths of the two tables."""
    ratings, regions = tables(answers, role)
    paths = folder / "ratings.parquet", folder / "regions.parquet"
    for path, table in zip(paths, (ratings, regions), strict=True):
        write_table(path, table)
    (folder / "guidelines").mkdir(exist_ok=True)
    (folder / "guidelines" / "classes.yaml").write_text(CLASSES)
    return paths
