"""The real servers, once for all tests that ask for them, on free ports and in a folder of their own.

`stack` and `settings` give Label Studio, Prefect and MongoDB; `worker` adds a Prefect worker to the same stack.
Tests that use them are marked `services`, so that `pytest -m "not services"` starts nothing.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from datalab.services import label_studio, mongo, prefect
from datalab.services.ports import free_ports
from datalab.services.stack import Addresses, down, up
from datalab.settings import Settings

ROOT = Path(__file__).parents[2]
SHARED = (label_studio.NAME, prefect.NAME, mongo.NAME)


@pytest.fixture(scope="session")
def stack_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stands in for the repository: the servers keep everything in its .datalab, the settings are its .env."""
    folder = tmp_path_factory.mktemp("stack")
    (folder / ".venv-label-studio").symlink_to(ROOT / ".venv-label-studio")
    return folder


@pytest.fixture(scope="session")
def stack(stack_folder: Path) -> Iterator[Addresses]:
    """Addresses of running servers; the FiftyOne app is not among them, its database is."""
    try:
        yield up(stack_folder, free_ports(), SHARED)
    finally:
        down(stack_folder)


@pytest.fixture(scope="session")
def settings(stack: Addresses, stack_folder: Path) -> Settings:
    """Addresses and secrets of `stack`."""
    return Settings.load(stack_folder / ".env")


@pytest.fixture(scope="session")
def worker(settings: Settings, stack_folder: Path) -> Settings:
    """`settings`, with a Prefect worker running and the repository's deployments registered."""
    (stack_folder / "prefect.yaml").symlink_to(ROOT / "prefect.yaml")
    (stack_folder / "flows").symlink_to(ROOT / "flows")
    up(stack_folder, services=(*SHARED, prefect.WORKER))
    return settings
