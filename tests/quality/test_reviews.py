import pandas as pd

from datalab.quality.reviews import images_judged, note, open_requests, standing
from datalab.tables import REVIEWS


def said(*verdicts: tuple[str, ...]) -> pd.DataFrame:
    """Table REVIEWS: (image, verdict) or (image, verdict, region), one a second."""
    rows = [
        (f"v{place}", image, region[0] if region else "", verdict, "", "rita", f"2026-01-01T00:00:{place:02}+00:00",
         "operator", "coin" if region else "", "0 0 0.5 0.5" if region else "")
        for place, (image, verdict, *region) in enumerate(verdicts)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(REVIEWS)).astype("str")


def ids(table: pd.DataFrame) -> list[str]:
    return list(table["review_id"])


def test_the_last_word_on_an_image_overrules_what_was_said_before() -> None:
    reviews = said(("a", "relabel"), ("a", "wrong class", "r1"), ("b", "exclude"), ("a", "accept"), ("b", "relabel"))
    assert ids(standing(reviews)) == ["v3", "v4"]
    assert images_judged(reviews, "exclude") == []


def test_a_word_on_an_object_overrules_what_was_said_of_that_object() -> None:
    reviews = said(("a", "relabel", "r1"), ("a", "relabel", "r2"), ("a", "accept", "r1"))
    assert ids(standing(reviews)) == ["v1", "v2"]
    assert ids(open_requests(reviews, [])) == ["v1"]


def test_the_order_of_time_counts_and_not_the_order_of_collection() -> None:
    reviews = said(("a", "exclude"), ("a", "accept"))
    assert images_judged(reviews.iloc[::-1], "accept") == ["a"]


def test_requests_are_open_until_they_are_sent() -> None:
    reviews = said(("a", "relabel"), ("b", "wrong class"), ("c", "accept"))
    assert ids(open_requests(reviews, [])) == ["v0", "v1"]
    assert ids(open_requests(reviews, ["v0"])) == ["v1"]
    assert open_requests(said(), []).empty


def test_nothing_is_asked_about_an_image_that_is_left_out() -> None:
    assert open_requests(said(("a", "exclude"), ("a", "relabel", "r1")), []).empty


def test_a_note_tells_verdicts_and_comments_once() -> None:
    requests = said(("a", "relabel"), ("a", "wrong class", "r1"), ("a", "wrong class", "r2"))
    requests["comment"] = ["two coins are missing", "", ""]
    assert note(requests) == "relabel (two coins are missing); wrong class: coin"
