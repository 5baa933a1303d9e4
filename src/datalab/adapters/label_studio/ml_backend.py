"""The connection of a project to the click-to-mask server, made and kept up to date in Label Studio."""

import logging
from typing import Any

import requests

from datalab.adapters.label_studio.client import Client
from datalab.errors import ServiceError

LOG = logging.getLogger(__name__)

TITLE = "click-to-mask"
USER = "label-studio"
"""The name that Label Studio's server gives to ours, with the password of .env."""
PROBE_S = 5.0
CONNECTED = "CO"
WRONG_PASSWORD = ("authentication", "401 Client Error")
"""In Label Studio's words: of its check of the server's health, and of its first question."""


def attach_click_to_mask(client: Client, project_id: int, url: str, password: str) -> bool:
    """Connect the project to the server at `url` for interactive use; again changes nothing.

    False where the server does not answer, us or Label Studio, which checks the connection itself before it takes it
    and waits for seconds only: labeling works without. ServiceError where the password is not the server's.
    """
    if not _answers(url):
        return False
    wanted = {
        "project": project_id,
        "title": TITLE,
        "url": url,
        "is_interactive": True,
        "auth_method": "BASIC_AUTH",
        "basic_auth_user": USER,
        "basic_auth_pass": password,
    }
    # to list them Label Studio calls each, so `state` is of now
    found = [one for one in client.get("/api/ml", project=project_id) if one["title"] == TITLE]
    try:
        if not found:
            client.post("/api/ml", wanted)
        elif not _is(found[0], wanted):
            client.patch(f"/api/ml/{found[0]['id']}", wanted)
    except ServiceError as exc:
        if not _is_too_slow(exc):
            raise
        LOG.warning(
            "project %d goes without click-to-mask, which did not answer Label Studio in time (see `make status`; the "
            "next round's push asks again): %s",
            *(project_id, exc),
        )
        return False
    for repeated in found[1:]:
        client.delete(f"/api/ml/{repeated['id']}")
    _remove_webhook(client, project_id, url)
    return True


def _is(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """The password is not shown; where it is the wrong one the connection is not in order."""
    shown = ("url", "is_interactive", "auth_method", "basic_auth_user")
    return found["state"] == CONNECTED and all(found[key] == wanted[key] for key in shown)


def _is_too_slow(refusal: ServiceError) -> bool:
    """Whether Label Studio has refused the connection for another reason than the password."""
    cause = refusal.__cause__
    if not isinstance(cause, requests.HTTPError) or cause.response.status_code != requests.codes.bad_request:
        return False
    return not any(words in cause.response.text for words in WRONG_PASSWORD)


def _remove_webhook(client: Client, project_id: int, url: str) -> None:
    """Label Studio makes one with every backend and would send it each annotation, unasked and without a password."""
    for hook in client.get("/api/webhooks/", project=project_id):
        if hook["project"] == project_id and hook["url"] == f"{url.rstrip('/')}/webhook":
            client.delete(f"/api/webhooks/{hook['id']}/")


def _answers(url: str) -> bool:
    with requests.Session() as session:
        session.trust_env = False
        try:
            return session.get(f"{url}/health", timeout=PROBE_S).ok
        except requests.RequestException:
            return False
