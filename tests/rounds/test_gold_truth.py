"""What a reviewer decided becomes gold, unless it was left out or changed since; on tables typed by hand."""

from pathlib import Path

import pandas as pd
import pytest

from datalab.adapters.files import write_table
from datalab.errors import InputError
from datalab.rounds.gold_truth import decided_truth
from datalab.tables import ADJUDICATION, CONSENSUS, DECISIONS, PROVENANCE, REVIEWS, empty
from datalab.workspace import Workspace
from tests.quality.images import HEIGHT, WIDTH, rle

PART, ELSEWHERE = rle(0, 0, 4, 4), rle(4, 4, 6, 6)
Known = list[tuple[str, str, str]]
"""label, RLE, method."""


def workspace_of(
    folder: Path, decided: list[tuple[str, str]], asked: str = PART, known: Known | None = None
) -> Workspace:
    """Image a, of which a reviewer decided (label, RLE); `known`: its consensus."""
    place = Workspace(folder)
    rows = [
        ("a", f"d{number}", label, mask, HEIGHT, WIDTH, "eve", "contested", asked)
        for number, (label, mask) in enumerate(decided)
    ]
    write_table(place.decisions, pd.DataFrame(rows, columns=list(DECISIONS)))
    merged = [
        ("a", f"c{number}", label, mask, HEIGHT, WIDTH, 1, 2, 1.0, method, "eve")
        for number, (label, mask, method) in enumerate(known or [])
    ]
    write_table(place.consensus, pd.DataFrame(merged, columns=[*CONSENSUS, *PROVENANCE]))
    write_table(place.adjudication, empty(ADJUDICATION))
    return place


def truth(place: Workspace) -> list[tuple[str, str]]:
    found = decided_truth(place)
    return list(zip(found["label"], found["rle"], strict=True))


def test_a_part_that_was_decided_is_true_with_what_nobody_contested(tmp_path: Path) -> None:
    known = [("coin", PART, "adjudicated"), ("cup", ELSEWHERE, "two")]
    assert truth(workspace_of(tmp_path, [("coin", PART)], known=known)) == [("coin", PART), ("cup", ELSEWHERE)]


def test_a_part_in_which_nothing_is_leaves_an_image_of_nothing(tmp_path: Path) -> None:
    assert truth(workspace_of(tmp_path, [("", "")])) == [("", "")]


def test_a_decided_object_that_repeats_an_uncontested_one_is_that_one(tmp_path: Path) -> None:
    place = workspace_of(tmp_path, [("cup", rle(4, 4, 6, 5))], known=[("cup", ELSEWHERE, "two")])
    assert truth(place) == [("cup", ELSEWHERE)]


@pytest.mark.parametrize(
    ("decided", "known"),
    [
        ([("cup", PART)], [("coin", PART, "adjudicated")]),
        ([("", "")], [("coin", PART, "adjudicated")]),
        ([("coin", PART)], [("cup", ELSEWHERE, "two")]),
        ([("coin", PART)], []),
    ],
)
def test_a_decision_that_the_consensus_does_not_know_yet_makes_no_gold(
    tmp_path: Path, decided: list[tuple[str, str]], known: Known
) -> None:
    with pytest.raises(InputError, match="image a is newer than the consensus; run dvc repro"):
        decided_truth(workspace_of(tmp_path, decided, known=known))


@pytest.mark.parametrize("asked", ["", PART])
def test_an_image_that_was_left_out_makes_no_gold(tmp_path: Path, asked: str) -> None:
    place = workspace_of(tmp_path, [("coin", PART)], asked)
    row = ("r1", "a", "", "exclude", "blurred", "eve", "2026-01-01T00:00:00+00:00", "operator", "", "")
    write_table(place.reviews, pd.DataFrame([row], columns=list(REVIEWS)))
    assert truth(place) == []
