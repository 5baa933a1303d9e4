"""The written error profile of a simulated annotator, and how long actions take: section `simulate` of params.yaml."""

import re
from dataclasses import dataclass, fields
from typing import Any

from datalab.errors import InputError
from datalab.ranges import Seed, Share


@dataclass(frozen=True)
class Seconds:
    """What each action takes somebody of pace 1. Every single time is spread by a log-normal factor."""

    look: float
    """At the whole image, once."""
    keep: float
    """To see that a proposal is right."""
    relabel: float
    """To give a region another class."""
    delete: float
    correct: float
    """To mend the outline of a proposal."""
    draw: float
    """To choose the tool and the class for a new region."""
    draw_per_px: float
    """And for every pixel of its outline."""
    spread: float
    """Standard deviation of the factor's logarithm; its median is 1."""


@dataclass(frozen=True)
class Profile:
    """How one annotator errs. Lengths in pixels of the image, probabilities and IoUs in [0, 1]."""

    name: str
    """Part of the account's e-mail address before the @."""
    jitter_px: float
    """Standard deviation of the outline's displacement."""
    bias_px: float
    """Mean displacement: positive draws too wide, negative too narrow."""
    miss: float
    """Probability of not seeing an object."""
    miss_small: float
    """The same for an object smaller than `small_share`."""
    wrong_class: float
    """Probability of taking a seen object for one of another class."""
    spurious: float
    """Expected number of things marked per image that are nothing."""
    keep_iou: float
    """A proposal that fits an object at least this well is kept untouched."""
    correct_iou: float
    """A proposal at least this good is corrected; a worse one is deleted and the object drawn anew."""
    keep_wrong: float
    """Probability of leaving a proposal that fits no object."""
    pace: float
    """Factor on every time."""
    small_share: float
    """Of the image's area."""
    seconds: Seconds


@dataclass(frozen=True)
class SimulateParams:
    """Section `simulate` of params.yaml. `annotators`: the keys of `Profile`, but those given here for everybody."""

    seed: Seed
    small_share: Share
    seconds: dict[str, float]
    annotators: tuple[dict[str, Any], ...]


SHARES = ("miss", "miss_small", "wrong_class", "keep_wrong", "keep_iou", "correct_iou", "small_share")
SHARED = ("small_share", "seconds")


def profiles_of(params: SimulateParams) -> list[Profile]:
    """One profile per annotator.

    InputError for no annotator, a name twice or unfit for an e-mail address, unknown or missing keys, and numbers out
    of their range.
    """
    seconds = Seconds(**_numbers(params.seconds, [field.name for field in fields(Seconds)], "seconds"))
    profiles = [_profile(entry, params.small_share, seconds) for entry in params.annotators]
    names = [profile.name for profile in profiles]
    if not names or len(set(names)) < len(names):
        raise _error(f"wants one or more annotators with different names, got {', '.join(names) or 'none'}")
    return profiles


def _profile(entry: Any, small_share: float, seconds: Seconds) -> Profile:
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9]+([._-][a-z0-9]+)*", name):
        raise _error(f"annotator {entry!r} needs a name of small letters and digits")
    keys = [field.name for field in fields(Profile) if field.name not in ("name", *SHARED)]
    numbers = _numbers({key: value for key, value in entry.items() if key != "name"}, keys, name)
    for key in SHARES:
        value = {**numbers, "small_share": small_share}[key]
        if value > 1:
            raise _error(f"{key} of {name} is {value}; use 0 to 1")
    if numbers["correct_iou"] > numbers["keep_iou"]:
        raise _error(f"correct_iou of {name} is above keep_iou: nothing would ever be corrected")
    return Profile(name=name, small_share=small_share, seconds=seconds, **numbers)


def _numbers(entry: dict[str, Any], keys: list[str], where: str) -> dict[str, float]:
    """Just these keys, each a finite number, not negative but for the bias."""
    if not isinstance(entry, dict) or set(entry) != set(keys):
        difference = ", ".join(sorted(set(entry) ^ set(keys)))
        raise _error(f"{where} has unknown or missing keys: {difference}; known: {', '.join(keys)}")
    for key, value in entry.items():
        lowest = float("-inf") if key == "bias_px" else 0
        if type(value) not in (int, float) or not lowest <= value < float("inf"):
            raise _error(f"{key} of {where} is {value!r}; it must be a number, 0 or more")
    return {key: float(value) for key, value in entry.items()}


def _error(message: str) -> InputError:
    return InputError(f"params.yaml: simulate: {message}")
