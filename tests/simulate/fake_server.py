"""Label Studio in memory: hands out tasks, keeps annotations, fails when told to. Stands in below `requests`."""

import json
import threading
from dataclasses import dataclass, field
from typing import Any

import requests
from requests.adapters import BaseAdapter

from datalab.adapters.label_studio.client import Client

URL = "http://label-studio.test"


@dataclass
class FakeServer:
    """`tasks`: id to task; `faults`: (method, status or 0 for no answer, whether it is done all the same), used up."""

    tasks: dict[int, dict[str, Any]]
    overlap: int = 1
    answers: list[tuple[str, int, dict[str, Any]]] = field(default_factory=list)
    faults: list[tuple[str, int, bool]] = field(default_factory=list)
    locks: dict[str, int] = field(default_factory=dict)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def connect(self, url: str, token: str) -> Client:
        """In place of `client.connect`: the token is the user's name."""
        session = requests.Session()
        session.mount(url, _Adapter(self, token))
        return Client(url, session)

    def of(self, user: str) -> list[int]:
        """Tasks that this user answered."""
        return [task for name, task, _ in self.answers if name == user]

    def handle(self, user: str, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Status and JSON."""
        fault = next((one for one in self.faults if one[0] == method), None)
        if fault:
            self.faults.remove(fault)
            if fault[2]:
                self._answer(user, method, path, body)
            return fault[1], {"detail": "told to fail"}
        return self._answer(user, method, path, body)

    def _answer(self, user: str, method: str, path: str, body: Any) -> tuple[int, Any]:
        parts = path.strip("/").split("/")
        if method == "POST":
            self.answers.append((user, int(parts[2]), body))
            self.locks.pop(user, None)
            return 201, {}
        if parts[-1] == "whoami":
            return 200, {"id": user}
        if parts[-1] == "annotations":
            return 200, [{"completed_by": name} for name, task, _ in self.answers if task == int(parts[2])]
        if parts[-1] == "next":
            return self._next(user)
        return 200, {"id": 1}

    def _next(self, user: str) -> tuple[int, Any]:
        taken = [*(task for _, task, _ in self.answers), *(self.locks[name] for name in self.locks if name != user)]
        free = [one for one in self.tasks if taken.count(one) < self.overlap and one not in self.of(user)]
        if not free:
            return 404, {"detail": "no more tasks"}
        self.locks[user] = free[0]
        return 200, self.tasks[free[0]]


class _Adapter(BaseAdapter):
    def __init__(self, server: FakeServer, user: str) -> None:
        super().__init__()
        self.server, self.user = server, user

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        assert request.method and request.url
        body = json.loads(request.body) if request.body else None
        with self.server.guard:
            status, content = self.server.handle(self.user, request.method, request.url.removeprefix(URL), body)
        if status == 0:
            raise requests.ConnectionError("told to fail")
        response = requests.Response()
        response.status_code, response.url, response.request = status, request.url, request
        response._content = json.dumps(content).encode()
        return response

    def close(self) -> None:
        pass
