from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from datalab.adapters.plot_curve import draw_learning_curve
from tests.rounds.proof_history import write_history

BLUE, ORANGE = (0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)


def pixels(content: bytes) -> npt.NDArray[np.int64]:
    decoded = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded[..., ::-1].astype(np.int64)


def count_of(content: bytes, color: tuple[int, int, int], half: str = "both") -> int:
    found = pixels(content)
    # below the legend
    middle, top = found.shape[1] // 2, 40
    part = {"both": found[top:], "left": found[top:, :middle], "right": found[top:, middle:]}[half]
    return int((np.abs(part - color).max(axis=2) < 25).sum())


@pytest.fixture(scope="module")
def proofs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    return {count: write_history(tmp_path_factory.mktemp("history") / str(count), count)[1] for count in (1, 5)}


@pytest.mark.slow
def test_both_panels_show_what_was_measured_and_what_is_expected(proofs: dict[int, dict[str, Any]]) -> None:
    picture = draw_learning_curve(proofs[5])
    for half in ("left", "right"):
        assert count_of(picture, BLUE, half) > 300
        assert count_of(picture, ORANGE, half) > 100
    assert picture == draw_learning_curve(proofs[5])


def test_one_round_has_a_point_and_no_forecast(proofs: dict[int, dict[str, Any]]) -> None:
    picture = draw_learning_curve(proofs[1])
    assert 20 < count_of(picture, BLUE) < 300
    assert count_of(picture, ORANGE) == 0


def test_without_times_the_second_panel_says_so(proofs: dict[int, dict[str, Any]]) -> None:
    proof = proofs[5]
    rounds = [{**row, "annotator_minutes": None} for row in proof["curve"]["rounds"]]
    ahead = [{**row, "annotator_minutes": None} for row in proof["forecast"]["rounds"]]
    picture = draw_learning_curve(
        {**proof, "curve": {**proof["curve"], "rounds": rounds}, "forecast": {**proof["forecast"], "rounds": ahead}}
    )
    assert count_of(picture, BLUE, "right") == 0
    assert count_of(picture, BLUE, "left") > 300


@pytest.mark.slow
def test_rounds_that_cannot_be_compared_and_figures_without_interval_do_no_harm(
    proofs: dict[int, dict[str, Any]],
) -> None:
    score = {"value": 0.5, "low": None, "high": None, "reason": "one image"}
    none = {"value": None, "low": None, "high": None, "reason": "no test image"}
    rows = proofs[5]["curve"]["rounds"]
    rounds = [{**rows[0], "score": None}, {**rows[1], "score": None, "miou": none}, {**rows[2], "score": score}]
    only = {**proofs[1], "curve": {"basis": "as reported", "rounds": rounds}}
    assert count_of(draw_learning_curve(only), BLUE) > 20
    nothing = {**proofs[1], "curve": {"basis": "as reported", "rounds": rounds[1:2]}}
    assert count_of(draw_learning_curve(nothing), BLUE) == 0
