"""Accounts of annotators: made through the invite link, since one made by the API has no password."""

import requests

from datalab.adapters.label_studio.client import TIMEOUT_S, Client, readable_errors
from datalab.errors import ServiceError


def ensure_annotator(client: Client, email: str, password: str) -> str:
    """The annotator's own token (40 hex digits); the account is made where it is missing.

    ServiceError where the account exists with another password.
    """
    with requests.Session() as session, readable_errors(client.url):
        # passwords go to the server alone, not to a proxy
        session.trust_env = False
        if not _logged_in(session, client.url, email, password):
            session.cookies.clear()
            _sign_up(session, client, email, password)
        answer = session.get(f"{client.url}/api/current-user/token", timeout=TIMEOUT_S)
        if answer.status_code != 200:
            raise ServiceError(f"cannot log in to Label Studio as {email}: the account has another password")
        return str(answer.json()["token"])


def _logged_in(session: requests.Session, url: str, email: str, password: str) -> bool:
    return _send_form(session, f"{url}/user/login/", email, password)


def _sign_up(session: requests.Session, client: Client, email: str, password: str) -> None:
    invite = client.get("/api/invite")["invite_url"]
    link = invite if invite.startswith("http") else client.url + invite
    _send_form(session, link, email, password)


def _send_form(session: requests.Session, url: str, email: str, password: str) -> bool:
    """Fill in a login or sign-up form; the server redirects when it takes it and shows the form again if not."""
    session.get(url, timeout=TIMEOUT_S)
    form = {"email": email, "password": password, "csrfmiddlewaretoken": session.cookies.get("csrftoken", "")}
    answer = session.post(url, data=form, headers={"Referer": url}, timeout=TIMEOUT_S, allow_redirects=False)
    return answer.status_code == 302
