"""The report of a round, from the files that its steps and stages leave."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from datalab.adapters.files import read_json, read_table, write_json, write_table, write_text
from datalab.errors import InputError
from datalab.rounds.progress import silent
from datalab.rounds.proof_inputs import kept_confusions, left_the_tests
from datalab.rounds.report import read_report, write_report
from datalab.rounds.state import Round, save_round
from datalab.rounds.summary import summary_rows
from datalab.settings import KEYS
from datalab.tables import CONFUSIONS, DATASET, RATINGS
from datalab.workspace import Workspace
from tests.rounds.proof_history import write_history
from tests.rounds.test_page import rated_workspace
from tests.rounds.test_provenance import LOCK

FACTS = {
    "batch": {"batch": 36, "gold": 1}, "sam": "sam-small-1", "proposals": 40, "annotations": 37, "skipped": 0,
    "annotators": ["ann"], "project_id": 3, "review": "http://127.0.0.1:5151/datasets/x",
}  # fmt: skip
FIGURE = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 9, "reason": None}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two rounds, the second one just published."""
    write_history(tmp_path, 2)
    workspace = rated_workspace(tmp_path)
    (workspace.reports / "round-0002.json").unlink()
    ratings = read_table(workspace.ratings, RATINGS).assign(guideline_version="v1")
    write_table(workspace.ratings, ratings)
    index = [(one, f"{one}.png", "train", one, 2) for one in sorted(set(ratings["image_id"]))]
    write_table(workspace.dataset / "index.parquet", pd.DataFrame(index, columns=list(DATASET)))
    write_text(workspace.root / "dvc.lock", LOCK)
    write_text(workspace.env, "".join(f"{key}=x\n" for key in KEYS))
    write_json(workspace.reports / "model_agreement.json", {"unseen": {"model": {"agreement": FIGURE}}})
    duel = {"champion": FIGURE, "challenger": FIGURE, "difference": {**FIGURE, "value": 0.1, "low": -0.1, "high": 0.3}}
    compared = {"reason": None, "test_images": 9, "left_out": 3, "better": 5, "worse": 2, **duel}
    write_json(workspace.reports / "comparison.json", compared)
    write_json(workspace.reports / "train.json", {"warnings": ["'crack' falls through", "'dust' does"]})
    write_json(workspace.reports / "leaks.json", {"leaks": 2, "judged": 9, "pairs": [], "reason": None})
    write_json(workspace.reports / "slices.json", {"worse": [], "slices": [], "named": []})
    benefit = {"seconds_per_object": {"ratio": FIGURE}, "warning": None}
    write_json(workspace.reports / "proposals.json", {"rounds": {}, "all": benefit})
    return workspace


@pytest.mark.slow
def test_a_report_has_its_proof_in_the_file_the_summary_and_the_page(workspace: Workspace) -> None:
    state = Round(2, "g", "o", facts=FACTS)
    save_round(workspace, state)
    assert write_report(workspace, state, silent) == {}
    report = read_json(workspace.reports / "round-0002.json")
    told = [row["value"] for row in summary_rows(report) if row["figure"] == "training"]
    assert told == ["'crack' falls through", "'dust' does"]
    assert [row["round"] for row in report["proof"]["curve"]["rounds"]] == [1, 2]
    rows = {row["figure"]: row["value"] for row in summary_rows(report)}
    assert rows["next batch: worth it"] == "cannot tell yet: 2 of the 3 comparable rounds that a forecast needs"
    assert rows["images labelled by two people or more"] == "3 in 2 groups"
    assert rows["held-out images"].endswith("; 2 of 9 held out look like learned ones: reports/plots/leaks.png")
    assert rows["model"] == "m1, of dataset d1.dir with 3 images"
    assert rows["model: images labelled by guidelines"] == "v1: 3"
    assert rows["keep it"] == 'git add -A && git commit -m "Round 2"'
    said = rows["model against the one before: mIoU"]
    assert said == (
        "0.100 (-0.100 to 0.300), better on 5 of 9 test images, worse on 2; "
        "3 left out, which the one before had learned from"
    )
    page = (workspace.reports / "round-0002.html").read_text(encoding="utf-8")
    assert "Does the next batch pay?" in page
    assert "Is the new model better?" in page
    assert "3 more are left out" in page
    assert "2 of the 3 comparable rounds that a forecast needs" in page
    assert page.count('alt="mIoU against labelled images and annotators') == 1
    assert (workspace.reports / "confusions" / "0002.parquet").exists()


@pytest.mark.slow
def test_test_images_of_the_round_before_that_are_learned_from_now_are_told(workspace: Workspace) -> None:
    tested = sorted(set(read_table(kept_confusions(workspace, 1), CONFUSIONS)["image_id"]))
    assert len(tested) > 1
    known = read_table(workspace.dataset / "index.parquet", DATASET)
    for split, moved in (("test", 0), ("train", 1)):
        index = known.assign(image_id=[tested[0], *known["image_id"][1:]], split=[split, *known["split"][1:]])
        write_table(workspace.dataset / "index.parquet", index)
        told = left_the_tests(workspace, 2)
        assert (told is not None) == moved
    assert told is not None
    assert told.startswith(f"1 of the {len(tested)} test images of round 1 are training images now")
    assert left_the_tests(workspace, 1) is None
    save_round(workspace, Round(2, "g", "o", facts=FACTS))
    write_report(workspace, Round(2, "g", "o", facts=FACTS), silent)
    assert read_json(workspace.reports / "round-0002.json")["training_warnings"][-1] == told


def test_the_newest_report_is_found_and_a_missing_one_is_told(workspace: Workspace) -> None:
    assert read_report(workspace, None)["round"] == 1
    with pytest.raises(InputError, match="has no report of round 2; finish a round first"):
        read_report(workspace, 2)
    # a commit has the reports, and not what a round wrote down while it went on
    shutil.rmtree(workspace.rounds)
    assert read_report(workspace, None)["round"] == 1
