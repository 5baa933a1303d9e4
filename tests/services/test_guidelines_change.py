"""What a change of the guidelines does to a real project, and what it may not do."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from datalab.adapters.files import read_table, write_text
from datalab.adapters.label_studio.attributes import attribute_tool
from datalab.adapters.label_studio.client import connect
from datalab.adapters.label_studio.config import labeling_config
from datalab.adapters.label_studio.project import ensure_project, find_project
from datalab.adapters.label_studio.results import region_to_result
from datalab.config import load_guidelines
from datalab.errors import InputError
from datalab.rounds import labeling
from datalab.rounds.progress import silent
from datalab.settings import Settings
from tests.rounds.labeling_round import CLASSES, ready_workspace
from tests.services.labeling import TRUE
from tests.services.test_label_studio_faults import values
from tests.simulate.people import SIDE

pytestmark = pytest.mark.services
ATTRIBUTES = CLASSES.replace('hotkey: "1"', 'hotkey: "1", attributes: [{name: state, values: [whole, broken]}]')


def test_used_classes_and_attributes_have_to_stay_and_pictures_are_served(settings: Settings, tmp_path: Path) -> None:
    workspace, state = ready_workspace(tmp_path / "guided", values(settings))
    write_text(workspace.guidelines / "classes.yaml", ATTRIBUTES)
    write_text(workspace.guidelines / "README.md", "# Coins\n\n![a good one](good/coin.png)\n")
    (workspace.guidelines / "good").mkdir()
    Image.new("RGB", (8, 8), "red").save(workspace.guidelines / "good" / "coin.png")
    labeling.push(workspace, state, silent)
    client = connect(settings.label_studio_url, settings.label_studio_token)
    with client.session:
        project = find_project(client, "guided")
        assert project is not None
        guidelines = load_guidelines(workspace.guidelines)
        address = f"/data/local-files/?d=guided/guidelines-{guidelines.version}/good/coin.png"
        # the server cleans the instructions and has left the picture in them
        assert f'src="{address}"' in project.settings["expert_instruction"]
        picture = client.session.get(client.url + address, timeout=30)
        assert picture.content == (workspace.guidelines / "good" / "coin.png").read_bytes()

        tool = attribute_tool(guidelines.classes[0].id, "state")
        region = region_to_result("r", "coin", TRUE, SIDE, SIDE)
        answer = {**region, "type": "choices", "from_name": tool, "value": {"choices": ["broken"]}}
        task = read_table(workspace.round_folder(1) / "tasks.parquet", ("image_id", "task_id"))["task_id"].iloc[0]
        client.post(f"/api/tasks/{task}/annotations/", {"result": [region, answer], "lead_time": 3.0})
        facts = labeling.pull(workspace, state, silent)
        assert (facts["annotations"], facts["quarantined"]) == (1, {})

        write_text(workspace.guidelines / "classes.yaml", CLASSES.replace("coin", "money"))
        with pytest.raises(InputError, match="'broken' of 'attribute_1_state', used 1 time; 'coin' of 'mask'"):
            labeling.push(workspace, state, silent)
        kept = find_project(client, "guided")
        assert kept is not None
        assert kept.settings["label_config"] == labeling_config(guidelines)
        # a class that nobody has used may go
        ensure_project(client, "guided", replace(guidelines, classes=guidelines.classes[:1]), 3)
