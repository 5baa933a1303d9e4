"""Accounts of the annotators on a list: each with a password and a token of its own, in a file only its owner reads."""

import csv
import io
import re
import secrets
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field, fields, replace
from pathlib import Path

from tqdm import tqdm

from datalab.adapters.files import locked, remove_leftovers_of, write_bytes
from datalab.adapters.label_studio.client import Client, connect
from datalab.adapters.label_studio.people import ensure_annotator
from datalab.errors import InputError, ServiceError
from datalab.settings import Settings
from datalab.workspace import Workspace

WORD, LABEL = r"[A-Za-z0-9_%+-]+", r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
ADDRESS = re.compile(rf"{WORD}(\.{WORD})*@({LABEL}\.)+[A-Za-z]{{2,63}}")
"""Nothing that Label Studio refuses: of a sign-up that it refuses it does not say why."""
LONGEST_ADDRESS = 254
MOST_BYTES = 1_000_000


@dataclass(frozen=True)
class Account:
    """One annotator at Label Studio; the secrets stay out of `repr`."""

    email: str
    password: str = field(repr=False)
    token: str = field(default="", repr=False)
    """40 hex digits; "" while the server does not know the account by this password."""


COLUMNS = tuple(item.name for item in fields(Account))


def read_people(path: Path) -> list[str]:
    """E-mail addresses in lower case, one per line of `path`, in its order; empty lines and `# …` are passed over.

    InputError that names the line for anything else and for an address that is there twice.
    """
    emails: dict[str, int] = {}
    for number, line in enumerate(_read_text(path).splitlines(), start=1):
        email = line.split("#")[0].strip().lower()
        if not email:
            continue
        if not ADDRESS.fullmatch(email) or len(email) > LONGEST_ADDRESS:
            raise InputError(f"{path}, line {number}: {email[:60]!r} is no e-mail address; write one per line")
        if email in emails:
            raise InputError(f"{path}, line {number}: {email} is in line {emails[email]} already")
        emails[email] = number
    if not emails:
        raise InputError(f"{path} names nobody; write one e-mail address per line")
    return list(emails)


def make_accounts(workspace: Workspace, emails: Iterable[str]) -> tuple[list[str], list[str]]:
    """Addresses of accounts that were made, and one line for each that could not be.

    Each account is in `workspace.accounts` before the server is asked, so that a kill loses no password; one that is
    there already is looked at and stays as it is. One command at a time; a second one waits.
    """
    settings = Settings.load(workspace.env)
    client = connect(settings.label_studio_url, settings.label_studio_token)
    made, failed = [], []
    # another command, of another workspace too, would write the accounts that it has read over those made here; the
    # lock lies in the data/ beside them, which git ignores
    with client.session, locked(workspace.accounts.parent / "data" / workspace.accounts.name):
        remove_leftovers_of(workspace.accounts)
        accounts = read_accounts(workspace.accounts)
        for email in tqdm(list(emails), desc="accounts", unit="account", disable=None):
            try:
                if _ensure(client, workspace.accounts, accounts, email):
                    made.append(email)
            except ServiceError as exc:
                failed.append(f"{email}: {exc}")
    return made, failed


def read_accounts(path: Path) -> dict[str, Account]:
    """Address to account; empty where there is no such file, InputError for one of another form."""
    if not path.is_file():
        return {}
    rows = list(csv.reader(io.StringIO(_read_text(path))))
    if not rows or tuple(rows[0]) != COLUMNS or any(len(row) != len(COLUMNS) for row in rows[1:]):
        raise InputError(f"{path} is no list of accounts ({', '.join(COLUMNS)}); mend it or move it away")
    return {row[0]: Account(*row) for row in rows[1:]}


def _ensure(client: Client, path: Path, accounts: dict[str, Account], email: str) -> bool:
    """True where the account was not complete before; `accounts` and the file at `path` follow."""
    if email not in accounts:
        accounts[email] = Account(email, secrets.token_urlsafe(15))
        _write(path, accounts)
    before = accounts[email]
    account = replace(before, token=ensure_annotator(client, email, before.password))
    if account == before:
        return False
    accounts[email] = account
    _write(path, accounts)
    return True


def _write(path: Path, accounts: dict[str, Account]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *(astuple(one) for one in accounts.values())])
    write_bytes(path, text.getvalue().encode(), mode=0o600)


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path} has more than {MOST_BYTES:,} bytes; that is no list of people")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        raise InputError(f"cannot read {path}: {getattr(exc, 'strerror', None) or 'it is no text'}") from exc
