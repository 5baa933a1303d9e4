import pandas as pd

from datalab.quality.gold_ledger import judging_ratings, leaked, sound_gold, states, suspects
from datalab.tables import GOLD, GOLD_EVENTS, RATINGS


def events(*rows: tuple[str, str, str]) -> pd.DataFrame:
    """(image, action, round)."""
    full = [(image, action, "because", "ann", round_id, "2026-01-01") for image, action, round_id in rows]
    return pd.DataFrame(full, columns=list(GOLD_EVENTS))


def ratings(*rows: tuple[str, str]) -> pd.DataFrame:
    """(image, round)."""
    full = [(number, round_id, image, "ann", 1.0, "gold", 8, 6) for number, (image, round_id) in enumerate(rows)]
    return pd.DataFrame(full, columns=list(RATINGS))


def test_the_last_thing_said_decides() -> None:
    said = events(("a", "contested", "0001"), ("b", "leaked", "0001"), ("a", "upheld", "0002"), ("c", "added", "0002"))
    assert states(["a", "b", "c", "d"], said) == {"a": "in use", "b": "leaked", "c": "in use", "d": "in use"}
    assert states([], said) == {}


def test_who_is_judged_by_what() -> None:
    said = events(("a", "added", "0002"), ("b", "disputed", "0003"), ("c", "leaked", "0003"))
    rated = ratings(
        ("a", "0001"), ("a", "0002"), ("a", "0003"), ("b", "0001"), ("c", "0001"), ("d", "0001"), ("x", "0001")
    )
    judged = judging_ratings(rated, ["a", "b", "c", "d"], said)
    assert judged[["image_id", "round_id"]].to_numpy().tolist() == [["a", "0003"], ["c", "0001"], ["d", "0001"]]


def test_what_is_in_doubt_is_no_truth() -> None:
    said = events(
        ("a", "contested", "0001"), ("b", "disputed", "0001"), ("c", "retired", "0001"), ("d", "leaked", "0001")
    )
    gold = pd.DataFrame([(one, f"{one}-t", "", "", 6, 8) for one in "aabcde"], columns=list(GOLD))
    assert sound_gold(gold, said)["image_id"].tolist() == ["c", "d", "e"]
    assert len(sound_gold(gold, said.iloc[:0])) == 6


def test_known_is_what_most_people_labelled_often() -> None:
    rows = [("a", who, round_id) for who in ("ann", "bob") for round_id in ("0001", "0002")]
    rows += [
        ("a", "ann", "0002"),
        ("b", "ann", "0001"),
        ("b", "ann", "0002"),
        ("b", "bob", "0001"),
        ("b", "cat", "0001"),
    ]
    views = pd.DataFrame(rows, columns=["image_id", "annotator", "round_id"])
    assert leaked(views, people=3, share=0.6, times=2) == ["a"]
    assert leaked(views, people=3, share=0.9, times=2) == []
    assert leaked(views, people=3, share=1, times=1) == ["b"]
    assert leaked(views.iloc[:0], people=0, share=0.6, times=2) == []


def test_suspects_are_where_people_agree_without_gold() -> None:
    found = suspects({"a": 0.9, "b": 0.8, "c": 0.3, "d": 1.0}, {"a": 0.5, "b": 0.1, "c": 0.1}, gap=0.3)
    assert [one["image_id"] for one in found] == ["b", "a"]
    assert found[0] == {"image_id": "b", "among_people": 0.8, "with_gold": 0.1}


def test_the_same_showing_twice_is_one() -> None:
    views = pd.DataFrame([("a", "ann", "0001")] * 2, columns=["image_id", "annotator", "round_id"])
    assert leaked(views, 1, 1.0, 2) == []
