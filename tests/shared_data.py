"""Where real data for tests lies: the folder of DATALAB_SHARED_DATA, else ../shared/data beside the repository."""

import os
from pathlib import Path

import pytest

SHARED_DATA = Path(os.environ.get("DATALAB_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


def shared_data(name: str) -> Path:
    """The folder `name`; skips the test where it is absent."""
    folder = SHARED_DATA / name
    if not folder.exists():
        pytest.skip(f"{folder} is absent; set DATALAB_SHARED_DATA")
    return folder
