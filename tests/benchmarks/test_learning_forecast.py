import numpy as np
import pytest
from learning_forecast import coverage, one_run


def test_errors_are_counted_from_the_fourth_round_on() -> None:
    labels = np.array([30.0, 60.0, 90.0, 120.0, 180.0])
    scores = 0.8 - 0.3 * (labels / 30) ** -0.5
    rows = one_run(scores, labels, np.random.default_rng(0))
    steps = np.diff(scores)
    assert len(rows) == 2
    assert [row[2] for row in rows] == pytest.approx(steps[2:].tolist())
    assert [row[1] for row in rows] == pytest.approx([steps[1] - steps[2], 2 * steps[2] - steps[3]])
    assert max(row[0] for row in rows) < 1e-4


@pytest.mark.slow
def test_more_rounds_show_the_luck_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("learning_forecast.HISTORIES", 60)
    covered = {rounds: coverage(rounds, 0.01, np.random.default_rng(0)) for rounds in (3, 5)}
    assert covered[3] < 0.9 <= covered[5]
