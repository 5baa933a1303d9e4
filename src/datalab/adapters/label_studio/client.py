"""A connection to a Label Studio server: its HTTP API with one token, every call with a time limit.

Not through the vendor's SDK: it tries any call again, also those that make something, and a second project or a second
task is worse than an error.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests

from datalab.errors import ServiceError

TIMEOUT_S = (10, 120)
"""To connect, and between two bytes of the answer: importing 25 tasks takes seconds on a busy machine."""
PAUSES_S = (0.5, 2.0, 5.0)
"""Waits before another try of a call that changes nothing or may safely be repeated."""
PAGE = 500


@dataclass(frozen=True)
class Client:
    """`session` carries the token of one person."""

    url: str
    session: requests.Session

    def get(self, path: str, **params: Any) -> Any:
        """JSON of a GET, tried again when the server does not answer."""
        return self._repeatable("GET", path, params=params)

    def patch(self, path: str, content: Any) -> Any:
        """JSON of a PATCH, which may be repeated."""
        return self._repeatable("PATCH", path, json=content)

    def post(self, path: str, content: Any) -> Any:
        """JSON of a POST, sent once: a second one could make a second thing."""
        return self._once("POST", path, json=content)

    def delete(self, path: str) -> None:
        """DELETE, sent once: where the answer is lost, look before asking again."""
        self._once("DELETE", path)

    def tasks(self, project_id: int, include: str = "", page_size: int = PAGE, **query: Any) -> list[dict[str, Any]]:
        """Every task of a project with its data and annotations, in the order of their ids.

        `include`: comma-separated names of the fields to send, at every level; masks are large, so name what is needed.
        `query`: further parameters, such as a filter.
        """
        wanted = {"project": project_id, "page_size": page_size, "fields": "all", **query}
        if include:
            wanted["include"] = include
        tasks: list[dict[str, Any]] = []
        page = 1
        while True:
            answer = self.get("/api/tasks", page=page, **wanted)
            tasks += answer["tasks"]
            if len(answer["tasks"]) < page_size or len(tasks) >= answer["total"]:
                return sorted(tasks, key=lambda task: int(task["id"]))
            page += 1

    def _repeatable(self, method: str, path: str, **options: Any) -> Any:
        for pause in PAUSES_S:
            try:
                return self._once(method, path, **options)
            except ServiceError as exc:
                if not _worth_another_try(exc):
                    raise
                time.sleep(pause)
        return self._once(method, path, **options)

    def _once(self, method: str, path: str, **options: Any) -> Any:
        with readable_errors(self.url):
            answer = self.session.request(method, self.url + path, timeout=TIMEOUT_S, **options)
            answer.raise_for_status()
            return answer.json() if answer.content else None


def connect(url: str, token: str) -> Client:
    """Log in with a legacy token; ServiceError where the server does not answer or refuses the token."""
    session = requests.Session()
    # the token goes to the server alone, not to a proxy
    session.trust_env = False
    # also keeps requests from taking another password out of ~/.netrc
    session.auth = _TokenAuth(token)
    client = Client(url.rstrip("/"), session)
    client.get("/api/current-user/whoami")
    return client


class _TokenAuth(requests.auth.AuthBase):
    def __init__(self, token: str) -> None:
        self.token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Token {self.token}"
        return request


@contextmanager
def readable_errors(url: str) -> Iterator[None]:
    """Turn what requests raises into a ServiceError of one line; the cause is kept."""
    try:
        yield
    except requests.HTTPError as exc:
        raise ServiceError(_refusal(url, exc.response)) from exc
    except requests.exceptions.JSONDecodeError as exc:
        raise ServiceError(f"{url} answers, but not as Label Studio does; check LABEL_STUDIO_URL in .env") from exc
    except (requests.RequestException, UnicodeError) as exc:
        raise ServiceError(f"Label Studio at {url} does not answer; is it running? start it with `make up`") from exc


def _refusal(url: str, answer: requests.Response) -> str:
    if answer.status_code == 401:
        return f"Label Studio at {url} refuses the token; take LABEL_STUDIO_TOKEN from its account page or `make up`"
    try:
        content = answer.json()
        said = str(content.get("validation_errors") or content.get("detail") or content)
    except (requests.exceptions.JSONDecodeError, AttributeError):
        said = str(answer.reason)  # a page for browsers
    return f"Label Studio at {url} answered {answer.status_code}: {' '.join(said.split())[:200]}"


def _worth_another_try(error: ServiceError) -> bool:
    cause = error.__cause__
    if isinstance(cause, requests.HTTPError):
        return cause.response.status_code >= 500
    return isinstance(cause, requests.ConnectionError | requests.Timeout)
