"""The FiftyOne app: where results are looked through. It shows whatever dataset lies in MongoDB, also later ones."""

import sys
from functools import partial
from pathlib import Path

import datalab
from datalab.services.ports import port_of
from datalab.services.processes import Service, answers
from datalab.settings import Settings

NAME = "fiftyone"
PLUGIN = Path(datalab.__file__).parent / "adapters" / "review_plugin"


def fiftyone_app(state: Path, settings: Settings) -> Service:
    """The app's server alone: one process, where `fiftyone app launch` keeps three, and it needs no dataset."""
    port = port_of(settings.fiftyone_url)
    folder = state / "fiftyone"
    return Service(
        name=NAME,
        command=(sys.executable, "-m", "datalab.services.fiftyone_server", "--port", str(port)),
        environment={
            "HOME": str(state / "home"),
            "FIFTYONE_CONFIG_PATH": str(folder / "config.json"),
            "FIFTYONE_DATABASE_URI": settings.fiftyone_database_uri,
            # MongoDB 6 is the oldest version supported, which would be told at every start
            "FIFTYONE_DATABASE_VALIDATION": "false",
            "FIFTYONE_DO_NOT_TRACK": "true",
            # the operator with which reviewers send work back
            "FIFTYONE_PLUGINS_DIR": str(PLUGIN),
        },
        folder=folder,
        address=settings.fiftyone_url,
        port=port,
        setting="FIFTYONE_URL",
        ready=partial(answers, f"{settings.fiftyone_url}/fiftyone"),
        start_seconds=120.0,
    )
