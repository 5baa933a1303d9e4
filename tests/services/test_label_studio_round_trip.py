"""People without a fault label a round at the real Label Studio: what is pulled has to be the truth, bit for bit."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from datalab.adapters.label_studio.brush import mask_to_brush
from datalab.adapters.label_studio.client import Client
from datalab.adapters.label_studio.people import ensure_annotator
from datalab.adapters.label_studio.project import ensure_project, find_project
from datalab.adapters.label_studio.pull import RoundProgress, pull_annotations, round_progress
from datalab.adapters.label_studio.results import results_to_regions
from datalab.errors import InputError, ServiceError, StateError
from datalab.settings import Settings
from datalab.simulate.annotator import Assignment, Person, label_tasks, truth_by_image
from datalab.tables import ANNOTATIONS
from tests.services.labeling import (
    CUP,
    GUIDELINES,
    OTHER,
    OVERLAP,
    TRUE,
    SmallRound,
    catalog_table,
    small_round,
    truth_table,
)
from tests.simulate.people import FAULTLESS, square

pytestmark = pytest.mark.services
NAMES = ("ann", "ben", "cleo")


@pytest.fixture(scope="module")
def labelled(
    client: Client, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> tuple[SmallRound, pd.DataFrame]:
    """Six tasks after three people have labelled what they were given, and what was pulled."""
    made = small_round(client, settings, tmp_path_factory.mktemp("labelled"), "labelled & pulled")
    made.push()
    names = tuple(GUIDELINES.names)
    work = Assignment(made.target.project_id, truth_by_image(truth_table(), names), names, seed=1)
    password = settings.annotator_password
    people = [
        Person(replace(FAULTLESS, name=name), ensure_annotator(client, f"{name}@datalab.local", password))
        for name in NAMES
    ]
    label_tasks(client.url, people, work)
    return made, pull_annotations(client, made.target, catalog_table())


def test_every_task_was_answered_as_often_as_wanted(labelled: tuple[SmallRound, pd.DataFrame]) -> None:
    made, table = labelled
    assert list(table.columns) == list(ANNOTATIONS)
    assert table["image_id"].value_counts().to_dict() == OVERLAP
    assert not table.duplicated(["image_id", "annotator"]).any()
    assert set(table["annotator"]) == {f"{name}@datalab.local" for name in NAMES}
    assert (table["lead_time_s"] >= FAULTLESS.seconds.look).all()
    assert round_progress(made.client, made.target) == RoundProgress(13, 13, 6, 6)


def test_masks_classes_and_origins_are_those_of_the_truth(labelled: tuple[SmallRound, pd.DataFrame]) -> None:
    _, table = labelled
    for row in table.to_dict("records"):
        results = json.loads(row["result_json"])
        is_proposed = row["image_id"] != "c"
        assert [(one["label"], one["rle"], one["origin"]) for one in results_to_regions(results)] == [
            ("coin", TRUE, "edited" if is_proposed else "manual"),
            ("cup", OTHER, "proposal" if is_proposed else "manual"),
        ]
        assert results[1]["value"]["rle"] == mask_to_brush(square(20, 20))
        assert not is_proposed or results[1]["id"] == f"{row['image_id']}-exact"


def test_a_used_class_cannot_be_taken_away(labelled: tuple[SmallRound, pd.DataFrame]) -> None:
    made, table = labelled
    before = find_project(made.client, "labelled & pulled")
    with pytest.raises(InputError, match="'coin' of 'mask', used 13 times; put those back"):
        ensure_project(made.client, "labelled & pulled", replace(GUIDELINES, classes=(CUP,)), 3)
    assert find_project(made.client, "labelled & pulled") == before
    again = pull_annotations(made.client, made.target, catalog_table())
    assert again["result_json"].tolist() == table["result_json"].tolist()


def test_a_project_that_was_deleted_is_one_line(client: Client, settings: Settings, tmp_path: Path) -> None:
    made = small_round(client, settings, tmp_path, "deleted")
    made.push()
    client.delete(f"/api/projects/{made.target.project_id}")
    with pytest.raises((StateError, ServiceError)) as caught:
        round_progress(client, made.target)
    assert "\n" not in str(caught.value)
