"""What somebody changes in the real Label Studio after the round has been read."""

import json
from pathlib import Path

import pytest

from datalab.adapters.files import read_table
from datalab.adapters.label_studio.client import connect
from datalab.adapters.label_studio.results import region_to_result
from datalab.rounds import labeling
from datalab.rounds.progress import silent
from datalab.settings import Settings
from datalab.tables import ANNOTATIONS, QUARANTINE
from tests.rounds.labeling_round import next_round, ready_workspace
from tests.services.labeling import OTHER, TRUE
from tests.services.test_label_studio_faults import values
from tests.simulate.people import SIDE

pytestmark = pytest.mark.services


def test_the_next_round_reads_what_was_put_right(settings: Settings, tmp_path: Path) -> None:
    workspace, state = ready_workspace(tmp_path / "corrected", values(settings))
    folder = workspace.round_folder(1)
    labeling.push(workspace, state, silent)
    coin, cup = (region_to_result("r", *one, SIDE, SIDE) for one in (("coin", TRUE), ("cup", OTHER)))
    client = connect(settings.label_studio_url, settings.label_studio_token)
    with client.session:
        tasks = read_table(folder / "tasks.parquet", ("image_id", "task_id"))["task_id"].tolist()
        slip, lost, late = tasks[:3]
        wrong = client.post(f"/api/tasks/{slip}/annotations/", {"result": [coin], "lead_time": 3.0})
        empty = client.post(f"/api/tasks/{lost}/annotations/", {"result": [], "lead_time": 900.0})
        labeling.pull(workspace, state, silent)
        assert all(client.get(f"/api/tasks/{task}/")["is_labeled"] for task in tasks)
        assert read_table(folder / "quarantine.parquet", QUARANTINE)["reason"].tolist() == ["empty after long work"]

        labeling.push(workspace, second := next_round(workspace, 2), silent)
        client.patch(f"/api/annotations/{wrong['id']}/", {"result": [cup]})
        client.patch(f"/api/annotations/{empty['id']}/", {"result": [], "lead_time": 905.0})
        client.post(f"/api/tasks/{late}/annotations/", {"result": [coin], "lead_time": 3.0})
        assert labeling.pull(workspace, second, silent)["corrected"] == {"0001": 3}

    folder = workspace.round_folder(2)
    table = read_table(folder / "corrections.parquet", ANNOTATIONS)
    assert [len(json.loads(one)) for one in table["result_json"]] == [1, 0, 1]
    assert '"cup"' in table["result_json"].iloc[0]
    assert read_table(folder / "quarantine.parquet", QUARANTINE).empty
