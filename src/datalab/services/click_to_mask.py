"""Click-to-mask: SAM behind Label Studio's ML-backend protocol, for Label Studio's server alone."""

import hashlib
import sys
from functools import partial
from pathlib import Path

import yaml

from datalab.adapters.checkpoints import cache_folder
from datalab.services.ports import port_of
from datalab.services.processes import Service, answers
from datalab.settings import Settings

NAME = "click-to-mask"
PASSWORD = "DATALAB_CLICK_PASSWORD"
"""Environment variable of the server; on the command line the password would show in `ps`."""


def click_to_mask(repository: Path, state: Path, settings: Settings) -> Service:
    """The server on loopback; it reads section `click` of <repository>/params.yaml and images below the media folder.

    Embeddings are kept in <state>/embeddings, where `embed` keeps them too.
    """
    url = settings.click_url
    params = repository / "params.yaml"
    return Service(
        name=NAME,
        command=(
            *(sys.executable, "-m", "datalab.services.click_server", "--params", str(params)),
            *("--media", str(settings.datalab_media), "--embeddings", str(state / "embeddings")),
            *("--port", str(port_of(url))),
        ),
        environment={
            PASSWORD: settings.click_password,
            # the caller's, which processes started for people do not inherit otherwise
            "DATALAB_CACHE": str(cache_folder().parent),
            # another checkpoint is another server
            "DATALAB_CLICK_PARAMS": _digest(params),
        },
        folder=state / "embeddings",
        address=url,
        port=port_of(url),
        setting="CLICK_URL",
        ready=partial(answers, f"{url}/health"),
        start_seconds=120.0,
    )


def _digest(params: Path) -> str:
    """Of what the server reads, "" where that is not there: the server itself tells what is wrong with the file."""
    try:
        content = yaml.safe_load(params.read_text(encoding="utf-8"))
        read = content["sam"], content["click"], content["ingest"]["max_pixels"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return ""
    return hashlib.sha256(repr(read).encode()).hexdigest()[:16]
