"""What the commands have in common: options, and errors of one line."""

import errno
import getpass
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from datalab.errors import DatalabError, shown_path

NO_PATH = {
    errno.EACCES: "you have no permission for it; have its owner give it, or give another path",
    errno.ELOOP: "its links go in a circle; remove the link, or give another path",
    errno.ENAMETOOLONG: "this is longer than a path may be; give another one",
}
"""What is wrong with a path that the system refuses, and what to do."""

WORKSPACE = click.option(
    "--workspace",
    type=click.Path(path_type=Path),
    default=Path(),
    show_default="this folder",
    help="Folder with params.yaml, dvc.yaml and guidelines/.",
)


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as exc:  # a number without a name, as in a container
        raise DatalabError("the system has no user name for you; say who you are: --by NAME") from exc


BY = click.option("--by", default=_user_name, show_default="your user name", help="Who says so.")
REASON = click.option("--reason", required=True, help="Kept with the change.")


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Around a command: what the user can put right is one line and exit code 1; a bug keeps its traceback."""
    try:
        yield
    except (DatalabError, OSError, RuntimeError, ValueError) as exc:
        told = str(exc) if isinstance(exc, DatalabError) else _no_path(exc)
        if told is None:
            raise
        click.secho(f"error: {told}", fg="red", err=True)
        sys.exit(1)


def _no_path(exc: Exception) -> str | None:
    """What the system has against a path, in words; None for any other error.

    Any path that a person gives, or a link in it, can be met anywhere below a command first, so it is told here.
    """
    if isinstance(exc, ValueError):
        return "a path has a null byte in it; give another one" if "null byte" in str(exc) else None
    # what pathlib makes of a circle has no number of its own
    refusal = exc if isinstance(exc, OSError) else exc.__context__
    if not isinstance(refusal, OSError) or refusal.errno not in NO_PATH or refusal.filename is None:
        return None
    return f"{shown_path(refusal.filename)}: {NO_PATH[refusal.errno]}"


class OneLineErrors(click.Group):
    """What `errors_in_one_line` says of it."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with errors_in_one_line():
            return super().invoke(ctx)
