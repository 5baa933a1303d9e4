"""The Label Studio project of a workspace."""

from typing import Any

from datalab.adapters.label_studio.client import Client, readable_errors
from datalab.adapters.label_studio.config import instructions_html, labeling_config
from datalab.config import Guidelines

MODEL_VERSION = "proposals"
"""The one name all rounds' predictions carry: the labeling screen shows only those of the project's model version, and
tasks of an earlier round have to keep theirs. Which SAM made them is in proposals.parquet."""


def ensure_project(client: Client, title: str, guidelines: Guidelines, overlap: int) -> int:
    """Id of the project called `title`, made where it is missing, with config and instructions of these guidelines.

    `overlap` is how many people may label a task; it is set once, since changing it resets the tasks' own overlap.
    """
    wanted: dict[str, Any] = {
        "label_config": labeling_config(guidelines),
        "expert_instruction": instructions_html(guidelines),
        "show_instruction": True,
        "model_version": MODEL_VERSION,
    }
    with readable_errors(client.url):
        found = find_project(client, title)
        if found is None:
            project = client.sdk.projects.create(
                title=title, maximum_annotations=overlap, sampling="Sequential sampling", **wanted
            )
            return int(project.id)
        changed = {key: value for key, value in wanted.items() if getattr(found, key, None) != value}
        if changed:
            client.sdk.projects.update(int(found.id), **changed)
    return int(found.id)


def find_project(client: Client, title: str) -> Any:
    """The SDK's project of exactly this title; None where there is none."""
    with readable_errors(client.url):
        return next((one for one in client.sdk.projects.list(title=title) if one.title == title), None)


def labeling_url(client: Client, project_id: int) -> str:
    """Where an annotator labels: the stream of tasks, which hides the others' annotations."""
    return f"{client.url}/projects/{project_id}/data?labeling=1"
