"""What a look at a round costs where nothing is new, and what it brings where something is."""

import pandas as pd

from datalab.adapters.label_studio.pull import pull_changes
from datalab.adapters.label_studio.push import PushedRound
from datalab.config import Guidelines
from tests.adapters.label_studio.fake_server import FakeLabelStudio, client_over

TARGET = PushedRound(1, "0001", Guidelines((), (), "v", "o"))
DATA = {"image_id": "a", "round": "0001", "guideline_version": "v", "ontology_hash": "o"}


def test_the_catalog_is_read_for_what_is_new_alone() -> None:
    """It may have a hundred thousand rows, and a round is looked at every five seconds."""
    server = FakeLabelStudio(tasks=[{"id": 5, "data": DATA, "overlap": 1, "is_labeled": False, "annotations": []}])
    made = server.answer(5, 1, [])
    server.drafts[5] = [{"id": 9, "user": "b", "result": [], "lead_time": 1.0, "created_at": "t", "updated_at": "t"}]
    catalog = pd.DataFrame({"image_id": ["z", "a"], "width": [1, 640], "height": [2, 480]})
    new = pull_changes(client_over(server), TARGET, catalog, {}).rows
    assert new[["kind", "width", "height"]].to_numpy().tolist() == [["annotation", 640, 480], ["draft", 640, 480]]
    known = {("annotation", made["id"]): made["updated_at"], ("draft", 9): "t"}
    assert pull_changes(client_over(server), TARGET, pd.DataFrame(), known).rows.empty


def test_an_image_that_is_not_in_the_catalog_has_no_size() -> None:
    server = FakeLabelStudio(tasks=[{"id": 5, "data": DATA, "overlap": 1, "is_labeled": False, "annotations": []}])
    server.answer(5, 1, [])
    catalog = pd.DataFrame({"image_id": ["z"], "width": [1], "height": [2]})
    new = pull_changes(client_over(server), TARGET, catalog, {}).rows
    assert new[["width", "height"]].to_numpy().tolist() == [[0, 0]]
