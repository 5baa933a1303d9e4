"""What params.yaml may say about the annotators."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from datalab.config import load_params
from datalab.errors import InputError
from datalab.simulate.profile import SHARED, SimulateParams, profiles_of
from tests.simulate.people import FAULTLESS, SECONDS

ROOT = Path(__file__).parents[2]
ENTRY = {key: value for key, value in asdict(FAULTLESS).items() if key not in SHARED}


def params(*entries: Any) -> SimulateParams:
    return SimulateParams(seed=1, small_share=0.005, seconds=asdict(SECONDS), annotators=entries)


def test_a_profile_is_read() -> None:
    assert profiles_of(params(ENTRY)) == [FAULTLESS]


def test_the_shipped_annotators_get_worse_from_one_to_the_next() -> None:
    profiles = profiles_of(load_params(ROOT / "params.yaml", "simulate", SimulateParams))
    assert [profile.name for profile in profiles] == ["careful", "hasty", "careless"]
    for key in ("jitter_px", "bias_px", "miss", "miss_small", "wrong_class", "spurious", "keep_wrong"):
        values = [getattr(profile, key) for profile in profiles]
        assert values == sorted(values), key
    assert [profile.keep_iou for profile in profiles] == sorted((one.keep_iou for one in profiles), reverse=True)
    assert [profile.pace for profile in profiles] == sorted((one.pace for one in profiles), reverse=True)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ((), "one or more annotators"),
        ((ENTRY, ENTRY), "different names"),
        (("careful",), "needs a name"),
        (({**ENTRY, "name": "J. Doe"},), "needs a name"),
        (({**ENTRY, "speed": 1},), "speed"),
        (({key: value for key, value in ENTRY.items() if key != "miss"},), "miss"),
        (({**ENTRY, "miss": 1.2},), "use 0 to 1"),
        (({**ENTRY, "miss": -0.1},), "0 or more"),
        (({**ENTRY, "jitter_px": "wide"},), "must be a number"),
        (({**ENTRY, "spurious": float("nan")},), "must be a number"),
        (({**ENTRY, "pace": True},), "must be a number"),
        (({**ENTRY, "keep_iou": 0.4},), "nothing would ever be corrected"),
    ],
)
def test_a_wrong_profile_is_one_line(entries: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        profiles_of(params(*entries))
    assert "\n" not in str(caught.value)


def test_a_bias_may_be_negative() -> None:
    assert profiles_of(params({**ENTRY, "bias_px": -2}))[0].bias_px == -2


@pytest.mark.parametrize("seconds", [{"look": 4}, "slow", {**asdict(SECONDS), "draw": -1}, {**asdict(SECONDS), "x": 1}])
def test_wrong_times_are_an_input_error(seconds: Any) -> None:
    with pytest.raises(InputError, match="seconds"):
        profiles_of(replace(params(ENTRY), seconds=seconds))


def test_a_wrong_small_share_is_an_input_error() -> None:
    with pytest.raises(InputError, match="small_share"):
        profiles_of(replace(params(ENTRY), small_share=5.0))
