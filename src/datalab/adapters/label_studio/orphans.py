"""Labels that a change of the guidelines would leave without their class: such a change is refused."""

from typing import Any
from xml.etree import ElementTree

from datalab.adapters.label_studio.client import Client
from datalab.errors import InputError


def refuse_orphans(client: Client, project_id: int, config: str) -> None:
    """InputError with the list of what `config` would break in a project: used classes, choices and whole tools.

    Drafts count too: somebody is still at work on them.
    """
    found = orphans(client.get(f"/api/projects/{project_id}/summary/"), config)
    if found:
        raise InputError(
            f"the changed guidelines/classes.yaml would orphan labels of project {project_id}: {'; '.join(found)}; "
            "put those back, or relabel or delete these labels in Label Studio first"
        )


def orphans(summary: dict[str, Any], config: str) -> list[str]:
    """What people have used, by the server's summary of a project, and `config` no longer has: one phrase each."""
    offered = {
        tool.attrib["name"]: {item.attrib["value"] for item in tool if "value" in item.attrib}
        for tool in ElementTree.fromstring(config).iter()
        if "toName" in tool.attrib
    }
    used: dict[tuple[str, str], int] = {}
    for counts in (summary.get("created_labels") or {}, summary.get("created_labels_drafts") or {}):
        for tool, labels in counts.items():
            for label, count in labels.items():
                used[tool, label] = used.get((tool, label), 0) + int(count)
    return [
        f"{label!r} of {tool!r}, used {count} {'time' if count == 1 else 'times'}"
        for (tool, label), count in sorted(used.items())
        if count > 0 and _is_gone(offered.get(tool), label)
    ]


def _is_gone(offered: set[str] | None, label: str) -> bool:
    """A tool without values of its own, such as a text, cannot lose one."""
    return offered is None or (bool(offered) and label not in offered)
