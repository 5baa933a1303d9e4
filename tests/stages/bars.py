"""What DVC makes of a table that dvc.yaml has drawn as bars."""

from pathlib import Path

import pandas as pd
import yaml

PIPELINE = Path(__file__).parents[2] / "dvc.yaml"


def check_bars(table: Path) -> None:
    """Each bar is one row: DVC lays those of one name on top of each other, as if their sum meant something."""
    stages = yaml.safe_load(PIPELINE.read_text())["stages"].values()
    plots = {Path(name).name: how for stage in stages for plot in stage.get("plots", []) if isinstance(plot, dict)
             for name, how in plot.items()}  # fmt: skip
    how = plots[table.name]
    assert how["template"] == "bar_horizontal"
    rows = pd.read_csv(table)
    assert how["x"] in rows
    assert rows[how["y"]].is_unique
