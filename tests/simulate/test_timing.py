"""The written model of time."""

from dataclasses import replace

import numpy as np
import pytest

from datalab.simulate.timing import Stopwatch
from tests.simulate.people import SECONDS


def test_without_spread_the_times_add_up() -> None:
    clock = Stopwatch(SECONDS, 2.0, np.random.default_rng(0))
    clock.took(4)
    clock.drew(50)
    assert clock.total == pytest.approx(2 * (4 + 3 + 0.1 * 50))


def test_the_spread_is_log_normal_about_the_median() -> None:
    rng = np.random.default_rng(0)
    times = []
    for _ in range(4000):
        clock = Stopwatch(replace(SECONDS, spread=0.25), 1.0, rng)
        clock.took(10)
        times.append(clock.total)
    logs = np.log(times)
    # four standard errors: 0.25 / sqrt(4000) = 0.004
    assert logs.mean() == pytest.approx(np.log(10), abs=0.016)
    assert logs.std() == pytest.approx(0.25, rel=0.05)
    assert min(times) > 0
