"""What was seen once stays, and only what is new is asked for."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from datalab.adapters.files import read_table
from datalab.adapters.label_studio.results import mask_to_result, region_to_result
from datalab.config import load_guidelines
from datalab.errors import InputError, StateError
from datalab.rounds import labeling
from datalab.rounds.history import FOLDER, read_versions
from datalab.rounds.progress import silent
from datalab.rounds.state import STEPS, load_round, save_round
from datalab.tables import ANNOTATIONS, BATCH, QUARANTINE
from tests.adapters.label_studio.fake_server import FakeLabelStudio, client_over
from tests.rounds.labeling_round import nobody, ready_workspace
from tests.services.labeling import OTHER, TRUE
from tests.simulate.people import SIDE

COIN = region_to_result("r", "coin", TRUE, SIDE, SIDE)
CUP = region_to_result("s", "cup", OTHER, SIDE, SIDE)
ERASED = mask_to_result("e", "coin", np.zeros((SIDE, SIDE), dtype=bool))
"""A brush region of which nothing is left."""


class Labeling:
    """A round at the fake server, pushed."""

    def __init__(self, folder: Path, server: FakeLabelStudio) -> None:
        self.server = server
        self.workspace, self.state = ready_workspace(folder / "w", nobody(folder / "media"))
        self.folder = self.workspace.round_folder(1)
        labeling.push(self.workspace, self.state, silent)
        self.tasks = [task["id"] for task in server.tasks]

    def pull(self) -> tuple[dict[str, Any], list[str]]:
        """The step's facts, and what was asked of the server."""
        self.server.asked.clear()
        return labeling.pull(self.workspace, self.state, silent), list(self.server.asked)

    @property
    def versions(self) -> list[tuple[str, int, str]]:
        table = read_versions(self.folder)[["kind", "annotation_id", "updated_at"]]
        return [(str(kind), int(one), str(at)) for kind, one, at in table.to_numpy().tolist()]

    @property
    def reasons(self) -> list[str]:
        return [str(one) for one in read_table(self.folder / "quarantine.parquet", QUARANTINE)["reason"]]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Labeling:
    server = FakeLabelStudio()
    monkeypatch.setattr(labeling, "connect", lambda url, token: client_over(server))
    return Labeling(tmp_path, server)


@pytest.mark.slow
def test_only_what_has_changed_is_fetched(work: Labeling) -> None:
    for task_id in work.tasks:
        work.server.answer(task_id, 1, [COIN])
    work.pull()
    assert len(work.versions) == 6
    # where the images are served from, and first of the tasks whether one is open still
    listing = ["GET /api/projects", "GET /api/storages/localfiles", "GET /api/tasks"]
    tasks = "GET /api/tasks"
    assert work.pull()[1] == [*listing, tasks]
    work.server.answer(work.tasks[2], 2, [CUP])
    facts, asked = work.pull()
    assert asked == [*listing, tasks, "GET /api/users/", tasks]
    assert (facts["annotations"], facts["versions"]) == (7, 7)


def test_what_has_been_read_is_offered_to_nobody(work: Labeling) -> None:
    """A skipped task would be: what others then answer would not be read."""
    for task_id in work.tasks:
        work.server.answer(task_id, 1, [COIN])
    assert not any(task["is_labeled"] for task in work.server.tasks)
    work.pull()
    assert all(task["is_labeled"] for task in work.server.tasks)


def test_a_class_that_was_renamed_meanwhile_is_told_before_anything_is_set_aside(work: Labeling) -> None:
    for task_id in work.tasks:
        work.server.answer(task_id, 1, [COIN])
    classes = work.workspace.guidelines / "classes.yaml"
    before = classes.read_text()
    work.state = replace(work.state, ontology_hash=load_guidelines(work.workspace.guidelines).ontology_hash)
    classes.write_text(before.replace("coin", "penny"))
    with pytest.raises(
        InputError, match=r"the class of 6 regions: 'coin' \(6\); put these classes back until the round"
    ):
        work.pull()
    assert not (work.folder / "quarantine.parquet").exists()
    classes.write_text(before)
    work.pull()
    assert work.reasons == []


