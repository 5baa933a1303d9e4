"""The one family of errors a person is meant to read.

Every message is one line that says what is wrong and what to do next. The command line and the flows print the
message and exit with code 1; anything outside this family is a bug and keeps its traceback.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST_SHOWN = 200
"""Characters of a path in a message."""


class DatalabError(Exception):
    """Something the user can put right; the message says how."""


class InputError(DatalabError):
    """A file, folder, parameter or table is not what it has to be."""


class ServiceError(DatalabError):
    """A server cannot be started, reached or logged in to."""


class StateError(DatalabError):
    """What was asked for cannot follow what has happened so far in this round."""


class NothingLeftError(StateError):
    """The work is done: there is no image to open a round with."""


def shown_path(path: object) -> str:
    """A path as messages show it: cut off where it is too long to read."""
    return str(path) if len(str(path)) <= LONGEST_SHOWN else f"{str(path)[:LONGEST_SHOWN]}..."


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Around the `main()` of a stage: a DatalabError becomes "error: ..." on stderr and exit code 1."""
    try:
        yield
    except DatalabError as exc:
        sys.exit(f"error: {exc}")
