"""How a long step tells how far it is."""

from typing import Protocol


class Progress(Protocol):
    """Called with the share that is done, 0 to 1, and a few words on what is being done."""

    def __call__(self, share: float, doing: str) -> None:
        """Show it."""


def silent(share: float, doing: str) -> None:
    """Shows nothing."""
