"""The HTTP side of click-to-mask: who gets in, how large a request may be, what goes wrong aloud."""

import logging
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from typing import Any, NoReturn

import numpy as np
import pytest
import requests
import uvicorn

from datalab.adapters.label_studio.click import Asked, ClickRequest
from datalab.adapters.label_studio.ml_backend import USER
from datalab.errors import InputError
from datalab.masks import BoolMask
from datalab.services import click_server
from datalab.services.click_server import LARGEST_BODY, Encoding, Regions, make_app
from datalab.services.ports import free_ports
from tests.adapters.label_studio.clicks import body, point

PASSWORD = "a password of the tests"
VERSION = "sam-small-12345678"


def masks(request: ClickRequest) -> list[tuple[Asked, BoolMask, float]]:
    mask = np.zeros((request.height, request.width), dtype=bool)
    mask[:2] = True
    return [(asked, mask, 0.5) for asked in request.asked]


class Server(requests.Session):
    """Calls the server as Label Studio does."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.auth = (USER, PASSWORD)

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.request(method, self.url + path, timeout=30, **options)

    def predict(self, sent: Any) -> Any:
        answer = self.call("POST", "/predict", json=sent)
        assert answer.status_code == 200
        return answer.json()


@contextmanager
def serving(regions: Regions, encoding: Encoding = lambda request: None) -> Iterator[Server]:
    port = free_ports().click
    config = uvicorn.Config(
        make_app(regions, encoding, VERSION, PASSWORD), host="127.0.0.1", port=port, ws="none", log_level="error"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        with Server(f"http://127.0.0.1:{port}") as session:
            yield session
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    with serving(masks) as session:
        yield session


@pytest.fixture
def server(shared: Server) -> Server:
    shared.auth = (USER, PASSWORD)
    return shared


def test_the_protocol(server: Server) -> None:
    assert server.call("GET", "/").json()["status"] == "UP"
    assert server.call("GET", "/health").json()["status"] == "UP"
    asked = {"project": "1.2", "schema": "<View/>", "access_token": "secret"}
    assert server.call("POST", "/setup", json=asked).json() == {"model_version": VERSION}
    assert server.call("GET", "/versions").json() == {"versions": [VERSION]}
    (answer,) = server.predict(body(point(50, 50)))["results"]
    assert answer["model_version"] == VERSION
    assert [(one["type"], one["value"]["brushlabels"]) for one in answer["result"]] == [("brushlabels", ["cup"])]


@pytest.mark.parametrize("auth", [None, (USER, "wrong"), ("wrong", PASSWORD), (USER, ""), ("é", "é")])
def test_who_does_not_know_the_password_gets_nothing(server: Server, auth: tuple[str, str] | None) -> None:
    server.auth = auth
    assert server.call("GET", "/health").status_code == 200
    for method, path in (("POST", "/setup"), ("GET", "/versions"), ("POST", "/predict")):
        assert server.call(method, path, json=body(point(50, 50))).status_code == 401


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/webhook", "/train"])
def test_there_is_nothing_else(server: Server, path: str) -> None:
    assert [server.call(method, path).status_code for method in ("GET", "POST")] == [404, 404]


def test_nothing_is_proposed_when_nobody_points(server: Server) -> None:
    """A task without proposals may be one of those that measure whether proposals help."""
    for params in (None, {}, {"context": None}):
        assert server.predict({**body(), "params": params}) == {"results": []}
    assert server.predict(body()) == {"results": [{"result": []}]}


def test_what_goes_wrong_is_a_text_on_the_screen() -> None:
    def refuse(request: ClickRequest) -> NoReturn:
        raise InputError("the image a.png cannot be read")

    with serving(refuse) as server:
        answer = server.predict(body(point(50, 50)))
    (result,) = answer["results"][0]["result"]
    assert (result["type"], result["from_name"], result["to_name"]) == ("textarea", "notice", "image")
    assert result["value"]["text"] == ["No mask: the image a.png cannot be read"]


def test_what_was_the_cause_is_in_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(request: ClickRequest) -> NoReturn:
        raise InputError("the image a.png cannot be read") from InputError("/media/a.png cannot be read: truncated")

    with serving(refuse) as server:
        (result,) = server.predict(body(point(50, 50)))["results"][0]["result"]
    assert result["value"]["text"] == ["No mask: the image a.png cannot be read"]
    assert "the image a.png cannot be read: /media/a.png cannot be read: truncated" in caplog.messages


def test_a_bug_is_not_silent_either() -> None:
    def fail(request: ClickRequest) -> NoReturn:
        raise RuntimeError("a secret of the server")

    with serving(fail) as server:
        (result,) = server.predict(body(point(50, 50)))["results"][0]["result"]
    assert result["value"]["text"][0].startswith("No mask: click-to-mask failed")
    assert "secret" not in result["value"]["text"][0]


@pytest.mark.slow
def test_however_many_wait_for_an_encoding_other_clicks_are_answered() -> None:
    encoded: Future[None] = Future()
    begun: list[str] = []

    def encoding(request: ClickRequest) -> Future[None] | None:
        if request.image.endswith("known.png"):
            return None
        begun.append(request.image)
        return encoded

    def predict(image: str) -> Any:
        with Server(session.url) as own:
            return own.predict(body(point(50, 50), image=image))

    people = 40
    with serving(masks, encoding) as session, ThreadPoolExecutor(people) as pool:
        waiting = [pool.submit(predict, "new.png") for _ in range(people)]
        try:
            while len(begun) < people:
                time.sleep(0.01)
            assert predict("known.png")["results"][0]["result"]
            assert not any(one.done() for one in waiting)
        finally:
            encoded.set_result(None)
        assert all(one.result()["results"][0]["result"] for one in waiting)


def test_an_encoding_that_fails_is_told_on_the_screen() -> None:
    failed: Future[None] = Future()
    failed.set_exception(InputError("the image a.png cannot be read"))
    with serving(masks, lambda request: failed) as server:
        (result,) = server.predict(body(point(50, 50)))["results"][0]["result"]
    assert result["value"]["text"] == ["No mask: the image a.png cannot be read"]


@pytest.mark.parametrize(
    "sent", [[], "text", 7, {"params": 7}, {"params": {"context": {"result": "?"}}}, {"params": {"context": 5}}]
)
def test_any_json_gets_an_answer(server: Server, sent: Any) -> None:
    assert "results" in server.predict(sent)


def test_what_is_nested_too_deep_is_refused(server: Server) -> None:
    assert server.call("POST", "/predict", data=b"[" * 200_000 + b"]" * 200_000).status_code == 400


def test_sizes_are_bounded(server: Server) -> None:
    assert server.call("POST", "/predict", data=b"{").status_code == 400
    assert server.call("POST", "/predict", data=iter([b"{}"])).status_code == 411
    connection = HTTPConnection(server.url.removeprefix("http://"), timeout=30)
    connection.putrequest("POST", "/predict")
    connection.putheader("Content-Length", str(LARGEST_BODY + 1))
    connection.putheader("Authorization", f"Basic {b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}")
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_a_click_that_is_broken_off_leaves_no_traceback(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("uvicorn.error")  # which hands nothing on to the root
    logger.addHandler(caplog.handler)
    try:
        with closing(HTTPConnection(server.url.removeprefix("http://"), timeout=30)) as connection:
            connection.putrequest("POST", "/predict")
            connection.putheader("Content-Length", "1000")
            connection.putheader("Authorization", f"Basic {b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}")
            connection.endheaders()
            connection.send(b"[")
        for _ in range(3):
            assert server.call("GET", "/health").status_code == 200
    finally:
        logger.removeHandler(caplog.handler)
    assert not caplog.records


def test_a_length_that_was_said_of_a_body_in_chunks_is_not_believed(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(click_server, "LARGEST_BODY", 1000)
    assert in_chunks(server, b"[", b"]") == 200
    assert in_chunks(server, b"[" + b" " * 600, b" " * 600 + b"]") == 413


def in_chunks(server: Server, *pieces: bytes) -> int:
    """Status of a call that says it has 10 bytes and sends these."""
    with closing(HTTPConnection(server.url.removeprefix("http://"), timeout=30)) as connection:
        connection.putrequest("POST", "/predict")
        connection.putheader("Content-Length", "10")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.putheader("Authorization", f"Basic {b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}")
        connection.endheaders()
        connection.send(b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b"")))
        return connection.getresponse().status
