"""Reviewers: what they are asked, and what they decided."""

from datalab.adapters.files import write_table
from datalab.tables import DECISIONS, empty
from datalab.workspace import Workspace


def ensure_decisions(workspace: Workspace) -> None:
    """Make decisions.parquet without a row where it is missing: the stage `consensus` reads it."""
    if not workspace.decisions.exists():
        write_table(workspace.decisions, empty(DECISIONS))
