"""Label Studio's ML-backend protocol over HTTP for click-to-mask: authentication, sizes and messages; no logic.

Started by `make up`; Label Studio's server is its only client. Every call but the health check needs the password.
"""

import argparse
import asyncio
import json
import logging
import os
import secrets
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request, status
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from starlette.requests import ClientDisconnect

from datalab.adapters.checkpoints import SamParams
from datalab.adapters.click_to_mask import ClickToMask
from datalab.adapters.embedding_cache import EmbeddingCache
from datalab.adapters.label_studio.click import (
    ClickRequest,
    is_interactive,
    no_answer,
    no_predictions,
    notice_answer,
    read_request,
    regions_answer,
)
from datalab.adapters.label_studio.ml_backend import USER
from datalab.adapters.sam import load_sam, model_version
from datalab.config import load_number, load_params
from datalab.errors import DatalabError, one_line_errors
from datalab.ranges import Count
from datalab.services.click_to_mask import PASSWORD
from datalab.services.ports import LOOPBACK

LARGEST_BODY = 128 * 2**20
"""Bytes. Label Studio sends the task's drafts and annotations along, a hundred masks of a photograph take 3 MB."""
LOG = logging.getLogger("datalab.click_to_mask")

Regions = Callable[[ClickRequest], list[Any]]
"""(asked, mask, predicted IoU) of what a request asks for."""
Encoding = Callable[[ClickRequest], Future[Any] | None]
"""What the masks of a request have to wait for."""


@dataclass(frozen=True)
class ClickParams:
    """Section `click` of params.yaml."""

    threads: Count
    """Torch's, for one click."""


def make_app(masks: Regions, encoding: Encoding, model_version: str, password: str) -> FastAPI:
    """The application; `masks` and `encoding` may be called from many threads, `masks` when `encoding` is over."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    basic = HTTPBasic()

    def trusted(given: Annotated[HTTPBasicCredentials, Depends(basic)]) -> None:
        right = secrets.compare_digest(given.username.encode(), USER.encode())
        if not (secrets.compare_digest(given.password.encode(), password.encode()) and right):
            raise HTTPException(status.HTTP_401_UNAUTHORIZED, "wrong user or password", {"WWW-Authenticate": "Basic"})

    guarded = [Depends(trusted)]

    @app.get("/")
    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "UP", "model_class": "datalab click-to-mask"}

    @app.post("/setup", dependencies=guarded)
    def setup() -> dict[str, str]:
        # its body brings the token of whoever made the project; nothing here needs it
        return {"model_version": model_version}

    @app.get("/versions", dependencies=guarded)
    def versions() -> dict[str, list[str]]:
        return {"versions": [model_version]}

    @app.post("/predict", dependencies=guarded)
    async def predict(request: Request) -> dict[str, Any]:
        body = await _json(request)
        return await answer(masks, encoding, body, model_version)

    return app


async def answer(masks: Regions, encoding: Encoding, body: Any, model_version: str) -> dict[str, Any]:
    """What `/predict` says; where something is wrong a notice for the person who clicked."""
    if not is_interactive(body):
        return no_predictions()
    try:
        request = await asyncio.to_thread(read_request, body)
        if request is None:
            return no_answer()
        if (encoded := await asyncio.to_thread(encoding, request)) is not None:
            # in no thread: those who open images would take them all; shielded, since others may wait for the same
            await asyncio.shield(asyncio.wrap_future(encoded))
        return await asyncio.to_thread(lambda: regions_answer(masks(request), model_version))
    except DatalabError as exc:
        LOG.warning("%s", exc if exc.__cause__ is None else f"{exc}: {exc.__cause__}")
        return notice_answer(f"No mask: {exc}", model_version)
    except Exception:  # Label Studio would show nothing at all; the traceback is in the log
        LOG.exception("a click failed")
        return notice_answer("No mask: click-to-mask failed; the reason is in its log", model_version)


async def _json(request: Request) -> Any:
    """The body; it is never read where nobody says how large it is, and no further than LARGEST_BODY.

    HTTPException where it is none of JSON, too large or broken off.
    """
    try:
        length = int(request.headers["content-length"])
    except (KeyError, ValueError) as exc:
        raise HTTPException(status.HTTP_411_LENGTH_REQUIRED, "say the length of the body") from exc
    if not 0 <= length <= LARGEST_BODY:
        raise _too_large()
    body = bytearray()
    try:
        # counted too: where the body comes in chunks the length that was said counts for nothing
        async for piece in request.stream():
            body += piece
            if len(body) > LARGEST_BODY:
                raise _too_large()
    except ClientDisconnect as exc:  # the page was left, or Label Studio waited no longer: nobody hears the answer
        raise HTTPException(status.HTTP_400_BAD_REQUEST, "the request was broken off") from exc
    try:
        # in a thread: while a large body is read the health check has to be answered
        return await asyncio.to_thread(json.loads, body)
    except (ValueError, RecursionError) as exc:
        raise HTTPException(status.HTTP_400_BAD_REQUEST, "this is no JSON") from exc


def _too_large() -> HTTPException:
    return HTTPException(status.HTTP_413_CONTENT_TOO_LARGE, f"more than {LARGEST_BODY} bytes")


def main() -> None:
    """Load the model, then listen on loopback until stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("params", "media", "embeddings"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    params = load_params(options.params, "click", ClickParams)
    torch.set_num_threads(params.threads)
    checkpoint = load_params(options.params, "sam", SamParams).checkpoint
    version = model_version(checkpoint)
    # as in `ingest`: what is larger was not published by datalab
    largest = load_number(options.params, "ingest", "max_pixels", int)
    cache = EmbeddingCache(options.embeddings)
    clicks = ClickToMask(load_sam(checkpoint), version, cache, options.media, largest)
    app = make_app(clicks.masks, clicks.encoding, version, os.environ[PASSWORD])
    uvicorn.run(app, host=LOOPBACK, port=options.port, ws="none", log_level="warning", access_log=False)


if __name__ == "__main__":
    with one_line_errors():
        main()
