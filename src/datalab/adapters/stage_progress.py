"""How far a long stage is: a bar on a terminal, elsewhere lines that whoever runs the stage can read.

A flow runs stages in a pipe, where a bar is off and hours would pass in silence.
"""

import re
import sys
from collections.abc import Collection, Iterable
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")
EVERY_S = 3.0
"""Between two lines."""
LINE = re.compile(r"^[A-Za-z][\w ]* (\d+)/(\d+)$")


def stage_bar(
    what: str, total: int, unit: str, items: Iterable[Any] | None = None, done: int = 0, hidden: bool = False
) -> "tqdm[Any]":
    """tqdm's bar about `items`, or one to be updated; where stderr is no terminal, lines such as `embed 1200/10000`.

    `done`: what an earlier run did of it. `hidden`: another process tells.
    """
    if sys.stderr.isatty():
        return tqdm(items, what, total, unit=unit, initial=done, disable=hidden)
    off = hidden or not total
    return _Lines(items, what, total, leave=False, miniters=1, mininterval=EVERY_S, initial=done, disable=off)


def stage_progress(what: str, items: Collection[T]) -> Iterable[T]:
    """A Progress of a stage, told as `stage_bar` does."""
    return stage_bar(what, len(items), "it", items)


def share_done(line: str) -> float | None:
    """How far a stage is that printed this line, 0 to 1; None for a line that does not tell."""
    found = LINE.match(line)
    if found is None:
        return None
    done, total = (int(number) for number in found.groups())
    return min(1.0, done / total) if total else None


class _Lines(tqdm):  # type: ignore[type-arg]  # it is no generic class where the program runs
    """Prints a whole line wherever tqdm would move its bar."""

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Nothing for an empty `msg`, with which tqdm wipes a bar."""
        if msg is None:
            stand = self.format_dict
            self.fp.write(f"{stand['prefix']} {stand['n']}/{stand['total']}\n")
            self.fp.flush()
