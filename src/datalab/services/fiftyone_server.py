"""FiftyOne's own server, with two differences.

Browsers have to ask whether an image or mask is still what they have: a round writes new masks where the old ones lay,
and a browser that does not ask shows the old ones for hours. And it serves its own pages alone: any other could have
given verdicts, which the next round acts upon.
"""

import argparse
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request, Response
from fiftyone.server import main as stock
from fiftyone.server.routes.media import Media

from datalab.services.own_pages import OwnPagesAlone
from datalab.services.ports import LOOPBACK

Get = Callable[[Any, Request], Awaitable[Response]]
KEPT = ("cache-control", "etag", "vary")
"""Headers of an answer that only says that nothing has changed."""


def asked_anew(get: Get) -> Get:
    """`get` of the media route, with answers that are asked for again each time and sent where they differ."""

    async def checked(media: Any, request: Request) -> Response:
        answer = await get(media, request)
        answer.headers["Cache-Control"] = "no-cache"
        etag = answer.headers.get("ETag")
        if etag is None or request.headers.get("If-None-Match") != etag:
            return answer
        return Response(status_code=304, headers={name: answer.headers[name] for name in KEPT})

    return checked


def main() -> None:
    """Serve on this machine alone until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    Media.get = asked_anew(Media.get)
    stock.app.add_middleware(OwnPagesAlone)
    stock.start_server(port=arguments.port, address=LOOPBACK)


if __name__ == "__main__":
    main()
