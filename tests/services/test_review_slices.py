"""A view that a reviewer saved as a slice: its images are in the next evaluation, and it stays as it was saved."""

import logging
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from datalab.adapters.files import read_table, write_table
from datalab.adapters.review_connection import opened
from datalab.rounds.closing import publish
from datalab.rounds.progress import silent
from datalab.rounds.reviewing import collect_reviews
from datalab.settings import Settings
from datalab.tables import SLICES
from datalab.workspace import Workspace
from tests.services.reviewed_workspace import reviewed_workspace

pytestmark = pytest.mark.services
NAME = "slice: Light ones"


@pytest.fixture
def workspace(settings: Settings, stack_folder: Path, tmp_path: Path) -> Workspace:
    """Published, with images a, b and c."""
    made = reviewed_workspace(tmp_path / "seen-slices", stack_folder / ".env")
    with opened(settings.fiftyone_database_uri) as fiftyone:
        if fiftyone.dataset_exists(made.name):
            fiftyone.delete_dataset(made.name)
    publish(made, None, silent)
    return made


def dataset_of(workspace: Workspace) -> Any:
    with opened(Settings.load(workspace.env).fiftyone_database_uri) as fiftyone:
        return fiftyone.load_dataset(workspace.name, reload=True)


def images_of(dataset: Any, *image_ids: str) -> Any:
    return dataset.match({"image_id": {"$in": list(image_ids)}})


def collected(workspace: Workspace) -> list[list[str]]:
    collect_reviews(workspace)
    return read_table(workspace.view_slices, SLICES).to_numpy().tolist()


def test_its_images_are_collected_as_long_as_it_is_there(workspace: Workspace) -> None:
    assert collected(workspace) == []
    dataset = dataset_of(workspace)
    dataset.save_view(NAME, images_of(dataset, "b", "c").sort_by("iou"))
    dataset.save_view("mine", images_of(dataset, "a"))
    assert collected(workspace) == [["b", "Light ones"], ["c", "Light ones"]]
    written = workspace.view_slices.stat().st_mtime_ns
    assert len(collected(workspace)) == 2
    assert workspace.view_slices.stat().st_mtime_ns == written
    dataset.delete_saved_view(NAME)
    assert collected(workspace) == []


def test_publishing_leaves_it_as_it_is_and_tags_what_was_evaluated(workspace: Workspace) -> None:
    dataset = dataset_of(workspace)
    dataset.save_view(NAME, images_of(dataset, "b", "c"), description="too light")
    saved = dataset._get_saved_view_doc(NAME).id
    # the same name in another case, by a rule
    rows = [("b", "Light ones"), ("b", "light ones"), ("a", "dark")]
    write_table(workspace.data / "slices.parquet", pd.DataFrame(rows, columns=list(SLICES)))
    assert {"slice: Light ones", "slice: dark"} <= set(publish(workspace, None, silent)["views"])
    dataset = dataset_of(workspace)
    assert dataset._get_saved_view_doc(NAME).id == saved
    assert sorted(dataset.load_saved_view(NAME).values("image_id")) == ["b", "c"]
    assert "slice: Light ones" in images_of(dataset, "b").values("tags")[0]
    assert dataset.load_saved_view("slice: dark").values("image_id") == ["a"]
    assert {name for _, name in collected(workspace)} == {"Light ones"}


def test_names_that_are_one_to_fiftyone_cost_nobody_a_view(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = dataset_of(workspace)
    dataset.save_view("Slice Dark", images_of(dataset, "c"), description="mine")
    rows = [("a", "夜"), ("b", "雨"), ("b", "dark")]
    write_table(workspace.data / "slices.parquet", pd.DataFrame(rows, columns=list(SLICES)))
    with caplog.at_level(logging.WARNING):
        views = publish(workspace, None, silent)["views"]
    assert "'slice: dark' has no saved view: to FiftyOne it is the same as 'Slice Dark'" in caplog.text
    dataset = dataset_of(workspace)
    assert dataset.load_saved_view("Slice Dark").values("image_id") == ["c"]
    shown = {name: dataset.load_saved_view(name).values("image_id") for name in views if name.startswith("slice: ")}
    assert sorted(name[:8] for name in shown) == ["slice: 夜", "slice: 雨"]
    assert sorted(shown.values()) == [["a"], ["b"]]
    before = dataset.list_saved_views()
    publish(workspace, None, silent)
    assert dataset_of(workspace).list_saved_views() == before


def test_patches_mean_their_images(workspace: Workspace) -> None:
    dataset = dataset_of(workspace)
    dataset.save_view("slice: patches", images_of(dataset, "a").to_patches("consensus"))
    assert collected(workspace) == [["a", "patches"]]


def test_a_view_that_cannot_be_opened_is_told(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    dataset = dataset_of(workspace)
    dataset.add_sample_field("weather", dataset.get_field("image_id").__class__)
    dataset.save_view("slice: wet", dataset.exists("weather", False).select_fields("weather"))
    dataset.save_view(NAME, images_of(dataset, "b"))
    dataset.delete_sample_field("weather")
    with caplog.at_level(logging.WARNING):
        assert ["b", "Light ones"] in collected(workspace)
    assert "the saved view 'slice: wet' cannot be opened" in caplog.text
