"""What reviewers' verdicts amount to: which hold, and which images they send back, leave out or make gold.

A verdict on an image overrules every earlier one on it and on its objects, one on an object the earlier ones on that
object. So a slip is put right by saying the right thing, and nothing is ever deleted.
"""

from collections.abc import Collection

import pandas as pd

ASKS_AGAIN = ("relabel", "wrong class")
"""Verdicts that send an image to annotators once more."""


def standing(reviews: pd.DataFrame) -> pd.DataFrame:
    """The rows of `reviews` (table REVIEWS) that no later one overrules, oldest first; of equals the later row wins."""
    ordered = reviews.sort_values("reviewed_at", kind="stable").reset_index(drop=True)
    overruled_by_image: set[str] = set()
    heard: set[tuple[str, str]] = set()
    kept = []
    for place in reversed(range(len(ordered))):
        image_id, region_id = str(ordered["image_id"][place]), str(ordered["region_id"][place])
        if image_id in overruled_by_image or (image_id, region_id) in heard:
            continue
        heard.add((image_id, region_id))
        if region_id == "":
            overruled_by_image.add(image_id)
        kept.append(place)
    return ordered.iloc[kept[::-1]].reset_index(drop=True)


def images_judged(reviews: pd.DataFrame, verdict: str) -> list[str]:
    """Images whose standing verdict as a whole is `verdict` (table REVIEWS), oldest first."""
    held = standing(reviews)
    return list(held.loc[(held["verdict"] == verdict) & (held["region_id"] == ""), "image_id"])


def open_requests(reviews: pd.DataFrame, sent: Collection[str]) -> pd.DataFrame:
    """Standing rows of `reviews` that ask people again and are not among the review_ids `sent`, oldest first.

    Images that are left out are not asked about, whatever is said of their objects.
    """
    held = standing(reviews)
    asked = held["verdict"].isin(ASKS_AGAIN) & ~held["review_id"].isin(list(sent))
    excluded = images_judged(reviews, "exclude")
    return held[asked & ~held["image_id"].isin(excluded)].reset_index(drop=True)


def note(requests: pd.DataFrame) -> str:
    """What an annotator is told about one image: verdicts and comments of its requests, one after the other."""
    lines = []
    for row in requests.to_dict("records"):
        what = f"{row['verdict']}: {row['label']}" if row.get("label") else str(row["verdict"])
        lines.append(f"{what} ({row['comment']})" if row["comment"] else what)
    return "; ".join(dict.fromkeys(lines))
