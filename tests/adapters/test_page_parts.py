import re
from pathlib import Path

import pytest

from datalab.adapters.page_parts import comparison_part, proof_part
from tests.rounds.proof_history import write_history


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


@pytest.mark.slow
def test_a_history_is_told_in_words_and_tables(tmp_path: Path) -> None:
    _, proof = write_history(tmp_path, 5)
    html = str(proof_part(proof))
    text = text_of(html)
    verdict = proof["verdict"]
    assert f"{verdict['value'].capitalize()} : {verdict['reason']}." in text
    assert "Two rounds are compared on the test images that both were judged on" in text
    assert [row in text for row in ("6 216 226 ", "7 252 264 ", "8 288 301 ")] == [True] * 3
    assert "gold and second opinions included. What is expected after three rounds alone has too narrow" in text
    assert "What would have been said before" in text
    assert "1 of the 3 comparable rounds that a forecast needs" in text
    assert re.findall(r'(?:src|href)="(.{22})', html) == ["data:image/png;base64,"]


@pytest.mark.slow
def test_a_first_round_says_what_is_missing(tmp_path: Path) -> None:
    _, proof = write_history(tmp_path, 1)
    proof["point"]["untimed_answers"] = 4
    text = text_of(str(proof_part(proof)))
    assert "Cannot tell yet : 1 of the 3 comparable rounds that a forecast needs. Labelling the next 36 images" in text
    assert "A single round has nothing to be compared with." in text
    assert "second opinions included; 4 answers tell no time." in text
    assert "expected mIoU" not in text
    assert "three rounds alone" not in text
    assert "All rounds:" not in text


@pytest.mark.slow
def test_what_is_undefined_gives_its_reason_and_names_are_text(tmp_path: Path) -> None:
    _, proof = write_history(tmp_path, 2)
    nothing = {"value": None, "low": None, "high": None, "reason": "<b>too few</b>"}
    part = proof["control"]["round"]
    part["surprise_per_minute"] = {"chosen": nothing, "random": nothing, "difference": nothing}
    proof["next_batch"].update(images=0)
    html = str(proof_part(proof))
    assert "&lt;b&gt;too few&lt;/b&gt;" in html
    assert "Labelling the next" not in html


def test_two_models_side_by_side() -> None:
    figure = {"value": 0.5, "low": 0.4, "high": 0.6, "reason": None}
    lower = {"value": -0.021, "low": None, "high": None, "reason": "no interval: one test image decides"}
    found = {"reason": None, "test_images": 9, "better": 2, "worse": 6}
    text = text_of(str(comparison_part({**found, "champion": figure, "challenger": figure, "difference": lower})))
    assert "better on 2 and worse on 6" in text
    assert "difference -0.021" in text
    assert "0.500 0.400 to 0.600" in text


def test_without_a_champion_the_reason_is_told() -> None:
    assert text_of(str(comparison_part({"reason": "a <b> & c"}))).endswith("Not compared: a &lt;b&gt; &amp; c.")
