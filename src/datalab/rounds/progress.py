"""How a long step tells how far it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars


class Progress(Protocol):
    """Called with the share that is done, 0 to 1, and a few words on what is being done."""

    def __call__(self, share: float, doing: str) -> None:
        """Show it."""


def silent(share: float, doing: str) -> None:
    """Shows nothing."""


@contextmanager
def terminal_bar(step: str) -> Iterator[Progress]:
    """A bar for one step on the terminal; nothing where the output is no terminal."""
    console = Console(stderr=True)
    words = TextColumn("{task.description}", markup=False)
    columns = (TextColumn("{task.fields[step]:8}"), BarColumn(), TimeElapsedColumn(), words)
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task("", total=1.0, step=step)

        def show(share: float, doing: str) -> None:
            bars.update(task, completed=share, description=doing)

        yield show
        bars.update(task, completed=1.0, description="")
