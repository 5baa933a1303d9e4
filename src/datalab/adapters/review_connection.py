"""The way to FiftyOne: its settings put into the environment, its import, its database, its errors.

FiftyOne reads environment variables once, while it is imported, and the import takes seconds: it happens in `opened`
alone, and nothing else of datalab imports it.
"""

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from datalab.errors import ServiceError

TIMEOUT = "serverSelectionTimeoutMS"
ANSWER_SECONDS = 5
"""After so long without an answer the database counts as gone; MongoDB's own default is 30 s."""


@contextmanager
def opened(uri: str) -> Iterator[Any]:
    """The module `fiftyone`, connected to the MongoDB at `uri`, for the time of a `with` block.

    ServiceError where the database does not answer within seconds, now or later in the block, and where this process
    has imported FiftyOne with other settings before.
    """
    try:
        _ping(uri)
        yield _connected(uri)
    except PyMongoError as exc:
        raise ServiceError(
            f"MongoDB at {_host(uri)} does not answer ({type(exc).__name__}); start it: run `make up`, then try again"
        ) from exc


def fiftyone_environment(uri: str) -> dict[str, str]:
    """The variables with which FiftyOne is imported: our database, no telemetry, nothing read from or put in ~."""
    folder = Path(tempfile.gettempdir()) / f"datalab-fiftyone-{os.getuid()}"
    return {
        "FIFTYONE_DATABASE_URI": _impatient(uri),
        "FIFTYONE_DATABASE_NAME": "fiftyone",
        # MongoDB 6 is the oldest version supported, which would be told at every start
        "FIFTYONE_DATABASE_VALIDATION": "false",
        "FIFTYONE_DO_NOT_TRACK": "true",
        "FIFTYONE_LOGGING_LEVEL": "WARNING",
        # a person's own settings in ~/.fiftyone are not for this database
        "FIFTYONE_CONFIG_PATH": str(folder / "config.json"),
        "FIFTYONE_APP_CONFIG_PATH": str(folder / "app_config.json"),
        "FIFTYONE_DEFAULT_DATASET_DIR": str(folder / "datasets"),
        # imported along with FiftyOne, it makes this folder, else ~/.config/matplotlib
        "MPLCONFIGDIR": os.environ.get("MPLCONFIGDIR", str(folder / "matplotlib")),
    }


def _connected(uri: str) -> Any:
    environment = fiftyone_environment(uri)
    if "fiftyone" not in sys.modules:
        os.environ.update(environment)
    with warnings.catch_warnings():
        # of its libraries about one another; nothing a user of datalab can act on
        warnings.simplefilter("ignore", DeprecationWarning)
        import fiftyone  # noqa: PLC0415  (seconds)

        if fiftyone.config.database_uri != environment["FIFTYONE_DATABASE_URI"]:
            raise ServiceError(
                f"this process uses FiftyOne with another database already, not {_host(uri)}; run it in a new process"
            )
        try:
            fiftyone.list_datasets()
        except OSError as exc:
            raise ServiceError(f"FiftyOne refuses the database at {_host(uri)}: {' '.join(str(exc).split())}") from exc
    return fiftyone


def _ping(uri: str) -> None:
    """Before the import, so that a database that is down is told at once."""
    try:
        client = MongoClient[dict[str, Any]](_impatient(uri))
    except ValueError as exc:
        raise ServiceError("FIFTYONE_DATABASE_URI is no address of a MongoDB; put it right in .env") from exc
    with client:
        client.admin.command("ping")


def _impatient(uri: str) -> str:
    """The same address with the timeout in it, which holds for every client that FiftyOne makes of it."""
    parts = urlsplit(uri)
    if TIMEOUT in parts.query:
        return uri
    query = "&".join(filter(None, (parts.query, f"{TIMEOUT}={ANSWER_SECONDS * 1000}")))
    return parts._replace(path=parts.path or "/", query=query).geturl()


def _host(uri: str) -> str:
    """Without a user and password that may stand in the address."""
    return urlsplit(uri).netloc.rpartition("@")[2]
