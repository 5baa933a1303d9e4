"""The .env file: addresses and secrets, made by the first `make up` and kept by the later ones."""

import secrets
from pathlib import Path

from datalab.adapters.files import remove_leftovers_of, write_bytes
from datalab.services.ports import LOOPBACK, Ports
from datalab.settings import Settings, read_env

HEADER = "# Addresses and secrets of the local services, written by `make up`. Keep it out of git and logs.\n"


def ensure_env(env_file: Path, state: Path, ports: Ports | None = None) -> Settings:
    """The settings in `env_file`, completed where keys are missing; other lines of the file are kept as keys.

    `ports`, where given, replace those of the file. The file is readable by its owner only.
    """
    remove_leftovers_of(env_file)
    present = read_env(env_file)
    filled = {key: value for key, value in present.items() if value}
    wanted = {**_secrets(), **_addresses(ports or Ports()), **filled, **_folders(state)}
    if ports is not None:
        wanted |= _addresses(ports)
    if wanted != present:
        lines = [f"{key}={_quoted(value)}\n" for key, value in wanted.items()]
        write_bytes(env_file, (HEADER + "".join(lines)).encode(), mode=0o600)
    return Settings.from_values(wanted, str(env_file))


def _folders(state: Path) -> dict[str, str]:
    """Never taken from the file: the checkout may have been moved. PREFECT_HOME is for `prefect`, which reads .env."""
    return {"DATALAB_MEDIA": str(state / "media"), "PREFECT_HOME": str(state / "prefect")}


def _addresses(ports: Ports) -> dict[str, str]:
    return {
        "LABEL_STUDIO_URL": f"http://{LOOPBACK}:{ports.label_studio}",
        "CLICK_URL": f"http://{LOOPBACK}:{ports.click}",
        "RECEIVER_URL": f"http://{LOOPBACK}:{ports.receiver}",
        "PREFECT_API_URL": f"http://{LOOPBACK}:{ports.prefect}/api",
        "FIFTYONE_DATABASE_URI": f"mongodb://{LOOPBACK}:{ports.mongo}",
        "FIFTYONE_URL": f"http://{LOOPBACK}:{ports.fiftyone}",
    }


def _secrets() -> dict[str, str]:
    return {
        # Label Studio lets in no one whose address has a short domain such as a@b.c
        "LABEL_STUDIO_USERNAME": "admin@datalab.local",
        "LABEL_STUDIO_PASSWORD": secrets.token_urlsafe(24),
        "LABEL_STUDIO_TOKEN": secrets.token_hex(20),
        "ANNOTATOR_PASSWORD": secrets.token_urlsafe(24),
        "CLICK_PASSWORD": secrets.token_urlsafe(24),
        "RECEIVER_SECRET": secrets.token_urlsafe(24),
    }


def _quoted(value: str) -> str:
    """In single quotes nothing is expanded, by a shell or by dotenv."""
    plain = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{plain}'"
