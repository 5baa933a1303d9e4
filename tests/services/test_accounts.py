"""Accounts from a list, at the real Label Studio."""

import shutil
from pathlib import Path

import pytest

from datalab.adapters.label_studio.client import connect
from datalab.rounds.accounts import make_accounts, read_accounts
from datalab.settings import Settings
from datalab.workspace import Workspace

pytestmark = pytest.mark.services


@pytest.fixture
def workspace(stack_folder: Path, tmp_path: Path) -> Workspace:
    shutil.copy(stack_folder / ".env", tmp_path / ".env")
    return Workspace(tmp_path)


def test_everybody_on_the_list_gets_an_account_once(workspace: Workspace, settings: Settings) -> None:
    emails = ["dora@list.example", "emil@list.example"]
    assert make_accounts(workspace, emails) == (emails, [])
    accounts = read_accounts(workspace.accounts)
    assert workspace.accounts.stat().st_mode & 0o777 == 0o600
    assert len({one.password for one in accounts.values()} | {one.token for one in accounts.values()}) == 4
    for email in emails:
        person = connect(settings.label_studio_url, accounts[email].token)
        with person.session:
            assert person.get("/api/current-user/whoami")["email"] == email
    assert make_accounts(workspace, [*emails, "fritz@list.example"]) == (["fritz@list.example"], [])
    again = read_accounts(workspace.accounts)
    assert {email: again[email] for email in emails} == accounts


def test_a_kill_after_the_sign_up_loses_no_password(workspace: Workspace) -> None:
    make_accounts(workspace, ["gina@list.example"])
    whole = workspace.accounts.read_text()
    account = read_accounts(workspace.accounts)["gina@list.example"]
    workspace.accounts.write_text(whole.replace(account.token, ""))
    assert make_accounts(workspace, ["gina@list.example"]) == (["gina@list.example"], [])
    assert workspace.accounts.read_text() == whole


def test_an_account_from_elsewhere_is_named_and_the_others_are_made(workspace: Workspace) -> None:
    make_accounts(workspace, ["hans@list.example"])
    workspace.accounts.unlink()
    made, failed = make_accounts(workspace, ["hans@list.example", "ida@list.example"])
    assert made == ["ida@list.example"]
    assert failed == [
        "hans@list.example: cannot log in to Label Studio as hans@list.example: the account has another password"
    ]
