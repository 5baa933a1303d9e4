"""Accounts of annotators: made through the invite link, since one made by the API has no password."""

import re
from html import unescape

import requests

from datalab.adapters.label_studio.client import TIMEOUT_S, Client, readable_errors
from datalab.errors import ServiceError

REFUSALS = re.compile(r'<ul class="field_errors">(.*?)</ul>', re.DOTALL)
"""Where the form that is shown again says why."""
TAKEN = "already exists"


def ensure_annotator(client: Client, email: str, password: str) -> str:
    """The annotator's own token (40 hex digits); the account is made where it is missing.

    ServiceError where the account exists with another password, or with the server's words where it takes no such one.
    """
    with requests.Session() as session, readable_errors(client.url):
        # passwords go to the server alone, not to a proxy
        session.trust_env = False
        if not _logged_in(session, client.url, email, password):
            session.cookies.clear()
            refusal = _sign_up(session, client, email, password)
            if refusal and TAKEN not in refusal:
                raise ServiceError(f"cannot make an account at Label Studio for {email}: {refusal}")
        answer = session.get(f"{client.url}/api/current-user/token", timeout=TIMEOUT_S)
        if answer.status_code != 200:
            raise ServiceError(f"cannot log in to Label Studio as {email}: the account has another password")
        return str(answer.json()["token"])


def _logged_in(session: requests.Session, url: str, email: str, password: str) -> bool:
    return _send_form(session, f"{url}/user/login/", email, password).status_code == 302


def _sign_up(session: requests.Session, client: Client, email: str, password: str) -> str:
    """Why the server refuses, in its words; "" where it does not."""
    invite = client.get("/api/invite")["invite_url"]
    link = invite if invite.startswith("http") else client.url + invite
    answer = _send_form(session, link, email, password)
    if answer.status_code == 302:
        return ""
    words = [unescape(re.sub(r"<[^>]*>", " ", part)) for part in REFUSALS.findall(answer.text)]
    return " ".join(" ".join(words).split()) or f"its sign-up page answers {answer.status_code} {answer.reason}"


def _send_form(session: requests.Session, url: str, email: str, password: str) -> requests.Response:
    """Fill in a login or sign-up form; the server redirects when it takes it and shows the form again if not."""
    session.get(url, timeout=TIMEOUT_S)
    form = {"email": email, "password": password, "csrfmiddlewaretoken": session.cookies.get("csrftoken", "")}
    return session.post(url, data=form, headers={"Referer": url}, timeout=TIMEOUT_S, allow_redirects=False)
