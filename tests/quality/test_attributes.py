"""Answers about objects: of two people, on the objects both of them found."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from datalab.quality.agreement import OBJECTS
from datalab.quality.attributes import attribute_agreement, placed_answers
from datalab.tables import ANNOTATED_REGIONS, ATTRIBUTES

STATE = {("coin", "state"): ("whole", "broken")}


def objects(*rows: tuple[str, str, str, int, int]) -> pd.DataFrame:
    """image, outcome, label, place of ann's region, place of bob's."""
    filled = [
        (image, image, "ann", "bob", outcome, 0.9, label, label, 0.1, 0.1, "manual", "manual", a, b)
        for image, outcome, label, a, b in rows
    ]
    return pd.DataFrame(filled, columns=list(OBJECTS))


def answers(*rows: tuple[str, str, int, str], label: str = "coin") -> pd.DataFrame:
    columns = ["image_id", "annotator", "place", "value"]
    return pd.DataFrame(rows, columns=columns).assign(label=label, attribute="state")


def test_kappa_is_that_of_the_answers_to_matched_objects() -> None:
    said = [("whole", "whole")] * 6 + [("broken", "broken")] * 3 + [("whole", "broken")] * 2 + [("broken", "whole")]
    found = objects(*((f"i{place}", "matched", "coin", 0, 0) for place in range(len(said))))
    table = answers(
        *((f"i{place}", "ann", 0, a) for place, (a, _) in enumerate(said)),
        *((f"i{place}", "bob", 0, b) for place, (_, b) in enumerate(said)),
    )
    figures = attribute_agreement(found, table, STATE, np.random.default_rng(1))["coin: state"]
    # pooled over both orders of each pair: Scott's pi
    first, second = zip(*said, *((b, a) for a, b in said), strict=True)
    assert figures["kappa"].value == pytest.approx(cohen_kappa_score(first, second))
    assert figures["observed"].value == 0.75
    assert figures["answered"].value == 1
    interval = figures["kappa"].as_json()
    assert -1 <= interval["low"] < interval["value"] < interval["high"] <= 1


def test_only_what_both_answered_about_one_object_counts() -> None:
    found = objects(
        ("a", "matched", "coin", 1, 0),
        ("a", "matched", "coin", 0, 1),
        ("a", "only_a", "coin", 2, -1),
        ("b", "matched", "cup", 0, 0),
        ("b", "matched", "coin", 1, 1),
    )
    table = answers(
        ("a", "ann", 1, "whole"),
        ("a", "bob", 0, "whole"),
        ("a", "ann", 0, "broken"),  # bob has not answered
        ("a", "ann", 2, "broken"),  # bob has not found it
        ("b", "ann", 0, "broken"),  # a cup
        ("b", "bob", 1, "bent"),  # no value of the question
    )
    figures = attribute_agreement(found, table, STATE, np.random.default_rng(1))["coin: state"]
    assert (figures["observed"].value, figures["observed"].n) == (1, 1)
    assert figures["answered"].value == 0.5
    assert (figures["kappa"].value, figures["kappa"].reason) == (None, "only one category was seen")


def test_answers_on_images_of_a_group_are_one_witness() -> None:
    found = objects(*((image, "matched", "coin", 0, 0) for image in "abcd"))
    table = answers(
        *((image, "ann", 0, "whole") for image in "abcd"),
        *((image, "bob", 0, "broken" if image in "ab" else "whole") for image in "abcd"),
    )
    alone = attribute_agreement(found, table, STATE, np.random.default_rng(1))["coin: state"]
    clips = found.assign(group=["x", "x", "y", "y"])
    together = attribute_agreement(clips, table, STATE, np.random.default_rng(1))["coin: state"]
    assert {name: one.value for name, one in together.items()} == {name: one.value for name, one in alone.items()}
    assert {name: (alone[name].n, together[name].n) for name in alone} == dict.fromkeys(alone, (4, 2))
    # of two clips either may be drawn twice
    assert (together["observed"].low, together["observed"].value, together["observed"].high) == (0, 0.5, 1)
    assert alone["observed"] != together["observed"]


def test_without_an_answer_there_is_a_reason() -> None:
    none = answers(("x", "ann", 0, "whole")).iloc[:0]
    figures = attribute_agreement(objects(("a", "matched", "coin", 0, 0)), none, STATE, np.random.default_rng(1))
    assert {name: one.value for name, one in figures["coin: state"].items()} == {
        "kappa": None,
        "observed": None,
        "answered": 0,
    }
    nothing = attribute_agreement(objects(), none, STATE, np.random.default_rng(1))["coin: state"]
    assert {one.value for one in nothing.values()} == {None}
    assert {one.reason for one in nothing.values()} == {"nothing to count"}
    assert attribute_agreement(objects(), none, {}, np.random.default_rng(1)) == {}


def test_answers_find_the_place_of_their_region() -> None:
    regions = pd.DataFrame(
        [
            (1, "0001", "ann", "a", "1-0", "coin", "", 6, 8, "manual"),
            (2, "0001", "bob", "a", "2-0", "coin", "", 6, 8, "manual"),
            (1, "0001", "ann", "a", "1-2", "coin", "", 6, 8, "manual"),
        ],
        columns=list(ANNOTATED_REGIONS),
    )
    attributes = pd.DataFrame([(1, "ann", "a", "1-2", "coin", 1, "state", "whole")], columns=list(ATTRIBUTES))
    assert placed_answers(attributes, regions).to_numpy().tolist() == [["a", "ann", 1, "coin", "state", "whole"]]
