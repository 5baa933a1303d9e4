import fcntl
import json
from pathlib import Path

import pytest

from datalab.adapters.review_journal import LONGEST_COMMENT, NAME, Saying, Subject, append, held, read
from datalab.errors import InputError
from datalab.tables import REVIEWS

KNOWN = frozenset({"a", "b"})
RELABEL = Saying("relabel", "a coin\nis missing", "rita")
COIN = Subject("b", "r1", "coin", "0 0 0.5 0.25")


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / NAME


def test_what_is_said_comes_back_as_it_was(journal: Path) -> None:
    with held(journal):
        first, second = append(journal, RELABEL, [Subject("a"), COIN])
        append(journal, Saying("accept", "", "sam"), [Subject("a")])
    rows, rejected = read(journal, KNOWN)
    assert rejected == []
    assert [row["review_id"] for row in rows[:2]] == [first, second]
    assert set(rows[0]) == set(REVIEWS)
    assert (rows[0]["comment"], rows[0]["region_id"], rows[0]["source"]) == ("a coin\nis missing", "", "operator")
    assert (rows[1]["region_id"], rows[1]["label"], rows[1]["box"]) == ("r1", "coin", "0 0 0.5 0.25")
    assert [row["reviewer"] for row in rows] == ["rita", "rita", "sam"]
    assert rows[2]["reviewed_at"] > rows[0]["reviewed_at"]


def test_gold_and_exclusion_mean_the_image(journal: Path) -> None:
    assert len(append(journal, Saying("exclude", "", "rita"), [COIN, Subject("b", "r2", "cup", "0 0 1 1")])) == 1
    (row,), _ = read(journal, KNOWN)
    assert (row["image_id"], row["region_id"], row["label"], row["box"]) == ("b", "", "", "")


def test_a_line_cut_short_is_told_and_costs_no_other(journal: Path) -> None:
    append(journal, RELABEL, [Subject("a")])
    journal.write_bytes(journal.read_bytes() + b'{"review_id": "x", "ima')
    append(journal, RELABEL, [Subject("b")])
    rows, rejected = read(journal, KNOWN)
    assert [row["image_id"] for row in rows] == ["a", "b"]
    assert [(row["line"], row["reason"]) for row in rejected] == [(2, "no JSON; a write that was cut short")]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"verdict": "burn"}, "'burn' is no verdict"),
        ({"image_id": "zz"}, "image 'zz' is not in the catalog"),
        ({"reviewed_at": "yesterday"}, "a value is not what it should be"),
        ({"box": "0 0 1"}, "the box is not four numbers"),
        ({"box": "a b c d"}, "a value is not what it should be"),
        ({"comment": 3}, "not an object of texts"),
        ({"comment": "x" * (LONGEST_COMMENT + 1)}, "the comment has"),
        ({"more": "x"}, "not an object of texts"),
    ],
    ids=str,
)
def test_a_line_that_is_no_review_is_told(journal: Path, change: dict[str, object], reason: str) -> None:
    append(journal, RELABEL, [Subject("a")])
    journal.write_text(json.dumps({**json.loads(journal.read_text()), **change}) + "\n")
    rows, rejected = read(journal, KNOWN)
    assert rows == []
    assert reason in rejected[0]["reason"]


def test_a_line_twice_is_one_review(journal: Path) -> None:
    append(journal, RELABEL, [Subject("a")])
    journal.write_bytes(2 * journal.read_bytes())
    assert len(read(journal, KNOWN)[0]) == 1


def test_nothing_is_written_for_what_cannot_be_said(journal: Path) -> None:
    with pytest.raises(InputError, match="is no verdict"):
        append(journal, Saying("burn", "", "rita"), [Subject("a")])
    assert read(journal, KNOWN) == ([], [])


@pytest.mark.parametrize("place", ["elsewhere/review-journal.jsonl", "passwd"])
def test_a_place_that_is_none_is_refused(tmp_path: Path, place: str) -> None:
    with pytest.raises(InputError, match="no place for reviews"), held(tmp_path / place):
        pytest.fail("held")


def test_one_at_a_time(journal: Path) -> None:
    with held(journal), journal.with_name(f".{NAME}.lock").open() as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
