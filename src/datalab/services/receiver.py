"""The webhook receiver: Label Studio tells it that annotations changed, it lets the round go on."""

import sys
from functools import partial
from pathlib import Path

from datalab.services.ports import port_of
from datalab.services.processes import Service, answers
from datalab.settings import Settings

NAME = "webhooks"
SECRET = "DATALAB_RECEIVER_SECRET"
"""Environment variable of the server; on the command line the secret would show in `ps`."""


def receiver(repository: Path, state: Path, settings: Settings) -> Service:
    """The server on loopback; it looks at the rounds of `repository` and of <repository>/workspaces/*."""
    url = settings.receiver_url
    return Service(
        name=NAME,
        command=(
            *(sys.executable, "-m", "datalab.rounds.receiver"),
            *("--repository", str(repository), "--port", str(port_of(url))),
        ),
        environment={SECRET: settings.receiver_secret, "HOME": str(state / "home")},
        folder=state / "webhooks",
        address=url,
        port=port_of(url),
        setting="RECEIVER_URL",
        ready=partial(answers, f"{url}/health"),
        start_seconds=120.0,
    )
