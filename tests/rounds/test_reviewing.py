"""What came of reviews, on a workspace typed by hand."""

from pathlib import Path

import pandas as pd

from datalab.adapters.files import write_table
from datalab.rounds.reviewing import outcomes
from datalab.rounds.state import Round, save_round
from datalab.tables import REVIEWS, ROUND_REVIEWS
from datalab.workspace import Workspace
from tests.stages.rounds_folder import without_drawings, write_round


def test_who_answered_a_review_is_read_without_the_drawings(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    write_round(workspace.rounds, "0001", [("a", "bob", []), ("a", "ann", []), ("b", "cat", [])], skipped=1)
    save_round(workspace, Round(1, "g", "o"))
    without_drawings(workspace.rounds / "0001" / "annotations.parquet")
    sent = [(f"r-{one}", one, "", "relabel", "", "", "") for one in "ab"]
    write_table(workspace.rounds / "0001" / "reviews.parquet", pd.DataFrame(sent, columns=list(ROUND_REVIEWS)))
    said = [(f"r-{one}", one, "", "relabel", "", "rita", "2026-01-01", "operator", "", "") for one in "ab"]
    write_table(workspace.reviews, pd.DataFrame(said, columns=list(REVIEWS)))
    found = outcomes(workspace).set_index("image_id")["review_outcome"]
    assert found["a"] == "labelled anew in round 0001 by bob on 0001-00, ann on 0001-01"
    assert found["b"] == "sent in round 0001"