def test_a_class_may_be_added_meanwhile_although_proposals_were_left_without_one(work: Labeling) -> None:
    grey = region_to_result("g", "", OTHER, SIDE, SIDE, "proposal")
    for task_id in work.tasks:
        work.server.answer(task_id, 1, [COIN, grey])
    classes = work.workspace.guidelines / "classes.yaml"
    work.state = replace(work.state, ontology_hash=load_guidelines(work.workspace.guidelines).ontology_hash)
    classes.write_text(classes.read_text() + '  - {id: 3, name: spoon, color: "#009e73"}\n')
    work.pull()
    assert work.reasons == ["unknown class"] * 6


def test_every_version_is_kept_and_the_newest_counts(work: Labeling) -> None:
    answer = work.server.answer(work.tasks[0], 1, [COIN])
    first = answer["updated_at"]
    work.pull()
    before = {path: path.read_bytes() for path in (work.folder / FOLDER).iterdir()}
    work.server.change(answer, [CUP])
    work.pull()
    assert work.versions == [("annotation", answer["id"], first), ("annotation", answer["id"], answer["updated_at"])]
    assert {path: path.read_bytes() for path in before} == before
    table = read_table(work.folder / "annotations.parquet", ANNOTATIONS)
    assert table["updated_at"].tolist() == [answer["updated_at"]]
    assert '"cup"' in table["result_json"].iloc[0]


def test_drafts_and_skips_are_kept_and_are_no_ratings(work: Labeling) -> None:
    skipped = work.server.answer(work.tasks[0], 1, [], was_cancelled=True)
    draft = {"id": 5, "user": "p2@datalab.local", "lead_time": 2.0, "result": [COIN], "created_at": "a"}
    work.server.drafts[work.tasks[1]] = [{**draft, "updated_at": "b"}]
    work.pull()
    work.server.drafts[work.tasks[1]] = [{**draft, "updated_at": "c"}]
    facts, _ = work.pull()
    assert work.versions == [("annotation", skipped["id"], "t0007"), ("draft", 5, "b"), ("draft", 5, "c")]
    assert (facts["annotations"], facts["skipped"], facts["drafts"]) == (1, 1, 1)
    work.server.drafts.clear()
    assert len(read_versions(work.folder)) == len(work.versions) == 3


@pytest.mark.slow
def test_what_somebody_deleted_at_the_server_is_still_here(work: Labeling) -> None:
    answer = work.server.answer(work.tasks[0], 1, [COIN])
    work.pull()
    work.server.tasks[0]["annotations"].clear()
    facts, _ = work.pull()
    assert facts["quarantined"] == {"deleted in Label Studio": 1}
    table = read_table(work.folder / "annotations.parquet", ANNOTATIONS)
    assert table["annotation_id"].tolist() == [answer["id"]]
    assert '"coin"' in table["result_json"].iloc[0]
    # it is told once, not at every pull
    work.pull()
    assert [kind for kind, _, _ in work.versions] == ["annotation", "deleted"]


@pytest.mark.slow
@pytest.mark.parametrize("nothing", [[], [ERASED]])
def test_an_empty_answer_after_long_work_counts_once_it_was_submitted_again(
    work: Labeling, nothing: list[dict[str, Any]]
) -> None:
    answer = work.server.answer(work.tasks[0], 1, nothing, lead_time=900.0)
    work.pull()
    assert work.reasons == ["empty after long work"]
    work.pull()
    assert work.reasons == ["empty after long work"]
    work.server.change(answer, nothing)
    work.pull()
    assert work.reasons == []


def test_a_task_that_is_offered_to_nobody_holds_up_no_round(work: Labeling) -> None:
    for task in work.server.tasks:
        for person in range(1, task["overlap"] + 1):
            answer = work.server.answer(task["id"], person, [COIN])
        task["is_labeled"] = True
    answer["completed_by"] = None  # the account was deleted
    assert labeling.label(work.workspace, work.state, silent) is not None


