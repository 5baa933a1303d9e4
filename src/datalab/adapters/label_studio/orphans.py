"""Labels that a change of the guidelines would leave without their class: such a change is refused."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from datalab.adapters.label_studio.client import Client
from datalab.errors import InputError

Label = tuple[str, str]
"""Name of a tool, and one of its classes or choices."""
ANSWERED = "id,annotations,draft_exists"
RESULTS = "id,annotations,result"
PAGE = 50
"""Tasks per answer, as in a pull: their masks are in it."""


def refuse_orphans(client: Client, project_id: int, before: str, after: str) -> None:
    """InputError with the list of what the config `after` would break in a project: used classes and choices.

    Drafts count too: somebody is still at work on them. Nothing is asked of the server where `after` offers all that
    `before` does. Otherwise every answer is read: the server's own counts keep what drafts had at some time, and lose
    labels of first answers. Where nobody uses what goes, they are made anew, for the server refuses by them.
    """
    gone = lost_labels(before, after)
    if not gone:
        return
    counts = used_labels(client, project_id)
    found = [
        f"{label!r} of {tool!r}, used {counts[tool, label]} {'time' if counts[tool, label] == 1 else 'times'}"
        for tool, label in sorted(gone & counts.keys())
    ]
    if found:
        raise InputError(
            f"the changed guidelines/classes.yaml would orphan labels of project {project_id}: {'; '.join(found)}; "
            "put those back, or relabel or delete these labels in Label Studio first"
        )
    client.post(f"/api/projects/{project_id}/summary/reset/", {})


def lost_labels(before: str, after: str) -> set[Label]:
    """What the config `before` offers and `after` no longer does."""
    return _offered(before) - _offered(after)


def _offered(config: str) -> set[Label]:
    tools = [tool for tool in ElementTree.fromstring(config).iter() if "toName" in tool.attrib]
    return {(tool.attrib["name"], item.attrib["value"]) for tool in tools for item in tool if "value" in item.attrib}


def used_labels(client: Client, project_id: int) -> Counter[Label]:
    """How often each label is used in the project's annotations, skipped ones included, and drafts."""
    return Counter(label for result in _results(client, project_id) for label in _labels(result))


def _results(client: Client, project_id: int) -> Iterator[dict[str, Any]]:
    """A page at a time: all masks of a project are gigabytes."""
    tasks = client.tasks(project_id, ANSWERED)
    answered = [int(task["id"]) for task in tasks if task["annotations"]]
    for start in range(0, len(answered), PAGE):
        selected = {"selectedItems": {"all": False, "included": answered[start : start + PAGE]}}
        for task in client.tasks(project_id, RESULTS, PAGE, query=json.dumps(selected)):
            for annotation in task["annotations"]:
                yield from annotation["result"] or ()
    for task in tasks:
        if task["draft_exists"]:
            for draft in client.get(f"/api/tasks/{task['id']}/drafts"):
                yield from draft["result"] or ()


def _labels(result: Any) -> Iterator[Label]:
    """Those of one region or answer; a text has none."""
    if not isinstance(result, dict) or not isinstance(value := result.get("value"), dict):
        return
    named = value.get(str(result.get("type")))
    for label in named if isinstance(named, list) else ():
        yield str(result.get("from_name")), str(label)
