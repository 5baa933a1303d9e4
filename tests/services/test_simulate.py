"""Simulated annotators at the real Label Studio: own accounts, overlap, stopping and going on."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from datalab.adapters.label_studio.client import Client
from datalab.adapters.label_studio.people import ensure_annotator
from datalab.adapters.label_studio.project import ensure_project
from datalab.adapters.label_studio.pull import pull_annotations, round_progress
from datalab.adapters.label_studio.push import PushedRound, push_batch
from datalab.config import load_guidelines, load_params
from datalab.masks import mask_to_rle
from datalab.settings import Settings
from datalab.simulate.annotator import Assignment, Person, label_tasks, truth_by_image
from datalab.simulate.profile import SimulateParams, profiles_of
from datalab.tables import BATCH, PROPOSALS, REGIONS

pytestmark = pytest.mark.services
ROOT = Path(__file__).parents[2]
SIDE = 64
IMAGES = [f"image{number}" for number in range(8)]
OVERLAP = [1, 2, 3, 1, 2, 3, 1, 3]
SKIPPED = IMAGES[-1]


class StopError(Exception):
    """Raised in the middle of the work, as Ctrl-C would."""


def square(top: int) -> str:
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[top : top + 20, 10:40] = True
    return mask_to_rle(mask)


def rows(name: str, tops: list[int]) -> list[tuple[str, str, str, str, int, int]]:
    return [(one, f"{name}-{one}-{top}", "coin", square(top), SIDE, SIDE) for one in IMAGES for top in tops]


@pytest.fixture
def target(client: Client, request: pytest.FixtureRequest) -> PushedRound:
    """A project of its own with 8 tasks, each with one good, one fair and one wrong proposal."""
    guidelines = load_guidelines(ROOT / "guidelines")
    target = PushedRound(ensure_project(client, request.node.name, guidelines, overlap=3), "0001", guidelines)
    batch = pd.DataFrame(
        list(zip(IMAGES, ["batch"] * 8, OVERLAP, range(8), ["random"] * 8, strict=True)), columns=list(BATCH)
    )
    regions = pd.DataFrame(rows("p", [0, 24, 44]), columns=list(REGIONS))
    proposals = regions.assign(predicted_iou=0.9, stability=0.9, model_version="test").loc[:, list(PROPOSALS)]
    push_batch(client, target, batch, proposals, dict.fromkeys(IMAGES, "/x.png"), lambda share, text: None)
    return target


@pytest.fixture
def work(target: PushedRound) -> Assignment:
    """Two objects per image, but for the last image, of which nobody knows the truth."""
    truth = pd.DataFrame(rows("t", [0, 28]), columns=list(REGIONS))
    classes = tuple(target.guidelines.names)
    return Assignment(target.project_id, truth_by_image(truth[truth["image_id"] != SKIPPED], classes), classes, seed=4)


@pytest.fixture
def people(client: Client, settings: Settings) -> list[Person]:
    profiles = profiles_of(load_params(ROOT / "params.yaml", "simulate", SimulateParams))
    password = settings.annotator_password
    return [Person(one, ensure_annotator(client, f"{one.name}@datalab.local", password)) for one in profiles]


def pulled(client: Client, target: PushedRound) -> pd.DataFrame:
    return pull_annotations(client, target, pd.DataFrame({"image_id": IMAGES, "width": SIDE, "height": SIDE}))


def test_three_people_label_a_round(
    client: Client, target: PushedRound, work: Assignment, people: list[Person], settings: Settings
) -> None:
    done = label_tasks(settings.label_studio_url, people, work)
    table = pulled(client, target)
    assert round_progress(client, target).complete
    assert Counter(table["annotator"]) == {f"{name}@datalab.local": count for name, count in done.items()}
    assert not table.duplicated(["image_id", "annotator"]).any()
    answers = table[~table["was_cancelled"]]
    assert dict(answers.groupby("image_id").size()) == dict(zip(IMAGES[:-1], OVERLAP[:-1], strict=True))
    assert set(table[table["was_cancelled"]]["image_id"]) == {SKIPPED}
    assert (answers["lead_time_s"] > 2).all()


def test_the_server_keeps_where_each_region_came_from(
    client: Client, target: PushedRound, work: Assignment, people: list[Person], settings: Settings
) -> None:
    label_tasks(settings.label_studio_url, people, work)
    table = pulled(client, target)
    answers = table[~table["was_cancelled"]]
    origins = {one["origin"] for text in answers["result_json"] for one in json.loads(text)}
    assert origins >= {"prediction", "prediction-changed"}
    kept = client.get(f"/api/tasks/{answers['task_id'].iloc[0]}/annotations/")
    assert all(one["parent_prediction"] for one in kept)


def test_stopped_and_started_again_nobody_labels_twice(
    client: Client, target: PushedRound, work: Assignment, people: list[Person], settings: Settings
) -> None:
    seen: list[None] = []

    def stop_after_four() -> None:
        seen.append(None)
        if len(seen) == 4:
            raise StopError

    with pytest.raises(StopError):
        label_tasks(settings.label_studio_url, people, work, stop_after_four)
    before = len(pulled(client, target))
    assert 4 <= before <= 4 + len(people)
    done = label_tasks(settings.label_studio_url, people, work)
    table = pulled(client, target)
    assert round_progress(client, target).complete
    assert before + sum(done.values()) == len(table)
    assert not table.duplicated(["image_id", "annotator"]).any()
    assert sum(label_tasks(settings.label_studio_url, people, work).values()) == 0
