"""Lists of people and of their accounts, as they are found on disk."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from datalab.adapters.label_studio.client import Client
from datalab.errors import InputError
from datalab.rounds import accounts
from datalab.rounds.accounts import Account, make_accounts, read_accounts, read_people
from datalab.services.environment import ensure_env
from datalab.workspace import Workspace


def test_people_are_read_in_order_without_comments_and_in_lower_case(tmp_path: Path) -> None:
    path = tmp_path / "people.txt"
    path.write_bytes("\ufeff# the night shift\r\nAnn.Lee+x@Example.org\r\n\r\n  -ben-@a--b.1.co.uk  # new\r\n".encode())
    assert read_people(path) == ["ann.lee+x@example.org", "-ben-@a--b.1.co.uk"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ann@x.org\nbob", r"line 2: 'bob' is no e-mail address"),
        ("ann@x.org, ben@x.org", "is no e-mail address; write one per line"),
        ("ann@x", "is no e-mail address"),
        ("a" * 250 + "@x.org", "is no e-mail address"),
        ("ann@x.org\na..b@x.org", r"line 2: 'a\.\.b@x\.org' is no e-mail address"),
        (".a@x.org", "is no e-mail address"),
        ("a.@x.org", "is no e-mail address"),
        ("a@-x.org", "is no e-mail address"),
        ("a@x-.org", "is no e-mail address"),
        ("a@b.x-.org", "is no e-mail address"),
        ("a@" + "x" * 64 + ".org", "is no e-mail address"),
        ("ann@x.org\n\nANN@x.org", r"line 3: ann@x\.org is in line 1 already"),
        ("# nobody\n", "names nobody"),
    ],
)
def test_a_bad_list_is_refused_by_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "people.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_people(path)
    assert "\n" not in str(caught.value)


def test_what_is_no_list_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*nowhere\.txt: No such file"):
        read_people(tmp_path / "nowhere.txt")
    binary = tmp_path / "people.xlsx"
    binary.write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(InputError, match="it is no text"):
        read_people(binary)
    binary.write_bytes(b"a" * 1_000_001)
    with pytest.raises(InputError, match="no list of people"):
        read_people(binary)


def test_accounts_are_read_back_and_hide_their_secrets(tmp_path: Path) -> None:
    path = tmp_path / ".env.annotators"
    assert read_accounts(path) == {}
    path.write_text('email,password,token\nann@x.org,"p,w",t0\n')
    assert read_accounts(path) == {"ann@x.org": Account("ann@x.org", "p,w", "t0")}
    assert "p,w" not in repr(read_accounts(path))
    assert "t0" not in repr(read_accounts(path))


@pytest.mark.parametrize("text", ["", "email,token\n", "email,password,token\nann@x.org,pw\n"])
def test_a_file_of_another_form_is_not_overwritten(tmp_path: Path, text: str) -> None:
    path = tmp_path / ".env.annotators"
    path.write_text(text)
    with pytest.raises(InputError, match="is no list of accounts"):
        read_accounts(path)


def test_two_commands_at_once_lose_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even those of two workspaces, which share the accounts of one Label Studio."""
    workspace, other = Workspace(tmp_path), Workspace(tmp_path / "workspaces" / "w")
    ensure_env(workspace.env, tmp_path)
    other.root.mkdir(parents=True)
    other.env.symlink_to(workspace.env)
    both = threading.Barrier(2)

    def connected(url: str, token: str) -> Client:
        both.wait(timeout=60)
        return Client(url, requests.Session())

    def slow(client: Client, email: str, password: str) -> str:
        time.sleep(0.1)
        return f"token of {email}"

    monkeypatch.setattr(accounts, "connect", connected)
    monkeypatch.setattr(accounts, "ensure_annotator", slow)
    with ThreadPoolExecutor() as pool:
        asked = [(workspace, "ann@x.org"), (other, "ben@x.org")]
        done = list(pool.map(lambda one: make_accounts(one[0], [one[1]]), asked))
    assert done == [(["ann@x.org"], []), (["ben@x.org"], [])]
    assert set(read_accounts(workspace.accounts)) == {"ann@x.org", "ben@x.org"}


def test_passwords_that_a_killed_command_left_half_written_are_cleared_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path)
    ensure_env(workspace.env, tmp_path)
    left = tmp_path / "..env.annotators.x1.tmp"
    left.write_text("email,password,token\nann@x.org,secret,\n")
    os.utime(left, (0, 0))
    monkeypatch.setattr(accounts, "connect", lambda url, token: Client(url, requests.Session()))
    make_accounts(workspace, [])
    assert not left.exists()
