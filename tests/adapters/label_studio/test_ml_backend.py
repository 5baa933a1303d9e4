"""Attaching the click-to-mask server to a project, at a server that only seems to be Label Studio."""

from typing import Any

import pytest

from datalab.adapters.label_studio.client import connect
from datalab.adapters.label_studio.ml_backend import TITLE, USER, attach_click_to_mask
from datalab.errors import ServiceError
from tests.adapters.label_studio.scripted_server import Answer, serving

ME: Answer = (200, {"id": 1})
UP: Answer = (200, {"status": "UP"})


def refusal(said: str) -> Answer:
    return 400, {"validation_errors": {"non_field_errors": [said]}}


def backend(url: str, /, **other: Any) -> dict[str, Any]:
    attached = {"id": 4, "title": TITLE, "url": url, "is_interactive": True, "state": "CO"}
    return {**attached, "auth_method": "BASIC_AUTH", "basic_auth_user": USER, **other}


def attach(*answers: Answer, url: str) -> tuple[bool, list[tuple[str, str]]]:
    """Whether it was attached, and what Label Studio was asked to change."""
    with serving(ME, *answers) as server:
        done = attach_click_to_mask(connect(server.url, "abc"), 7, url, "secret")
    for method, _, body in server.asked:
        if method in ("POST", "PATCH"):
            assert (body["project"], body["url"], body["basic_auth_pass"]) == (7, url, "secret")
            assert body["is_interactive"] is True
    return done, [(method, path) for method, path, _ in server.asked if method != "GET"]


def test_it_is_made_once() -> None:
    with serving(UP) as ours:
        assert attach((200, []), (201, {}), (200, []), url=ours.url) == (True, [("POST", "/api/ml")])
        assert attach((200, [backend(ours.url)]), (200, []), url=ours.url) == (True, [])
    assert {path for _, path, _ in ours.asked} == {"/health"}
    assert ours.tokens == {None}


@pytest.mark.parametrize("other", [{"url": "http://127.0.0.1:1"}, {"state": "ER"}, {"is_interactive": False}])
def test_what_has_changed_is_put_right(other: dict[str, Any]) -> None:
    with serving(UP) as ours:
        found = (200, [backend("http://elsewhere", title="another"), backend(ours.url, **other)])
        assert attach(found, (200, {}), (200, []), url=ours.url) == (True, [("PATCH", "/api/ml/4")])


def test_a_second_one_that_a_lost_answer_left_goes() -> None:
    with serving(UP) as ours:
        found = (200, [backend(ours.url), backend(ours.url, id=5)])
        assert attach(found, (204, ""), (200, []), url=ours.url) == (True, [("DELETE", "/api/ml/5")])


def test_the_webhook_that_label_studio_makes_along_goes_and_no_other() -> None:
    with serving(UP) as ours:
        hooks = [
            {"id": 1, "project": 7, "url": f"{ours.url}/webhook"},
            {"id": 2, "project": 8, "url": f"{ours.url}/webhook"},
            {"id": 3, "project": 7, "url": "http://127.0.0.1:1/webhook"},
        ]
        _, changed = attach((200, []), (201, {}), (200, hooks), (204, ""), url=ours.url)
    assert changed == [("POST", "/api/ml"), ("DELETE", "/api/webhooks/1/")]


def test_without_the_server_labeling_goes_on() -> None:
    assert attach(url="http://127.0.0.1:9") == (False, [])


@pytest.mark.parametrize(
    "said", ["Reason: 401 Client Error", "Able to connect, but authentication parameters are wrong"]
)
def test_a_wrong_password_is_told(said: str) -> None:
    with serving(UP) as ours, pytest.raises(ServiceError, match=said):
        attach((200, []), refusal(said), url=ours.url)


@pytest.mark.parametrize("known", [False, True])
def test_where_label_studio_waits_in_vain_labeling_goes_on(known: bool, caplog: pytest.LogCaptureFixture) -> None:
    with serving(UP) as ours:
        found = [backend(ours.url, state="DI")] if known else []
        done, changed = attach((200, found), refusal("Can't connect: Read timed out. (read timeout=5.0)"), url=ours.url)
    assert (done, changed) == (False, [("PATCH", "/api/ml/4") if known else ("POST", "/api/ml")])
    assert "project 7 goes without click-to-mask" in caplog.text
    assert "read timeout=5.0" in caplog.text


def test_another_trouble_of_label_studio_is_told() -> None:
    with serving(UP) as ours, pytest.raises(ServiceError, match="answered 403"):
        attach((200, []), (403, {"detail": "no"}), url=ours.url)
