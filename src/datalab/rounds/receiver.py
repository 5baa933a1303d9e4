"""The webhook receiver: Label Studio says that annotations changed, and the round that waits for them goes on.

Started by `make up` on loopback. A call is a hint to look and no more: nothing of its body is read.
"""

import argparse
import os
import secrets
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import uvicorn
from fastapi import FastAPI, Header, HTTPException, status

from datalab.adapters.label_studio.webhook import PATH, SECRET_HEADER
from datalab.adapters.prefect_runs import start_run
from datalab.errors import one_line_errors
from datalab.rounds.watching import Watcher
from datalab.settings import Settings
from datalab.workspace import Workspace

DEPLOYMENT = "label-round/label-round"
SECRET = "DATALAB_RECEIVER_SECRET"
"""Environment variable of the server; on the command line the secret would show in `ps`."""


def make_app(announce: Callable[[], None], secret: str, watch: Callable[[threading.Event], None]) -> FastAPI:
    """POST /label-studio with the secret in its header calls `announce`; `watch` runs in a thread beside it."""
    stop = threading.Event()

    @asynccontextmanager
    async def watching(app: FastAPI) -> AsyncIterator[None]:
        thread = threading.Thread(target=watch, args=(stop,), daemon=True)
        thread.start()
        yield
        stop.set()

    app = FastAPI(lifespan=watching, openapi_url=None)

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "UP"}

    @app.post(PATH, status_code=status.HTTP_202_ACCEPTED)
    def changed(given: Annotated[str, Header(alias=SECRET_HEADER)] = "") -> dict[str, str]:
        if not secrets.compare_digest(given.encode(), secret.encode()):
            raise HTTPException(status.HTTP_401_UNAUTHORIZED, "wrong secret")
        announce()
        return {"status": "noted"}

    return app


def start_label_round(workspace: Workspace, number: int) -> None:
    """Let label-round go on with this round, unless a run is about to; it never opens another one."""
    settings = Settings.load(workspace.env)
    start_run(settings.prefect_api_url, DEPLOYMENT, {"workspace": str(workspace.root), "only_round": number})


def main() -> None:
    """Listen on loopback until stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    watcher = Watcher(options.repository, start_label_round)
    app = make_app(watcher.announce, os.environ[SECRET], watcher.run)
    uvicorn.run(app, host="127.0.0.1", port=options.port, ws="none", log_level="warning", access_log=False)


if __name__ == "__main__":
    with one_line_errors():
        main()
