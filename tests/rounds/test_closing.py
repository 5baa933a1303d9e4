from pathlib import Path

import pandas as pd

from datalab.adapters.files import write_table
from datalab.rounds.closing import trusted_inputs
from datalab.tables import ANNOTATED_REGIONS, GOLD, GOLD_EVENTS, empty
from datalab.workspace import Workspace
from tests.quality.images import tables
from tests.rounds.labeling_round import nobody, ready_workspace


def gold_workspace(folder: Path, *events: tuple[str, str, str]) -> Workspace:
    """Images a and b are gold that ann has labelled in round 0001. `events`: (image, action, round)."""
    workspace, _ = ready_workspace(folder / "w", nobody(folder / "media"))
    ratings, _ = tables({("a", "ann"): [], ("b", "ann"): []})
    write_table(workspace.ratings, ratings)
    write_table(workspace.regions, empty(ANNOTATED_REGIONS))
    gold = pd.DataFrame([(one, f"{one}-t", "", "", 6, 8) for one in "ab"], columns=list(GOLD))
    write_table(workspace.gold, gold)
    rows = [(image, action, "because", "eve", round_id, "2026-01-01") for image, action, round_id in events]
    write_table(workspace.gold_events, pd.DataFrame(rows, columns=list(GOLD_EVENTS)))
    return workspace


def test_reviewers_see_no_gold_whose_truth_is_in_doubt(tmp_path: Path) -> None:
    inputs = trusted_inputs(gold_workspace(tmp_path, ("a", "disputed", "0001")))
    assert inputs.gold is not None
    assert inputs.gold["image_id"].tolist() == ["b"]
    assert inputs.judging is not None
    assert inputs.judging["image_id"].tolist() == ["b"]


def test_an_answer_that_made_an_image_gold_is_not_judged_by_it(tmp_path: Path) -> None:
    inputs = trusted_inputs(gold_workspace(tmp_path, ("a", "added", "0001")))
    assert inputs.gold is not None
    assert inputs.gold["image_id"].tolist() == ["a", "b"]
    assert inputs.judging is not None
    assert inputs.judging["image_id"].tolist() == ["b"]
