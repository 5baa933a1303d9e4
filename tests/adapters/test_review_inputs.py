from pathlib import Path

import pytest

from datalab.adapters.files import write_table
from datalab.adapters.review_inputs import read_inputs
from datalab.errors import InputError
from datalab.workspace import Workspace
from tests.adapters.review_example import after_round, catalog


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "guidelines").mkdir()
    text = 'classes:\n  - {id: 3, name: coin, color: "#e69f00"}\n'
    (tmp_path / "guidelines" / "classes.yaml").write_text(text, encoding="utf-8")
    return Workspace(tmp_path)


def test_what_is_not_there_yet_is_none(workspace: Workspace) -> None:
    write_table(workspace.catalog, catalog())
    inputs = read_inputs(workspace)
    assert list(inputs.catalog["image_id"]) == ["a1", "b2", "c3"]
    assert inputs.guidelines.names == ["coin"]
    optional = (inputs.ratings, inputs.regions, inputs.consensus, inputs.agreement, inputs.index, inputs.scores)
    assert optional == (None,) * 6
    assert (inputs.next_batch, inputs.masks, inputs.predictions) == (None, None, None)


def test_what_is_there_is_read(workspace: Workspace) -> None:
    example = after_round(workspace.data)
    write_table(workspace.catalog, catalog())
    assert example.consensus is not None
    write_table(workspace.consensus, example.consensus)
    inputs = read_inputs(workspace)
    assert inputs.consensus is not None
    assert inputs.consensus.equals(example.consensus)
    assert inputs.predictions == workspace.predictions


def test_without_images_there_is_nothing_to_review(workspace: Workspace) -> None:
    with pytest.raises(InputError, match=r"catalog\.parquet does not exist"):
        read_inputs(workspace)
