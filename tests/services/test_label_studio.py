"""A round's tasks into the real Label Studio, labelled by three people at once, and out again."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import pytest

from datalab.adapters.label_studio import client as client_module
from datalab.adapters.label_studio import push as push_module
from datalab.adapters.label_studio.brush import mask_to_brush
from datalab.adapters.label_studio.client import Client, connect
from datalab.adapters.label_studio.media import publish_images
from datalab.adapters.label_studio.people import ensure_annotator
from datalab.adapters.label_studio.project import ensure_project, find_project
from datalab.adapters.label_studio.pull import RoundProgress, pull_annotations, round_progress
from datalab.adapters.label_studio.push import PushedRound, push_batch
from datalab.adapters.label_studio.results import results_to_regions
from datalab.errors import ServiceError, StateError
from datalab.services.ports import free_ports
from datalab.settings import Settings
from datalab.simulate.annotator import Assignment, Person, label_tasks, truth_by_image
from datalab.tables import ANNOTATIONS, GOLD
from datalab.workspace import Workspace
from tests.services.labeling import (
    CUP,
    GUIDELINES,
    OTHER,
    OVERLAP,
    TRUE,
    SmallRound,
    batch_table,
    catalog_table,
    proposals_table,
    small_round,
    truth_table,
)
from tests.simulate.people import FAULTLESS, square

pytestmark = pytest.mark.services
NAMES = ("ann", "ben", "cleo")
PASSWORD = "a password of the tests"


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[Client]:
    """Closed in the end: a connection left open is a ResourceWarning, and so an error."""
    client = connect(settings.label_studio_url, settings.label_studio_token)
    with client.session:
        yield client


@pytest.fixture(scope="module")
def people(client: Client) -> list[Person]:
    return [
        Person(replace(FAULTLESS, name=name), ensure_annotator(client, f"{name}@datalab.local", PASSWORD))
        for name in NAMES
    ]


@pytest.fixture(scope="module")
def pushed(client: Client, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> SmallRound:
    """Six tasks in a project of their own."""
    made = small_round(client, settings, tmp_path_factory.mktemp("pushed"), "pushed twice & more")
    made.push()
    return made


@pytest.fixture(scope="module")
def labelled(
    client: Client, settings: Settings, people: list[Person], tmp_path_factory: pytest.TempPathFactory
) -> tuple[SmallRound, pd.DataFrame]:
    """Another one after three people have labelled what they were given, and what was pulled."""
    made = small_round(client, settings, tmp_path_factory.mktemp("labelled"), "labelled")
    made.push()
    label_tasks(client.url, people, assignment(made, truth_table()))
    return made, pull_annotations(client, made.target, catalog_table())


def assignment(made: SmallRound, truth: pd.DataFrame) -> Assignment:
    names = tuple(GUIDELINES.names)
    return Assignment(made.target.project_id, truth_by_image(truth, names), names, seed=1)


def tasks(made: SmallRound) -> list[dict[str, Any]]:
    return made.client.tasks(made.target.project_id)


def test_a_wrong_token_is_one_line(settings: Settings) -> None:
    with pytest.raises(ServiceError, match="refuses the token") as caught:
        connect(settings.label_studio_url, "0" * 40)
    assert "\n" not in str(caught.value)
    assert "0" * 40 not in str(caught.value)


def test_a_server_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "PAUSES_S", (0.0,))
    port = free_ports().label_studio
    with pytest.raises(ServiceError, match=rf"127.0.0.1:{port} does not answer; .*make up") as caught:
        connect(f"http://127.0.0.1:{port}", "0" * 40)
    assert "\n" not in str(caught.value)


def test_a_project_that_is_gone_is_one_line(client: Client) -> None:
    with pytest.raises(ServiceError, match="answered 404") as caught:
        client.get("/api/projects/987654")
    assert "\n" not in str(caught.value)


def test_an_annotator_keeps_account_and_token(client: Client, people: list[Person]) -> None:
    assert ensure_annotator(client, "ann@datalab.local", PASSWORD) == people[0].token
    assert len({person.token for person in people}) == 3
    mine = connect(client.url, people[0].token)
    assert mine.get("/api/current-user/whoami")["email"] == "ann@datalab.local"


def test_an_account_with_another_password_is_an_error(client: Client, people: list[Person]) -> None:
    with pytest.raises(ServiceError, match=r"ann@datalab\.local: the account has another password"):
        ensure_annotator(client, "ann@datalab.local", "not this one")


def test_a_project_is_found_again(client: Client, pushed: SmallRound) -> None:
    assert ensure_project(client, "pushed twice & more", GUIDELINES, 3) == pushed.target.project_id
    assert find_project(client, "pushed twice") is None


def test_images_are_served_to_annotators_and_published_once(
    client: Client, settings: Settings, pushed: SmallRound, people: list[Person], tmp_path: Path
) -> None:
    mine = connect(client.url, people[0].token)
    answer = mine.session.get(client.url + pushed.urls["a"], timeout=30)
    assert answer.status_code == 200
    folder = settings.datalab_media / "pushed twice & more"
    assert answer.content == (folder / "a.png").read_bytes()
    outside = mine.session.get(f"{client.url}/data/local-files/?d={quote('../../etc/passwd')}", timeout=30)
    assert outside.status_code >= 400
    assert b"root:" not in outside.content
    workspace = Workspace(tmp_path / "pushed twice & more")
    publish_images(client, pushed.target.project_id, workspace, settings.datalab_media, ["a.png"])
    assert len(client.get("/api/storages/localfiles", project=pushed.target.project_id)) == 1


def test_pushing_again_makes_nothing_new(pushed: SmallRound) -> None:
    before = tasks(pushed)
    table = pushed.push()
    assert [task["id"] for task in tasks(pushed)] == [task["id"] for task in before]
    assert table["image_id"].tolist() == list(OVERLAP)
    assert table["task_id"].tolist() == [task["id"] for task in before]


def test_tasks_come_in_rank_order_with_their_overlap(pushed: SmallRound) -> None:
    found = tasks(pushed)
    assert {task["data"]["image_id"]: task["overlap"] for task in found} == OVERLAP
    assert [task["data"]["image_id"] for task in found] == list(OVERLAP)


def test_a_push_that_was_killed_goes_on_where_it_stopped(
    client: Client, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = small_round(client, settings, tmp_path, "killed")
    monkeypatch.setattr(push_module, "CHUNK", 2)

    def stop_before_the_second_chunk(share: float, text: str) -> None:
        if share > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        push_batch(client, made.target, batch_table(), proposals_table(), made.urls, stop_before_the_second_chunk)
    first = [task["id"] for task in tasks(made)]
    assert len(first) == 2

    made.push()
    found = tasks(made)
    assert [task["id"] for task in found[:2]] == first
    assert [(task["data"]["image_id"], task["overlap"]) for task in found] == list(OVERLAP.items())
    assert [len(task["predictions"]) for task in found] == [1, 1, 1, 1, 1, 0]


def test_another_round_of_the_same_image_is_another_task(client: Client, settings: Settings, tmp_path: Path) -> None:
    made = small_round(client, settings, tmp_path, "two rounds")
    first = made.push()
    second = replace(made, target=replace(made.target, round_id="0002")).push(batch_table().head(1))
    assert len(tasks(made)) == 7
    assert not set(first["task_id"]) & set(second["task_id"])
    assert round_progress(client, made.target).tasks_total == 6


def test_gold_tasks_look_like_all_others(pushed: SmallRound) -> None:
    found = [task for task in tasks(pushed) if task["data"]["image_id"] != "c"]
    assert len({(tuple(sorted(task)), tuple(sorted(task["data"])), len(task["predictions"])) for task in found}) == 1
    assert "gold" not in json.dumps([task["data"] for task in found])


def test_progress_before_anybody_has_started(client: Client, pushed: SmallRound) -> None:
    progress = round_progress(client, pushed.target)
    assert progress == RoundProgress(annotations_done=0, annotations_wanted=13, tasks_done=0, tasks_total=6)
    assert not progress.complete
    assert pull_annotations(client, pushed.target, catalog_table()).empty
    with pytest.raises(StateError, match="no task of round 0009"):
        round_progress(client, replace(pushed.target, round_id="0009"))


def test_three_people_label_as_often_as_wanted_and_nobody_twice(labelled: tuple[SmallRound, pd.DataFrame]) -> None:
    made, table = labelled
    assert table["image_id"].value_counts().to_dict() == OVERLAP
    assert not table.duplicated(["image_id", "annotator"]).any()
    assert set(table["annotator"]) == {f"{name}@datalab.local" for name in NAMES}
    progress = round_progress(made.client, made.target)
    assert progress == RoundProgress(annotations_done=13, annotations_wanted=13, tasks_done=6, tasks_total=6)
    assert progress.complete


def test_the_pulled_table_has_what_everybody_did(labelled: tuple[SmallRound, pd.DataFrame]) -> None:
    _, table = labelled
    assert list(table.columns) == list(ANNOTATIONS)
    assert table["annotation_id"].is_unique
    assert table["annotation_id"].is_monotonic_increasing
    assert (table["lead_time_s"] >= 4).all()
    assert not table["was_cancelled"].any()
    assert set(table["guideline_version"]) == {GUIDELINES.version}
    assert set(table["ontology_hash"]) == {GUIDELINES.ontology_hash}
    assert set(table["round_id"]) == {"0001"}


def test_masks_and_origins_come_back_bit_for_bit(labelled: tuple[SmallRound, pd.DataFrame]) -> None:
    _, table = labelled
    for row in table.to_dict("records"):
        results = json.loads(row["result_json"])
        is_proposed = row["image_id"] != "c"
        regions = [(one["label"], one["rle"], one["origin"]) for one in results_to_regions(results)]
        assert regions == [
            ("coin", TRUE, "edited" if is_proposed else "manual"),
            ("cup", OTHER, "proposal" if is_proposed else "manual"),
        ]
        assert results[1]["value"]["rle"] == mask_to_brush(square(20, 20))
        assert not is_proposed or results[1]["id"] == f"{row['image_id']}-exact"


def test_started_again_nobody_has_anything_to_do(
    labelled: tuple[SmallRound, pd.DataFrame], people: list[Person]
) -> None:
    made, table = labelled
    assert label_tasks(made.client.url, people, assignment(made, truth_table())) == dict.fromkeys(NAMES, 0)
    assert len(pull_annotations(made.client, made.target, catalog_table())) == len(table)


def test_an_image_without_truth_is_skipped_and_counts_as_done(
    client: Client, settings: Settings, people: list[Person], tmp_path: Path
) -> None:
    made = small_round(client, settings, tmp_path, "without truth")
    made.push(batch_table().query("image_id == 'c'"))
    nothing = pd.DataFrame(columns=list(GOLD))
    assert sum(label_tasks(client.url, people[:1], assignment(made, nothing)).values()) == 1
    table = pull_annotations(client, made.target, catalog_table())
    assert table["was_cancelled"].tolist() == [True]
    assert round_progress(client, made.target).complete


def test_changed_guidelines_reach_the_project(client: Client, settings: Settings, tmp_path: Path) -> None:
    made = small_round(client, settings, tmp_path, "changed")
    made.push()
    spoon = replace(CUP, id=3, name="spoon", hotkey="3")
    changed = replace(GUIDELINES, classes=(*GUIDELINES.classes, spoon), version="fedcba987654")
    assert ensure_project(client, "changed", changed, 3) == made.target.project_id
    project = client.get(f"/api/projects/{made.target.project_id}")
    assert 'value="spoon"' in project["label_config"]
    assert "Guidelines fedcba987654" in project["expert_instruction"]
    assert {task["data"]["image_id"]: task["overlap"] for task in tasks(made)} == OVERLAP


def test_a_class_that_was_taken_away_keeps_its_labels(labelled: tuple[SmallRound, pd.DataFrame]) -> None:
    made, table = labelled
    ensure_project(made.client, "labelled", replace(GUIDELINES, classes=(CUP,)), 3)
    again = pull_annotations(made.client, made.target, catalog_table())
    assert again["result_json"].tolist() == table["result_json"].tolist()
    ensure_project(made.client, "labelled", GUIDELINES, 3)


def test_a_round_of_a_deleted_project_is_a_state_or_service_error(
    client: Client, settings: Settings, tmp_path: Path
) -> None:
    made = small_round(client, settings, tmp_path, "deleted")
    made.push()
    client.delete(f"/api/projects/{made.target.project_id}")
    with pytest.raises((StateError, ServiceError)):
        round_progress(client, PushedRound(made.target.project_id, "0001", GUIDELINES))
