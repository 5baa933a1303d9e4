"""What reviewers are shown, from tables typed by hand."""

from pathlib import Path

import pandas as pd

from datalab.adapters.files import write_table
from datalab.rounds.adjudicating import versions_of
from datalab.tables import QUEUE, REGIONS
from datalab.workspace import Workspace
from tests.quality.images import HEIGHT, WIDTH, Box, rle
from tests.stages.rated_folder import write_rated

COIN: Box = ("coin", 0, 0, 4, 4)
CUP: Box = ("cup", 6, 0, 4, 4)


def test_every_version_is_of_its_own_image_and_who_drew_nothing_has_one_too(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    drawn = {("b", "ann"): [COIN], ("a", "cat"): [CUP], ("a", "bob"): [], ("b", "bob"): [CUP, COIN], ("c", "ann"): []}
    write_rated(workspace.ratings.parent, drawn)
    agreed = [("b", "b-0", "coin", rle(0, 0, 4, 4), HEIGHT, WIDTH)]
    # of the consensus too nothing else is read
    write_table(workspace.consensus, pd.DataFrame(agreed, columns=list(REGIONS)))
    queue = pd.DataFrame({name: ["b", "c", "a"] if name == "image_id" else "" for name in QUEUE})
    found = versions_of(workspace, queue)
    shown = {key: {one.name: one.regions["label"].tolist() for one in versions} for key, versions in found.items()}
    assert shown == {
        "b": {"A": ["coin"], "B": ["cup", "coin"], "consensus": ["coin"]},
        "c": {"A": [], "consensus": []},
        "a": {"A": [], "B": ["cup"], "consensus": []},
    }
    assert all(one.fixed is None for versions in found.values() for one in versions)
