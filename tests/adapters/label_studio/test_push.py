"""What a task tells the people who label it, seen as the server gets it."""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest
import requests

from datalab.adapters.label_studio import push as push_module
from datalab.adapters.label_studio.client import Client
from datalab.adapters.label_studio.push import PushedRound, push_batch
from datalab.adapters.label_studio.results import region_to_result, results_to_regions
from datalab.config import Guidelines, LabelClass
from datalab.errors import InputError
from datalab.masks import mask_to_rle
from datalab.tables import BATCH, PROPOSALS
from tests.adapters.label_studio.fake_server import FakeLabelStudio, client_over

GUIDELINES = Guidelines((LabelClass(1, "coin", "#e69f00"),), (), "0123456789ab", "ba9876543210")
TARGET = PushedRound(7, "0001", GUIDELINES)
IMAGES = {"b": "gold", "c": "batch", "a": "batch"}
"""In the order of their ranks."""
MASK = mask_to_rle(np.eye(4, 5, dtype=bool))
URLS = {image_id: f"/data/local-files/?d=w/{image_id}.png" for image_id in IMAGES}


@dataclass(frozen=True)
class Recorder(Client):
    """Keeps the tasks it is sent and gives them back."""

    stored: list[dict[str, Any]] = field(default_factory=list)
    patched: list[tuple[str, Any]] = field(default_factory=list)

    def post(self, path: str, content: Any) -> Any:
        assert path.startswith("/api/projects/7/import")
        counts = {"total_annotations": 0, "cancelled_annotations": 0, "draft_exists": False, "annotators": []}
        extra = {"overlap": 2, "is_labeled": False, **counts}
        for task in content:
            self.stored.append({**json.loads(json.dumps(task)), **extra, "id": len(self.stored)})

    def tasks(self, project_id: int, include: str = "", page_size: int = 500, **query: Any) -> list[dict[str, Any]]:
        return list(self.stored)

    def patch(self, path: str, content: Any) -> Any:
        self.patched.append((path, content))


def push(client: Client, label: str = "coin", decisions: tuple[str, ...] = ()) -> pd.DataFrame:
    batch = pd.DataFrame(
        [(one, role, 2 if role == "batch" else 3, rank, role) for rank, (one, role) in enumerate(IMAGES.items())],
        columns=list(BATCH),
    )
    proposals = pd.DataFrame(
        [(one, f"{one}-0", label, MASK, 4, 5, 0.9, 0.95, "sam") for one in IMAGES], columns=list(PROPOSALS)
    )
    if decisions:
        proposals = proposals.assign(decision=decisions, expected_iou=0.9)
    return push_batch(client, TARGET, batch.sort_values("image_id"), proposals, URLS, lambda share, text: None)


def test_tasks_are_sent_in_rank_order_and_only_once() -> None:
    client = Recorder("http://label-studio.test", requests.Session())
    for _ in range(2):
        table = push(client)
        assert table.to_dict("list") == {"image_id": list(IMAGES), "task_id": [0, 1, 2]}
    assert [task["data"]["image_id"] for task in client.stored] == list(IMAGES)


def test_only_another_overlap_is_set() -> None:
    client = Recorder("http://label-studio.test", requests.Session())
    push(client)
    # a push that was killed behind the import: two of three people have answered
    client.stored[0].update(annotators=[1, 2], is_labeled=True)
    push(client)
    asked = [("/api/tasks/0", {"overlap": 3, "is_labeled": False})]
    assert [(path.rstrip("/"), content) for path, content in client.patched] == asked * 2


@pytest.mark.parametrize("begun", [0, 1])
def test_of_two_tasks_that_a_lost_answer_left_the_one_that_somebody_has_begun_stays(begun: int) -> None:
    server = FakeLabelStudio()
    data = {"image_id": "a", "round": "0001"}
    server.tasks += [
        {"id": task_id, "data": data, "overlap": 2, "is_labeled": False, "annotations": []} for task_id in (4, 5)
    ]
    kept = server.tasks[begun]
    server.drafts[kept["id"]] = [{"id": 9, "user": "p1@datalab.local", "result": []}]
    push(client_over(server))
    assert [task["id"] for task in server.tasks if task["data"]["image_id"] == "a"] == [kept["id"]]


def test_nothing_tells_gold_from_the_others() -> None:
    client = Recorder("http://label-studio.test", requests.Session())
    push(client)
    for task in client.stored:
        image_id = task["data"]["image_id"]
        assert task["data"] == {
            "image": URLS[image_id],
            "image_id": image_id,
            "round": "0001",
            "guideline_version": "0123456789ab",
            "ontology_hash": "ba9876543210",
            "note": "",
        }
        (prediction,) = task["predictions"]
        assert {**prediction, "result": []} == {"model_version": "proposals", "score": 0.9, "result": []}
        regions = results_to_regions(prediction["result"])
        assert [(one["region_id"], one["label"], one["rle"]) for one in regions] == [(f"{image_id}-0", "coin", MASK)]


def test_a_proposal_of_an_unknown_class_is_not_pushed() -> None:
    client = Recorder("http://label-studio.test", requests.Session())
    with pytest.raises(InputError, match=r"class 'spoon', guidelines/classes\.yaml has coin"):
        push(client, "spoon")
    assert client.stored == []


def test_only_accepted_proposals_are_read_only() -> None:
    client = Recorder("http://label-studio.test", requests.Session())
    push(client, decisions=("accept", "propose", "propose"))
    regions = [task["predictions"][0]["result"][0] for task in client.stored]
    assert [region.get("readonly", False) for region in regions] == [True, False, False]


def test_no_request_is_large_however_many_masks_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    client = Recorder("http://label-studio.test", requests.Session())
    keep = Recorder.post

    def post(self: Recorder, path: str, content: Any) -> Any:
        sent.append(len(content))
        return keep(self, path, content)

    monkeypatch.setattr(Recorder, "post", post)
    codes = len(region_to_result("r", "coin", MASK, 4, 5)["value"]["rle"])
    monkeypatch.setattr(push_module, "CHUNK_BYTES", 2 * 5 * codes)
    push(client)
    assert sent == [2, 1]
    monkeypatch.setattr(push_module, "CHUNK_BYTES", 1)
    client.stored.clear()
    push(client)
    assert sent == [2, 1, 1, 1, 1]
    assert [task["data"]["image_id"] for task in client.stored] == list(IMAGES)
