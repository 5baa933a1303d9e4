"""The written error profile of a simulated annotator."""

from dataclasses import dataclass, fields
from typing import Any

from datalab.errors import InputError


@dataclass(frozen=True)
class Profile:
    """How one annotator errs and how long things take. Lengths in pixels, times in seconds."""

    name: str
    jitter_px: float
    """Standard deviation of the outline's displacement."""
    bias_px: float
    """Mean displacement: positive draws too wide, negative too narrow."""
    miss: float
    """Probability of not seeing an object."""
    miss_small: float
    """The same for objects of less than 0.5% of the image."""
    wrong_class: float
    """Probability of giving a seen object another class."""
    spurious: float
    """Expected number of things marked per image that are nothing."""
    keep_iou: float
    """A proposal at least this good is kept untouched."""
    correct_iou: float
    """A proposal at least this good is corrected; a worse one is deleted and the object drawn anew."""
    keep_wrong: float
    """Probability of leaving a proposal that fits no object."""
    pace: float
    """Factor on every time."""


@dataclass(frozen=True)
class SimulateParams:
    """Section `simulate` of params.yaml."""

    seed: int
    annotators: tuple[dict[str, Any], ...]


def profiles_of(params: SimulateParams) -> list[Profile]:
    """The profiles; InputError for unknown or missing keys and probabilities outside [0, 1]."""
    return [_profile(entry) for entry in params.annotators]


def _profile(entry: dict[str, Any]) -> Profile:
    known = {field.name for field in fields(Profile)}
    if set(entry) != known:
        difference = ", ".join(sorted(set(entry) ^ known))
        raise InputError(f"params.yaml: simulate: an annotator has unknown or missing keys: {difference}")
    for key in ("miss", "miss_small", "wrong_class", "keep_wrong", "keep_iou", "correct_iou"):
        if not 0 <= entry[key] <= 1:
            raise InputError(f"params.yaml: simulate: {key} of {entry['name']} is {entry[key]}; use 0 to 1")
    return Profile(**entry)
