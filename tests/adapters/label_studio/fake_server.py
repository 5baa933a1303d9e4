"""A Label Studio in memory, as far as push and pull ask of it, and a network that fails at one request.

Both are transport adapters of `requests`, so that the code under test is the one that talks to the real server.
"""

import io
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from requests.adapters import BaseAdapter

from datalab.adapters.label_studio.client import Client

URL = "http://label-studio.test"
Json = Any


class KilledError(BaseException):
    """Nothing catches it, as nothing survives a kill."""


@dataclass
class Faulty(BaseAdapter):
    """Dies at request number `at` (0 is the first): before it is sent, or after it was carried out."""

    inner: BaseAdapter
    at: int
    after: bool
    sent: int = 0

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        self.sent += 1
        if self.sent - 1 == self.at and not self.after:
            raise KilledError
        answer = self.inner.send(request, *args, **kwargs)
        if self.sent - 1 == self.at:
            # nobody reads it any more, and an open socket would be told of in some later test
            answer.close()
            raise KilledError
        return answer

    def close(self) -> None:
        self.inner.close()


def client_over(adapter: BaseAdapter, url: str = URL, token: str = "") -> Client:
    """A client all of whose requests go through `adapter`."""
    session = requests.Session()
    session.headers["Authorization"] = f"Token {token}"
    session.mount("http://", adapter)
    return Client(url, session)


@dataclass
class FakeLabelStudio(BaseAdapter):
    """`asked`: method and path of every request, queries left out."""

    projects: list[Json] = field(default_factory=list)
    storages: list[Json] = field(default_factory=list)
    tasks: list[Json] = field(default_factory=list)
    webhooks: list[Json] = field(default_factory=list)
    drafts: dict[int, list[Json]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    clock: int = 0

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        parts = urlsplit(str(request.url))
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        body = json.loads(request.body) if request.body else None
        self.asked.append(f"{request.method} {parts.path}")
        answer = requests.Response()
        answer.status_code = 200
        answer.url = str(request.url)
        content = json.dumps(self._answer(str(request.method), parts.path.strip("/").split("/")[1:], query, body))
        answer.raw = io.BytesIO(content.encode())
        return answer

    def close(self) -> None:
        pass

    def answer(self, task_id: int, person: int, result: Json, **more: Any) -> Json:
        """Somebody submits."""
        self.clock += 1
        made = {
            "id": self.clock, "completed_by": person, "lead_time": 4.5, "was_cancelled": False, "result": result,
            "created_at": f"t{self.clock:04d}", "updated_at": f"t{self.clock:04d}", **more,
        }  # fmt: skip
        self._task(task_id)["annotations"].append(made)
        return made

    def change(self, annotation: Json, result: Json) -> None:
        """Somebody submits the same annotation anew."""
        self.clock += 1
        annotation.update(result=result, updated_at=f"t{self.clock:04d}")

    def _answer(self, method: str, path: list[str], query: dict[str, str], body: Json) -> Json:  # noqa: PLR0911, PLR0912
        match method, path:
            case "GET", ["current-user", "whoami"]:
                return {"id": 1}
            case "GET", ["users"]:
                return [{"id": number, "email": f"p{number}@datalab.local"} for number in (1, 2, 3)]
            case "GET", ["projects"]:
                wanted = [one for one in self.projects if str(one["id"]) == query.get("ids", str(one["id"]))]
                return {"results": [one for one in wanted if query.get("title", "") in one["title"]], "next": None}
            case "POST", ["projects"]:
                self.projects.append({**body, "id": len(self.projects) + 1})
                return self.projects[-1]
            case "PATCH", ["projects", _]:
                self.projects[0].update(body)
                return self.projects[0]
            case "POST", ["projects", project_id, "import"]:
                return self._import(int(project_id), body)
            case (("GET" | "POST"), ["storages", "localfiles"]):
                return self._listed(self.storages, body)
            case "PATCH", ["storages", "localfiles", storage_id]:
                self.storages[int(storage_id) - 1].update(body)
                return self.storages[int(storage_id) - 1]
            case "POST", ["projects", _, "summary", "reset"]:
                return None
            case (("GET" | "POST"), ["webhooks"]):
                return self._listed(self.webhooks, body)
            case "GET", ["tasks"]:
                return self._list(query)
            case "GET", ["tasks", task_id, "drafts"]:
                return self.drafts.get(int(task_id), [])
            case "PATCH", ["tasks", task_id]:
                self._task(int(task_id)).update(body)
                return self._task(int(task_id))
            case "DELETE", ["tasks", task_id]:
                self.tasks.remove(self._task(int(task_id)))
                return None
        raise AssertionError(f"{method} {'/'.join(path)} is not what push and pull ask")

    def _listed(self, known: list[Json], body: Json) -> Json:
        if body is None:
            return known
        known.append({**body, "id": len(known) + 1})
        return known[-1]

    def _task(self, task_id: int) -> Json:
        return next(task for task in self.tasks if task["id"] == task_id)

    def _import(self, project_id: int, tasks: list[Json]) -> Json:
        for task in tasks:
            self.clock += 1
            self.tasks.append({**task, "id": self.clock, "overlap": 3, "is_labeled": False, "annotations": []})
        return {"task_count": len(tasks)}

    def _list(self, query: dict[str, str]) -> Json:
        wanted = json.loads(query.get("query", "{}"))
        chosen = self.tasks
        if "selectedItems" in wanted:
            chosen = [task for task in chosen if task["id"] in wanted["selectedItems"]["included"]]
        if "filters" in wanted:
            value = wanted["filters"]["items"][0]["value"]
            chosen = [task for task in chosen if task["data"]["round"] == value]
        names = set(query.get("include", "").split(","))
        first = (int(query["page"]) - 1) * int(query["page_size"])
        shown = [_only(self._shown(task), names) for task in chosen[first : first + int(query["page_size"])]]
        return {"total": len(chosen), "tasks": shown}

    def _shown(self, task: Json) -> Json:
        skipped = sum(one["was_cancelled"] for one in task["annotations"])
        return {
            **task,
            "total_annotations": len(task["annotations"]) - skipped,
            "cancelled_annotations": skipped,
            # the real one leaves out people whose account is gone
            "annotators": [one["completed_by"] for one in task["annotations"] if one["completed_by"] is not None],
            "draft_exists": bool(self.drafts.get(task["id"])),
            "annotations": task["annotations"],
        }


def _only(task: Json, names: set[str]) -> Json:
    """Fields named so, of the task and of its annotations; what people uploaded is left whole."""
    kept = {name: value for name, value in task.items() if name in names}
    if "annotations" in kept:
        kept["annotations"] = [{key: one[key] for key in one if key in names} for one in kept["annotations"]]
    return kept
