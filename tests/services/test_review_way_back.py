"""What a reviewer says in the app goes to the annotators, and what came of it comes back."""

from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner

from datalab.adapters.files import read_table, write_table
from datalab.adapters.review_connection import opened
from datalab.cli import main
from datalab.quality.reviews import standing
from datalab.rounds.labeling import open_round, pull, push
from datalab.rounds.mending import regions_to_mend
from datalab.rounds.opening import choose
from datalab.rounds.progress import silent
from datalab.rounds.reviewing import collect_reviews, round_requests
from datalab.rounds.state import Round, save_round
from datalab.settings import Settings
from datalab.tables import ANNOTATIONS, GOLD, RATINGS, REJECTED_REVIEWS, REVIEWS, ROUND_BATCH
from datalab.workspace import Workspace
from tests.services.reviewed_workspace import collect_all, reviewed_workspace, write_consensus

pytestmark = [pytest.mark.services, pytest.mark.slow]
COMMENT = "The rim belongs to it"


@pytest.fixture(scope="module")
def workspace(review_app: Settings, stack_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    made = reviewed_workspace(tmp_path_factory.mktemp("reviewed") / "way-back", stack_folder / ".env")
    assert "0 reviews collected" in review(made)
    return made


def review(workspace: Workspace) -> str:
    result = CliRunner().invoke(main, ["review", "--workspace", str(workspace.root)])
    assert result.exit_code == 0, result.output
    return result.output


def dataset_of(workspace: Workspace) -> Any:
    with opened(Settings.load(workspace.env).fiftyone_database_uri) as fiftyone:
        return fiftyone.load_dataset(workspace.name, reload=True)


def values(workspace: Workspace, field: str) -> dict[str, Any]:
    return dict(zip(*dataset_of(workspace).values(["image_id", field]), strict=True))


def operate(workspace: Workspace, params: dict[str, str], **picked: Any) -> dict[str, Any]:
    """Run the operator as the app does, in the app's own process."""
    request = {
        "operator_uri": "@datalab/review/review",
        "dataset_name": workspace.name,
        "params": {"reviewer": "rita", "comment": "", **params},
        "view": [],
        **picked,
    }
    url = f"{Settings.load(workspace.env).fiftyone_url}/operators/execute"
    answer: dict[str, Any] = requests.post(url, json=request, timeout=60).json()
    return answer


def test_the_operator_writes_it_down_and_shows_it(workspace: Workspace) -> None:
    dataset = dataset_of(workspace)
    sample = dataset.one(dataset_field("image_id") == "a")
    coin = next(one for one in sample["consensus"].detections if one.label == "coin")
    picked = [{"label_id": coin.id, "sample_id": sample.id, "field": "consensus"}]
    answer = operate(workspace, {"verdict": "relabel", "comment": COMMENT}, selected_labels=picked)
    assert not answer.get("error"), answer
    assert len(workspace.review_journal.read_text().splitlines()) == 1
    assert values(workspace, "review") == {"a": "relabel", "b": None, "c": None}
    assert values(workspace, "review_outcome")["a"] == "waits for the next round"


def dataset_field(name: str) -> Any:
    from fiftyone import ViewField

    return ViewField(name)


def test_tags_count_too_and_nothing_counts_twice(workspace: Workspace) -> None:
    dataset = dataset_of(workspace)
    dataset.match(dataset_field("image_id") == "b").tag_samples(["make gold", "mine"])
    dataset.match(dataset_field("image_id") == "c").select_fields("consensus").tag_labels("wrong class")
    with workspace.review_journal.open("a") as file:
        file.write("{cut short\n")
    facts = collect_reviews(workspace)
    assert facts == {"collected": 4, "rejected": 1, "gold": ["b"], "tags_unread": None}
    assert collect_reviews(workspace) == {"collected": 0, "rejected": 1, "gold": [], "tags_unread": None}
    reviews = read_table(workspace.reviews, REVIEWS)
    said = sorted(reviews[["image_id", "verdict", "label", "source"]].to_numpy().tolist())
    assert said == [
        ["a", "relabel", "coin", "operator"],
        ["b", "make gold", "", "tag"],
        ["c", "wrong class", "coin", "tag"],
        ["c", "wrong class", "cup", "tag"],
    ]
    assert "mine" in values(workspace, "tags")["b"]
    assert not {"make gold", "wrong class"} & {tag for tags in values(workspace, "tags").values() for tag in tags}
    assert read_table(workspace.rejected_reviews, REJECTED_REVIEWS)["text"].tolist() == ["{cut short"]
    assert sorted(read_table(workspace.gold, GOLD)["label"]) == ["coin", "cup"]


def test_just_these_images_become_tasks_with_the_comment(workspace: Workspace) -> None:
    state = Round(2, "g", "o")
    save_round(workspace, state)
    facts = choose(workspace, state, silent)
    assert facts["reviews"]["sent"] == 3
    folder = workspace.round_folder(2)
    batch = read_table(folder / "batch.parquet", ROUND_BATCH).set_index("image_id")
    assert batch["reason"].to_dict() == {"a": "review", "c": "review", "b": "gold"}
    assert choose(workspace, state, silent)["reviews"]["sent"] == 3
    write_table(folder / "proposals.parquet", regions_to_mend(workspace, round_requests(folder)))
    push(workspace, state, silent)
    client, target = open_round(workspace, state)
    tasks = {task["data"]["image_id"]: task for task in client.tasks(target.project_id)}
    assert {one: task["data"]["note"] for one, task in tasks.items()} == {
        "a": f"relabel: coin ({COMMENT})",
        "b": "",
        "c": "wrong class: coin; wrong class: cup",
    }
    (prediction,) = tasks["a"]["predictions"]
    fixed = {one["value"]["brushlabels"][0]: one.get("readonly", False) for one in prediction["result"]}
    assert fixed == {"coin": False, "cup": True}


def test_what_came_of_it_comes_back(workspace: Workspace) -> None:
    state = Round(2, "g", "o")
    client, target = open_round(workspace, state)
    tasks = {task["data"]["image_id"]: task for task in client.tasks(target.project_id)}
    client.post(f"/api/tasks/{tasks['a']['id']}/annotations", {"result": [], "lead_time": 3.0})
    pull(workspace, state, silent)
    (who,) = read_table(workspace.round_folder(2) / "annotations.parquet", ANNOTATIONS)["annotator"]
    collect_all(workspace)
    assert read_table(workspace.ratings, RATINGS).query("image_id == 'a'")["annotator"].tolist() == [who]
    write_consensus(workspace)
    assert "reviewed" in review(workspace)
    assert len(dataset_of(workspace).load_saved_view("reviewed")) == 3
    outcome = values(workspace, "review_outcome")
    assert outcome["a"].startswith(f"labelled anew in round 0002 by {who} on 20")
    assert (outcome["b"], outcome["c"]) == ("gold", "sent in round 0002")
    assert values(workspace, "reviewer") == {"a": "rita", "b": "", "c": ""}


def test_a_tag_on_an_image_of_a_closed_round_waits_for_the_next_one(workspace: Workspace) -> None:
    dataset_of(workspace).match(dataset_field("image_id") == "c").tag_samples("exclude")
    review(workspace)
    assert values(workspace, "review_outcome")["c"] == "left out of dataset, pool and batches"
    collect_all(workspace)
    assert "c" not in set(read_table(workspace.ratings, RATINGS)["image_id"])
    dataset_of(workspace).match(dataset_field("image_id") == "c").tag_samples("relabel")
    facts = choose(workspace, Round(3, "g", "o"), silent)
    assert facts["reviews"]["sent"] == 1


def test_what_is_said_in_the_form_takes_back_what_was_tagged(workspace: Workspace) -> None:
    dataset = dataset_of(workspace)
    sample = dataset.one(dataset_field("image_id") == "a")
    dataset.select(sample.id).tag_samples(["exclude", "mine"])
    dataset.add_sample_field("by_camera", dataset.get_field("image_id").__class__)
    dataset.set_values("by_camera", {sample.id: "left"}, key_field="id")
    answer = operate(workspace, {"verdict": "accept", "comment": ""}, selected=[sample.id])
    assert not answer.get("error"), answer
    assert "exclude" not in values(workspace, "tags")["a"]
    assert "mine" in values(workspace, "tags")["a"]
    collect_reviews(workspace)
    assert standing(read_table(workspace.reviews, REVIEWS)).query("image_id == 'a'")["verdict"].tolist() == ["accept"]


def test_a_verdict_on_an_object_is_newer_than_a_tag_on_its_image(workspace: Workspace) -> None:
    dataset = dataset_of(workspace)
    sample = dataset.one(dataset_field("image_id") == "c")
    dataset.select(sample.id).tag_samples("wrong class")
    coin = next(one for one in sample["consensus"].detections if one.label == "coin")
    picked = [{"label_id": coin.id, "sample_id": sample.id, "field": "consensus"}]
    answer = operate(workspace, {"verdict": "relabel", "comment": COMMENT}, selected_labels=picked)
    assert not answer.get("error"), answer
    assert "wrong class" not in values(workspace, "tags")["c"]
    collect_reviews(workspace)
    said = standing(read_table(workspace.reviews, REVIEWS)).query("image_id == 'c'")
    assert said[["verdict", "label", "comment", "source"]].to_numpy().tolist() == [
        ["wrong class", "", "", "tag"],
        ["relabel", "coin", COMMENT, "operator"],
    ]


def test_the_form_does_without_a_user_name(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset_of(workspace)  # FiftyOne knows its database from here on
    from datalab.adapters import review_plugin

    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 4321")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert review_plugin.user_name() == ""


def test_an_object_that_is_there_no_more_is_not_the_image(workspace: Workspace) -> None:
    sample = dataset_of(workspace).one(dataset_field("image_id") == "a")
    gone = [{"label_id": "0" * 24, "sample_id": sample.id, "field": "consensus"}]
    before = workspace.review_journal.read_text()
    answer = operate(workspace, {"verdict": "exclude", "comment": ""}, selected_labels=gone)
    assert "reload the page and pick again" in str(answer)
    assert workspace.review_journal.read_text() == before


def test_nothing_is_lost_when_the_database_is(workspace: Workspace) -> None:
    environment = workspace.env.read_text()
    before = len(read_table(workspace.reviews, REVIEWS))
    operate(workspace, {"verdict": "accept"}, selected=list(dataset_of(workspace).values("id")))
    gone = "\n".join(
        "FIFTYONE_DATABASE_URI=mongodb://127.0.0.1:1" if line.startswith("FIFTYONE_DATABASE_URI=") else line
        for line in environment.splitlines()
    )
    workspace.env.write_text(gone)
    try:
        facts = collect_reviews(workspace)
    finally:
        workspace.env.write_text(environment)
    assert facts["collected"] == 3
    assert "does not answer" in facts["tags_unread"]
    assert len(read_table(workspace.reviews, REVIEWS)) == before + 3


@pytest.mark.parametrize(("params", "reason"), [({"verdict": "burn"}, "Invalid enum value"), ({}, "Required")], ids=str)
def test_the_operator_refuses_what_cannot_be(workspace: Workspace, params: dict[str, str], reason: str) -> None:
    written = workspace.review_journal.read_bytes()
    answer = operate(workspace, params, selected=list(dataset_of(workspace).values("id")))
    assert reason in str(answer)
    assert workspace.review_journal.read_bytes() == written
