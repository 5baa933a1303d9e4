"""Which requests reach a server without accounts."""

import asyncio
from typing import Any

import pytest
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse

from datalab.services.own_pages import OwnPagesAlone, is_own


@pytest.mark.parametrize(
    ("host", "origin", "own"),
    [
        ("127.0.0.1:5161", None, True),
        ("127.0.0.1:5161", "http://127.0.0.1:5161", True),
        ("localhost:9000", "http://localhost:9000", True),
        ("127.0.0.1:5161", "http://elsewhere.example", False),
        ("127.0.0.1:5161", "http://127.0.0.1:4299", False),
        ("127.0.0.1:5161", "null", False),
        ("elsewhere.example:5161", "http://elsewhere.example:5161", False),
        ("elsewhere.example:5161", None, False),
        ("", None, False),
        ("[", "http://[", False),
    ],
)
def test_only_pages_of_the_servers_own_address_ask_it(host: str, origin: str | None, own: bool) -> None:
    headers = {"host": host, **({} if origin is None else {"origin": origin})}
    assert is_own(Headers(headers)) is own


@pytest.mark.parametrize(("origin", "status"), [("http://127.0.0.1:5161", 200), ("http://elsewhere.example", 403)])
def test_what_is_refused_never_reaches_the_server(origin: str, status: int) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    scope = {"type": "http", "headers": [(b"host", b"127.0.0.1:5161"), (b"origin", origin.encode())]}
    asyncio.run(OwnPagesAlone(PlainTextResponse("done"))(scope, receive, send))
    assert sent[0]["status"] == status
    assert (b"done" in sent[1]["body"]) is (status == 200)
