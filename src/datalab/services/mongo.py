"""MongoDB, from inside the wheel that FiftyOne brings: keeps what the review app shows."""

from functools import partial
from importlib.util import find_spec
from pathlib import Path

from datalab.errors import ServiceError
from datalab.services.ports import LOOPBACK, port_of
from datalab.services.processes import Service, answers
from datalab.settings import Settings

NAME = "mongo"


def mongo(state: Path, settings: Settings) -> Service:
    """mongod with its files in <state>/mongo."""
    port = port_of(settings.fiftyone_database_uri)
    folder = state / "mongo"
    return Service(
        name=NAME,
        command=(
            *(str(_mongod()), "--dbpath", str(folder), "--bind_ip", LOOPBACK, "--port", str(port)),
            # a cache of half a gigabyte holds everything here; the default takes half of the memory
            *("--nounixsocket", "--wiredTigerCacheSizeGB", "0.5"),
        ),
        environment={"HOME": str(state / "home")},
        folder=folder,
        address=settings.fiftyone_database_uri,
        port=port,
        setting="FIFTYONE_DATABASE_URI",
        # mongod answers a plain GET with a line that says it is MongoDB
        ready=partial(answers, f"http://{LOOPBACK}:{port}/"),
        start_seconds=60.0,
    )


def _mongod() -> Path:
    """Found without importing fiftyone, which would take seconds."""
    package = find_spec("fiftyone")
    folders = list(package.submodule_search_locations or []) if package is not None else []
    for folder in folders:
        program = Path(folder) / "db" / "bin" / "mongod"
        if program.is_file():
            return program
    raise ServiceError("mongod is missing from the fiftyone package; install the environment anew: run `make setup`")
