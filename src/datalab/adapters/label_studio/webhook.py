"""The webhook by which a project tells that its annotations changed."""

from datalab.adapters.label_studio.client import Client

SECRET_HEADER = "X-Datalab-Secret"
PATH = "/label-studio"
ACTIONS = ["ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED", "ANNOTATION_CREATED", "ANNOTATION_UPDATED"]
"""Sorted."""


def ensure_webhook(client: Client, project_id: int, url: str, secret: str) -> None:
    """One webhook of the project to the receiver at `url`; again changes nothing, a new secret is taken over.

    Annotations are not sent along: what changed is asked of the server itself. Nobody has to listen at `url` yet; Label
    Studio gives up after a second, and whoever submits does not notice.
    """
    wanted = {
        "project": project_id,
        "url": url.rstrip("/") + PATH,
        "headers": {SECRET_HEADER: secret},
        "send_payload": False,
        "send_for_all_actions": False,
        "actions": ACTIONS,
        "is_active": True,
    }
    found = [
        one
        for one in client.get("/api/webhooks/", project=project_id)
        if one["project"] == project_id and SECRET_HEADER in (one["headers"] or {})
    ]
    if not found:
        client.post("/api/webhooks/", wanted)
    elif any({**found[0], "actions": sorted(found[0]["actions"])}[key] != value for key, value in wanted.items()):
        client.patch(f"/api/webhooks/{found[0]['id']}/", wanted)
    for repeated in found[1:]:
        client.delete(f"/api/webhooks/{repeated['id']}/")
