"""Somebody who labels alone, on the real Label Studio."""

from pathlib import Path

import pytest

from datalab.adapters.files import read_table
from datalab.adapters.label_studio.client import connect
from datalab.adapters.label_studio.results import region_to_result
from datalab.rounds import labeling
from datalab.rounds.progress import silent
from datalab.settings import Settings
from datalab.tables import BATCH
from tests.rounds.labeling_round import ready_workspace
from tests.services.labeling import TRUE
from tests.services.test_label_studio_faults import values
from tests.simulate.people import SIDE

pytestmark = pytest.mark.services


def test_a_lowered_overlap_lets_the_round_that_waits_go_on(settings: Settings, tmp_path: Path) -> None:
    workspace, state = ready_workspace(tmp_path / "by-one", values(settings))
    labeling.push(workspace, state, silent)
    tasks = read_table(workspace.round_folder(1) / "tasks.parquet", ("image_id", "task_id"))["task_id"]
    client = connect(settings.label_studio_url, settings.label_studio_token)
    with client.session:
        answer = {"result": [region_to_result("r", "coin", TRUE, SIDE, SIDE)], "lead_time": 3.0}
        for task in tasks:
            client.post(f"/api/tasks/{task}/annotations/", answer)
        assert labeling.label(workspace, state, silent) is None
        workspace.params.write_text(workspace.params.read_text().replace("  overlap: 3", "  overlap: 1"))
        assert labeling.label(workspace, state, silent) is not None
        asked = [client.get(f"/api/tasks/{task}/") for task in tasks]
    assert {(task["overlap"], task["is_labeled"]) for task in asked} == {(1, True)}
    assert set(read_table(workspace.round_folder(1) / "batch.parquet", BATCH)["overlap"]) == {1}