def test_an_overlap_that_was_lowered_holds_for_the_round_that_waits(work: Labeling) -> None:
    for task_id in work.tasks:
        work.server.answer(task_id, 1, [COIN])
    assert labeling.label(work.workspace, work.state, silent) is None
    params = work.workspace.params.read_text()
    work.workspace.params.write_text(params.replace("  overlap: 3", "  overlap: 1"))
    before = read_table(work.folder / "batch.parquet", BATCH, others=True)
    assert labeling.label(work.workspace, work.state, silent) is not None
    assert {task["overlap"] for task in work.server.tasks} == {1}
    assert all(task["is_labeled"] for task in work.server.tasks if task["id"] != work.tasks[-1])
    after = read_table(work.folder / "batch.parquet", BATCH, others=True)
    pd.testing.assert_frame_equal(after, before.assign(overlap=1))


def test_work_is_kept_while_people_are_still_at_it(work: Labeling) -> None:
    answer = work.server.answer(work.tasks[0], 1, [COIN])
    assert labeling.label(work.workspace, work.state, silent) is None
    assert work.versions == [("annotation", answer["id"], answer["updated_at"])]


def test_a_lowered_overlap_passes_over_a_task_that_was_deleted_and_tells_how_far_it_is(work: Labeling) -> None:
    gone = work.server.tasks[-1]
    work.server.tasks.remove(gone)
    for task in work.server.tasks:
        work.server.answer(task["id"], 1, [COIN])
    params = work.workspace.params.read_text()
    work.workspace.params.write_text(params.replace("  overlap: 3", "  overlap: 1"))
    told: list[str] = []
    assert labeling.label(work.workspace, work.state, lambda share, doing: told.append(doing)) is not None
    assert {task["overlap"] for task in work.server.tasks} == {1}
    assert any(doing.startswith("setting the overlap") for doing in told)


def test_images_are_served_from_where_the_repository_is_now(work: Labeling) -> None:
    (storage,) = work.server.storages
    now = storage["path"]
    storage["path"] = "/old/.datalab/media/w"
    labeling.label(work.workspace, work.state, silent)
    assert [one["path"] for one in work.server.storages] == [now]
    work.server.asked.clear()
    labeling.label(work.workspace, work.state, silent)
    assert [one for one in work.server.asked if "storages" in one] == ["GET /api/storages/localfiles"]


@pytest.mark.parametrize("due", ["label", "pull"])
def test_a_round_whose_project_is_gone_says_how_to_push_it_anew(
    work: Labeling, monkeypatch: pytest.MonkeyPatch, due: str
) -> None:
    done = dict.fromkeys(STEPS[: STEPS.index(due)], 1.0)
    save_round(work.workspace, replace(work.state, seconds=done))
    anew = FakeLabelStudio()  # as after `.datalab/` was removed
    monkeypatch.setattr(labeling, "connect", lambda url, token: client_over(anew))
    with pytest.raises(StateError, match=r"has no project 'w'; to push round 0001 anew, remove 'push'") as caught:
        labeling.open_round(work.workspace, load_round(work.workspace, 1))
    kept = {step: took for step, took in done.items() if repr(step) not in str(caught.value)}
    save_round(work.workspace, replace(work.state, seconds=kept))
    state = load_round(work.workspace, 1)
    assert state.due == "push"
    state = state.finished("push", 1.0, labeling.push(work.workspace, state, silent))
    assert (state.due, len(anew.tasks)) == ("label", 6)
    assert labeling.label(work.workspace, state, silent) is None


def test_a_renamed_project_gets_its_name_back_and_nothing_is_pushed_anew(work: Labeling) -> None:
    state = replace(work.state, facts={**work.state.facts, "project_id": 1})
    work.server.projects[0]["title"] = "photos"
    with pytest.raises(
        StateError,
        match=r"no project 'datalab w': project 1, with the tasks of round 0001, is called 'photos' now; "
        r"name it 'datalab w' at http://label-studio\.test/projects/1/settings and run again$",
    ):
        labeling.open_round(work.workspace, state)
    # a database that was made anew, and another workspace's project
    for task in work.server.tasks:
        task["data"]["image_id"] = "another"
    with pytest.raises(StateError, match="has no project 'w'; to push round 0001 anew, remove 'push'"):
        labeling.open_round(work.workspace, state)
