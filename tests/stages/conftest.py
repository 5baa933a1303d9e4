from pathlib import Path

import pytest

from datalab.workspace import Workspace
from tests.stages.blob_workspace import blob_workspace, run_dataset, run_train


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace of blobs with a dataset and a model, made once; tests write their own outputs elsewhere."""
    workspace = blob_workspace(tmp_path_factory.mktemp("blobs") / "world", images=40, labelled=26)
    run_dataset(workspace)
    run_train(workspace)
    return workspace


@pytest.fixture
def blobs(tmp_path: Path) -> Workspace:
    """A small labelled workspace without a dataset."""
    return blob_workspace(tmp_path / "world")
