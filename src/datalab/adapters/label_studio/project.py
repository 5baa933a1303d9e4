"""The Label Studio project of a workspace."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datalab.adapters.label_studio.client import Client
from datalab.adapters.label_studio.config import instructions_html, labeling_config
from datalab.adapters.label_studio.orphans import refuse_orphans
from datalab.config import Guidelines

MODEL_VERSION = "proposals"
"""The one name all rounds' predictions carry: the labeling screen shows only those of the project's model version, and
tasks of an earlier round have to keep theirs. Which SAM made them is in proposals.parquet."""
SHORTEST_TITLE, LONGEST_TITLE = 3, 50
"""What Label Studio takes."""


@dataclass(frozen=True)
class Project:
    """A project as the server describes it; `settings` is the JSON of its own API."""

    id: int
    settings: dict[str, Any]


def ensure_project(
    client: Client,
    title: str,
    guidelines: Guidelines,
    overlap: int,
    model_version: str = MODEL_VERSION,
    pictures: Mapping[str, str] | None = None,
) -> int:
    """Id of the project called `title`, made where it is missing, with config and instructions of these guidelines.

    `overlap` is how many people may label a task; it is set once, since changing it resets the tasks' own overlap.
    Only predictions of `model_version` are shown, all where it is "". `pictures`: addresses of the examples.
    InputError, and nothing is changed, where the classes would leave labels behind that people have made.
    """
    wanted: dict[str, Any] = {
        "label_config": labeling_config(guidelines),
        "expert_instruction": instructions_html(guidelines, pictures),
        "show_instruction": True,
        # an image with nothing on it is submitted empty, a doubtful one is skipped and goes to somebody else
        "enable_empty_annotation": True,
        "show_skip_button": True,
        "skip_queue": "REQUEUE_FOR_OTHERS",
        # in the order of the tasks, which is our rank
        "sampling": "Sequential sampling",
        "model_version": model_version,
        "show_collab_predictions": True,
        # nobody sees how often and by whom a region was changed before
        "show_annotation_history": False,
    }
    found = find_project(client, title)
    if found is None:
        made = client.post("/api/projects", {"title": valid_title(title), "maximum_annotations": overlap, **wanted})
        return int(made["id"])
    changed = {key: value for key, value in wanted.items() if found.settings.get(key) != value}
    if "label_config" in changed:
        refuse_orphans(client, found.id, found.settings["label_config"], changed["label_config"])
    if changed:
        client.patch(f"/api/projects/{found.id}", changed)
    return found.id


def find_project(client: Client, title: str) -> Project | None:
    """The project that `ensure_project` made for this title, the oldest of several; None where there is none."""
    wanted = valid_title(title)
    matches: list[dict[str, Any]] = []
    page: int | None = 1
    while page is not None:
        answer = client.get("/api/projects", title=wanted, page=page, page_size=100)
        matches += [one for one in answer["results"] if one["title"] == wanted]
        page = page + 1 if answer["next"] else None
    oldest = min(matches, key=lambda one: int(one["id"]), default=None)
    return None if oldest is None else Project(int(oldest["id"]), oldest)


def project_title(client: Client, project_id: int) -> str | None:
    """What the project of this id is called by now; None where it is gone."""
    found = client.get("/api/projects", ids=project_id)["results"]
    return str(found[0]["title"]) if found else None


def valid_title(title: str) -> str:
    """`title` where Label Studio takes its length, else one that still tells it from others."""
    if len(title) < SHORTEST_TITLE:
        return f"datalab {title}"
    if len(title) > LONGEST_TITLE:
        digest = hashlib.sha256(title.encode()).hexdigest()[:8]
        return f"{title[: LONGEST_TITLE - 9]}-{digest}"
    return title


def labeling_url(client: Client, project_id: int) -> str:
    """Where an annotator labels: the stream of tasks, which hides the others' annotations."""
    return f"{client.url}/projects/{project_id}/data?labeling=1"
