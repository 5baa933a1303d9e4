"""The real servers, once for all tests that ask for them, on free ports and in a folder of their own.

`stack` and `settings` give Label Studio, Prefect and MongoDB; `worker` adds a Prefect worker, `review_app` the FiftyOne
app to the same stack. Tests that use them are marked `services`: `pytest -m "not services"` starts nothing.
"""

import hashlib
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from datalab.adapters.label_studio.client import Client, connect
from datalab.adapters.review_connection import opened
from datalab.services import fiftyone_app, label_studio, mongo, prefect
from datalab.services.ports import free_ports
from datalab.services.stack import Addresses, down, up
from datalab.settings import Settings

ROOT = Path(__file__).parents[2]
SHARED = (label_studio.NAME, prefect.NAME, mongo.NAME)
DATABASE = Path(".datalab") / "label-studio" / "label_studio.sqlite3"
SECRETS = (Path(".env"), Path(".datalab") / "label-studio" / ".env")


@pytest.fixture(scope="session")
def stack_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stands in for the repository: the servers keep everything in its .datalab, the settings are its .env."""
    folder = tmp_path_factory.mktemp("stack")
    (folder / ".venv-label-studio").symlink_to(ROOT / ".venv-label-studio")
    return folder


@pytest.fixture(scope="session")
def fresh_database(pytestconfig: pytest.Config) -> Path:
    """Where Label Studio's empty database is kept between test runs: making it takes half a minute."""
    assert pytestconfig.cache is not None
    version = hashlib.sha256((ROOT / "requirements-label-studio.txt").read_bytes()).hexdigest()[:12]
    return Path(pytestconfig.cache.mkdir(f"label-studio-{version}"))


@pytest.fixture(scope="session")
def stack(stack_folder: Path, fresh_database: Path) -> Iterator[Addresses]:
    """Addresses of running servers; the FiftyOne app is not among them, its database is."""
    is_kept = (fresh_database / DATABASE).exists()
    if is_kept:
        shutil.copytree(fresh_database, stack_folder, dirs_exist_ok=True)
    try:
        addresses = up(stack_folder, free_ports(), SHARED)
        if not is_kept:
            keep(stack_folder, fresh_database)
        yield addresses
    finally:
        down(stack_folder)


def keep(folder: Path, fresh_database: Path) -> None:
    """The database last: where it exists, all that belongs to it does."""
    (fresh_database / DATABASE).parent.mkdir(parents=True, exist_ok=True)
    for secret in SECRETS:
        shutil.copyfile(folder / secret, fresh_database / secret)
    copy = fresh_database / DATABASE.with_suffix(".copy")
    with closing(sqlite3.connect(folder / DATABASE)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    copy.rename(fresh_database / DATABASE)


@pytest.fixture(scope="session")
def settings(stack: Addresses, stack_folder: Path) -> Settings:
    """Addresses and secrets of `stack`."""
    return Settings.load(stack_folder / ".env")


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[Client]:
    """The administrator at Label Studio; closed in the end, since an open connection is a warning and so an error."""
    client = connect(settings.label_studio_url, settings.label_studio_token)
    with client.session:
        yield client


@pytest.fixture
def uri(settings: Settings, request: pytest.FixtureRequest) -> Iterator[str]:
    """Address of FiftyOne's database; the dataset that the test's module calls NAME is deleted afterwards."""
    yield settings.fiftyone_database_uri
    with opened(settings.fiftyone_database_uri) as fiftyone:
        if fiftyone.dataset_exists(request.module.NAME):
            fiftyone.delete_dataset(request.module.NAME)


@pytest.fixture(scope="session")
def worker(settings: Settings, stack_folder: Path) -> Settings:
    """`settings`, with a Prefect worker running and the repository's deployments registered."""
    for name in ("prefect.yaml", "pyproject.toml", "flows"):
        (stack_folder / name).symlink_to(ROOT / name)
    up(stack_folder, services=(*SHARED, prefect.WORKER))
    return settings


@pytest.fixture(scope="session")
def review_app(settings: Settings, stack_folder: Path) -> Settings:
    """`settings`, with the FiftyOne app running at `settings.fiftyone_url`."""
    up(stack_folder, services=(*SHARED, fiftyone_app.NAME))
    return settings
