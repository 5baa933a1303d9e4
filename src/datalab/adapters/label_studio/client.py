"""A connection to a Label Studio server: the SDK where it covers the call, plain requests for the rest."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import requests
from label_studio_sdk import LabelStudio
from label_studio_sdk.core.api_error import ApiError

from datalab.errors import ServiceError

TIMEOUT_S = 60
PAUSES_S = (0.5, 2.0, 5.0)
"""Waits before another try of a call that changes nothing or may safely be repeated."""
PAGE = 500


@dataclass(frozen=True)
class Client:
    """`sdk` and `session` speak to the same server with the same token."""

    url: str
    sdk: LabelStudio
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

    def tasks(self, project_id: int) -> list[dict[str, Any]]:
        """Every task of a project with its data and annotations, in the order of their ids."""
        tasks: list[dict[str, Any]] = []
        page = 1
        while True:
            answer = self.get("/api/tasks", project=project_id, page=page, page_size=PAGE, fields="all")
            tasks += answer["tasks"]
            if len(answer["tasks"]) < PAGE or len(tasks) >= answer["total"]:
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
    session.headers["Authorization"] = f"Token {token}"
    client = Client(url.rstrip("/"), LabelStudio(base_url=url, api_key=token, timeout=TIMEOUT_S), session)
    client.get("/api/current-user/whoami")
    return client


@contextmanager
def readable_errors(url: str) -> Iterator[None]:
    """Turn what the SDK, httpx and requests raise into a ServiceError of one line; the cause is kept."""
    try:
        yield
    except ApiError as exc:
        raise ServiceError(_refusal(url, exc.status_code or 0, str(exc.body))) from exc
    except requests.HTTPError as exc:
        raise ServiceError(_refusal(url, exc.response.status_code, exc.response.text)) from exc
    except (requests.RequestException, httpx.HTTPError) as exc:
        raise ServiceError(f"Label Studio at {url} does not answer; is it running? start it with `make up`") from exc


def _refusal(url: str, status: int, body: str) -> str:
    if status in (401, 403):
        return f"Label Studio at {url} refuses the token; take LABEL_STUDIO_TOKEN from its account page or `make up`"
    return f"Label Studio at {url} answered {status}: {' '.join(body.split())[:200]}"


def _worth_another_try(error: ServiceError) -> bool:
    cause = error.__cause__
    if isinstance(cause, requests.HTTPError):
        return cause.response.status_code >= 500
    return isinstance(cause, requests.ConnectionError | requests.Timeout)
