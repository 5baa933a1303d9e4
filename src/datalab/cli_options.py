"""What the commands have in common: options, and errors of one line."""

import getpass
import sys
from pathlib import Path
from typing import Any

import click

from datalab.errors import DatalabError

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


class OneLineErrors(click.Group):
    """What the user can put right is one line and exit code 1; a bug keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except DatalabError as exc:
            click.secho(f"error: {exc}", fg="red", err=True)
            sys.exit(1)
