"""One line per service while they start and stop."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

Report = Callable[[str, str], None]
"""Called with a service's name and what has become of it, from several threads."""


@contextmanager
def progress_lines(console: Console | None = None) -> Iterator[Report]:
    """A report that keeps one line per service up to date; off a terminal the lines are printed once, at the end."""
    columns = (SpinnerColumn(finished_text="·"), TextColumn("{task.description:15} {task.fields[news]}", markup=False))
    with Progress(*columns, TimeElapsedColumn(), console=console or Console(stderr=True)) as progress:
        lines = {}

        def report(name: str, news: str) -> None:
            if name not in lines:
                lines[name] = progress.add_task(name, total=1, news=news)
            done = news.startswith(("ready", "stopped"))
            progress.update(lines[name], news=news, completed=1 if done else 0)

        yield report
