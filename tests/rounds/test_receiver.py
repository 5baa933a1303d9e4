"""Who may call the webhook receiver, and what a call does."""

import threading
import time

import requests
import uvicorn

from datalab.rounds.receiver import SECRET, make_app
from datalab.services import receiver as service
from datalab.services.ports import free_ports

HEADER = "X-Datalab-Secret"


def test_only_the_secret_counts_as_a_call() -> None:
    calls: list[int] = []
    watched = threading.Event()
    app = make_app(lambda: calls.append(1), "s3cret", lambda stop: watched.set())
    port = free_ports().receiver
    server = uvicorn.Server(uvicorn.Config(app, port=port, ws="none", log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.02)
        url = f"http://127.0.0.1:{port}"
        assert requests.get(f"{url}/health", timeout=10).json() == {"status": "UP"}
        for headers in ({}, {HEADER: ""}, {HEADER: "s3cre"}, {HEADER: "other"}):
            assert requests.post(f"{url}/label-studio", headers=headers, json={}, timeout=10).status_code == 401
        assert calls == []
        answer = requests.post(f"{url}/label-studio", headers={HEADER: "s3cret"}, data=b"no json", timeout=10)
        assert answer.status_code == 202
        assert calls == [1]
        assert requests.get(f"{url}/docs", timeout=10).status_code == 404
        assert watched.is_set()
    finally:
        server.should_exit = True
        thread.join()


def test_the_service_hands_over_the_secret_where_the_server_looks_for_it() -> None:
    assert service.SECRET == SECRET
