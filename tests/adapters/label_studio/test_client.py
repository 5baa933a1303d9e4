"""What the client makes of a server that stumbles, refuses or is not there."""

import socket

import pytest

from datalab.adapters.label_studio import client
from datalab.adapters.label_studio.client import connect
from datalab.errors import ServiceError
from tests.adapters.label_studio.scripted_server import Answer, serving

ME: Answer = (200, {"id": 1})


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAUSES_S", (0, 0, 0))


def test_the_token_goes_with_every_call() -> None:
    with serving(ME) as server:
        connect(server.url + "/", "abc").get("/api/x", page=2)
    assert server.tokens == {"Token abc"}
    assert server.asked == [("GET", "/api/current-user/whoami", None), ("GET", "/api/x?page=2", None)]


def test_the_token_goes_through_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving((500, "a proxy")) as proxy, serving(ME) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        connect(server.url, "abc")
    assert proxy.asked == []


def test_what_may_be_repeated_is_tried_again() -> None:
    with serving(ME, (503, {}), (0, None), (200, {"ok": 1}), (500, {}), (200, {"ok": 2})) as server:
        one = connect(server.url, "abc")
        assert one.get("/api/x") == {"ok": 1}
        assert one.patch("/api/x", {"a": 1}) == {"ok": 2}
    assert [method for method, _, _ in server.asked] == ["GET", "GET", "GET", "GET", "PATCH", "PATCH"]


@pytest.mark.parametrize("fault", [(503, {}), (0, None)])
def test_what_makes_something_is_sent_once(fault: Answer) -> None:
    with serving(ME, fault) as server:
        one = connect(server.url, "abc")
        with pytest.raises(ServiceError):
            one.post("/api/x", {"a": 1})
        with pytest.raises(ServiceError):
            one.delete("/api/x")
    assert server.asked[1:] == [("POST", "/api/x", {"a": 1}), ("DELETE", "/api/x", None)]


def test_tries_end() -> None:
    with serving(ME, (502, "<html>bad gateway</html>")) as server:
        one = connect(server.url, "abc")
        with pytest.raises(ServiceError, match="answered 502: Bad Gateway"):
            one.get("/api/x")
    assert len(server.asked) == 1 + 4


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((401, {"detail": "Invalid token."}), "refuses the token"),
        ((404, {"detail": "No Project\nmatches"}), "answered 404: No Project matches"),
        ((400, {"detail": "Validation error", "validation_errors": {"title": ["too long"]}}), "'title': .'too long'"),
        ((400, ["a", "list"]), "answered 400: Bad Request"),
        ((200, "<html>hello</html>"), "not as Label Studio does; check LABEL_STUDIO_URL"),
    ],
)
def test_a_refusal_is_one_line_and_not_repeated(answer: Answer, said: str) -> None:
    with serving(answer) as server, pytest.raises(ServiceError, match=said) as caught:
        connect(server.url, "abc")
    assert "\n" not in str(caught.value)
    assert len(server.asked) == 1
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}", "127.0.0.1:{port}", "http://", "http://no host"])
def test_a_server_that_is_not_there(url: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ServiceError, match="does not answer; is it running") as caught:
            connect(url.format(port=unused.getsockname()[1]), "abc")
    assert "\n" not in str(caught.value)


def test_tasks_of_all_pages_in_the_order_of_their_ids() -> None:
    pages: list[Answer] = [
        (200, {"total": 3, "tasks": [{"id": 9}, {"id": 2}]}),
        (200, {"total": 3, "tasks": [{"id": 5}]}),
    ]
    with serving(ME, *pages) as server:
        tasks = connect(server.url, "abc").tasks(7, "id,data", page_size=2)
    assert [task["id"] for task in tasks] == [2, 5, 9]
    assert [path for _, path, _ in server.asked[1:]] == [
        f"/api/tasks?page={page}&project=7&page_size=2&fields=all&include=id%2Cdata" for page in (1, 2)
    ]
