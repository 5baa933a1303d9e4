"""One reported number: its value with an interval, or the reason why there is none."""

from dataclasses import asdict, dataclass
from typing import Any

UNLEARNED = "no training image shows it"
"""Reason of what a model scores on a class of which it has seen nothing."""


@dataclass(frozen=True)
class Figure:
    """`value` is None where it is undefined, and then `reason` says why; the interval is one of 95%."""

    value: float | None
    n: int | None = None
    """What it was counted over, where that is a number of its own."""
    low: float | None = None
    high: float | None = None
    reason: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Keys value, low, high, reason, and n where it has one; numbers to six digits."""
        rounded = {key: round(item, 6) if isinstance(item, float) else item for key, item in asdict(self).items()}
        return {key: item for key, item in rounded.items() if key != "n" or item is not None}


def plain(content: Any) -> Any:
    """Figures inside nested dicts and lists as JSON; the rest as it is."""
    if isinstance(content, dict):
        return {name: plain(value) for name, value in content.items()}
    if isinstance(content, list):
        return [plain(value) for value in content]
    return content.as_json() if isinstance(content, Figure) else content


def undefined(reason: str, n: int | None = 0) -> Figure:
    """No number, and why."""
    return Figure(None, n, reason=reason)
