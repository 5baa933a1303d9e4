"""What no stage makes: DVC versions it as it is, and stages read it, so each table of it has to be there."""

from datalab.adapters.images_metadata import ensure_metadata
from datalab.rounds.adjudicating import ensure_decisions
from datalab.rounds.living_gold import ensure_events
from datalab.rounds.reviewing import ensure_reviews
from datalab.workspace import Workspace

RAW = (
    *("catalog", "champion", "decisions", "gold", "gold_events", "images", "metadata", "reviews", "rounds"),
    "view_slices",
)
"""Names of the paths of a workspace."""


def ensure_tables(workspace: Workspace) -> None:
    """Make each table without a row that nobody had anything to write into yet; those that are there stay."""
    ensure_decisions(workspace)
    ensure_events(workspace)
    ensure_reviews(workspace)
    ensure_metadata(workspace)
