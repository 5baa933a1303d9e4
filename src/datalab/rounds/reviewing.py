"""Reviewers: what they said in the app is collected, sent to annotators again, and told back with what came of it."""

import logging
from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd

from datalab.adapters.dvc import stages_at_rest
from datalab.adapters.files import read_table, write_table
from datalab.adapters.review import MADE_BY
from datalab.adapters.review_connection import opened
from datalab.adapters.review_journal import WAITS, Subject, held, read
from datalab.adapters.review_tags import clear_tags, find_tags
from datalab.adapters.review_views import slice_members
from datalab.errors import InputError, ServiceError
from datalab.quality.reviews import ASKS_AGAIN, images_judged, open_requests, standing
from datalab.rounds.batch import SENT_BACK
from datalab.rounds.gold_truth import consensus_truth, excluded_images
from datalab.rounds.living_gold import add_gold
from datalab.rounds.state import round_numbers
from datalab.settings import Settings
from datalab.tables import (
    CATALOG,
    DECISIONS,
    GOLD,
    REJECTED_REVIEWS,
    REVIEWS,
    ROUND_REVIEWS,
    SLICES,
    empty,
    typed,
)
from datalab.workspace import Workspace

LOG = logging.getLogger(__name__)
OUTCOMES = ("image_id", "review", "review_comment", "reviewer", "reviewed_at", "review_outcome")
"""One row per reviewed image: its newest verdict and what came of it."""
ANSWERED = ("image_id", "annotator", "updated_at", "was_cancelled")
"""What is told of an answer; its drawings are nearly all of a round's bytes."""
LEFT_OUT = "left out of dataset, pool and batches"


def ensure_reviews(workspace: Workspace) -> None:
    """Make reviews.parquet and view_slices.parquet without a row where they are missing: stages read them."""
    for path, columns in ((workspace.reviews, REVIEWS), (workspace.view_slices, SLICES)):
        if not path.exists():
            write_table(path, empty(columns))


def collect_reviews(workspace: Workspace) -> dict[str, Any]:
    """Take journal and tags into reviews.parquet, and what was made gold into gold.parquet; again adds nothing.
    Views saved as slices go into view_slices.parquet.

    Returns facts: `collected`, `rejected`, `gold`, and `tags_unread`, the reason where the database does not answer:
    the journal is on disk, and tags stay where they are until the next time.
    """
    try:
        settings = Settings.load(workspace.env)
        with stages_at_rest(workspace), opened(settings.fiftyone_database_uri) as fiftyone:
            known = fiftyone.dataset_exists(workspace.name)
            dataset = fiftyone.load_dataset(workspace.name, reload=True) if known else None
            if dataset is not None and dataset.info.get("made_by") != MADE_BY:
                dataset = None  # somebody else's, or none that has been published yet
            facts = _collect(workspace, dataset)
            if dataset is not None:
                _collect_slices(workspace, dataset)
        unread = None
    except ServiceError as exc:
        with stages_at_rest(workspace):
            facts, unread = _collect(workspace, None), str(exc)
    return {**facts, "gold": _make_gold(workspace), "tags_unread": unread}


def _collect(workspace: Workspace, dataset: Any) -> dict[str, Any]:
    """Tags go once the table is on disk: killed in between, they are found again and known."""
    with held(workspace.review_journal):
        catalog = frozenset(read_table(workspace.catalog, CATALOG)["image_id"])
        rows, rejected = read(workspace.review_journal, catalog)
        ensure_reviews(workspace)
        old = read_table(workspace.reviews, REVIEWS)
        known = set(old["review_id"])
        fresh = [row for row in rows if row["review_id"] not in known]
        table = _joined(old, fresh)
        tagged = [] if dataset is None else find_tags(dataset)
        said = dict.fromkeys((tag.verdict, tag.subject) for tag in tagged if tag.subject.image_id in catalog)
        tags = _new_tags(table, list(said), sent_reviews(workspace))
        if fresh or tags:
            write_table(workspace.reviews, _joined(table, tags))
        if rejected or workspace.rejected_reviews.exists():
            write_table(workspace.rejected_reviews, pd.DataFrame(rejected, columns=list(REJECTED_REVIEWS)))
        if tagged:
            clear_tags(dataset, tagged)
    return {"collected": len(fresh) + len(tags), "rejected": len(rejected)}


def _collect_slices(workspace: Workspace, dataset: Any) -> None:
    """Views that reviewers saved as slices, as they are now; written only where something has changed."""
    catalog = set(read_table(workspace.catalog, CATALOG)["image_id"])
    rows = sorted(one for one in slice_members(dataset) if one[0] in catalog)
    table = typed(pd.DataFrame(rows, columns=list(SLICES)))
    if not read_table(workspace.view_slices, SLICES).equals(table):
        write_table(workspace.view_slices, table)


def _joined(table: pd.DataFrame, rows: list[dict[str, str]]) -> pd.DataFrame:
    if not rows:
        return table
    return pd.concat([table, pd.DataFrame(rows, columns=list(REVIEWS))], ignore_index=True)


def _new_tags(table: pd.DataFrame, tagged: list[tuple[str, Subject]], sent: dict[str, str]) -> list[dict[str, str]]:
    """Rows for the tags that say something new: what stands already and was not sent yet is known."""
    held_now = standing(table)
    waiting = held_now[~held_now["review_id"].isin(list(sent))]
    # with the box: an annotator's object is known by its place in the answer, which may have changed since
    said = set(zip(*(waiting[name] for name in ("image_id", "region_id", "box", "verdict")), strict=True))
    now = pd.Timestamp.now("UTC").isoformat()
    return [
        {
            "review_id": f"tag-{place}-{now}",
            "verdict": verdict,
            "comment": "",
            "reviewer": "",
            "reviewed_at": now,
            "source": "tag",
            **vars(subject),
        }
        for place, (verdict, subject) in enumerate(tagged)
        if (subject.image_id, subject.region_id, subject.box, verdict) not in said
    ]


def sent_reviews(workspace: Workspace, but: int | None = None) -> dict[str, str]:
    """review_id -> the round that sent it, of all rounds except number `but`."""
    sent: dict[str, str] = {}
    for number in round_numbers(workspace):
        path = workspace.round_folder(number) / "reviews.parquet"
        if number != but and path.exists():
            sent.update(dict.fromkeys(read_table(path, ROUND_REVIEWS)["review_id"], f"{number:04d}"))
    return sent


def requests_for(workspace: Workspace, number: int) -> pd.DataFrame:
    """Rows of REVIEWS that wait to be sent when round `number` begins, oldest first.

    Gold is never sent again, nor what a reviewer decided object by object: the decision would hold all the same.
    """
    requests = open_requests(read_table(workspace.reviews, REVIEWS), sent_reviews(workspace, but=number))
    settled = _gold(workspace) | _decided(workspace)
    known = read_table(workspace.catalog, CATALOG)["image_id"]
    return requests[~requests["image_id"].isin(settled) & requests["image_id"].isin(known)].reset_index(drop=True)


def requested_first(requests: pd.DataFrame, chosen: pd.DataFrame) -> pd.DataFrame:
    """`chosen` (image_id, rank, reason) behind the images of `requests`, whose reason is "review"."""
    asked = list(dict.fromkeys(requests["image_id"]))
    first = typed(pd.DataFrame({"image_id": asked, "rank": range(len(asked)), "reason": SENT_BACK}))
    rest = chosen.loc[:, ["image_id", "rank", "reason"]].assign(rank=chosen["rank"] + len(asked))
    return pd.concat([first, rest], ignore_index=True)


def round_requests(folder: Path) -> pd.DataFrame:
    """Table ROUND_REVIEWS of a round; empty for a round of which nobody asked anything."""
    path = folder / "reviews.parquet"
    return read_table(path, ROUND_REVIEWS) if path.exists() else empty(ROUND_REVIEWS)


def outcomes(workspace: Workspace) -> pd.DataFrame:
    """Table OUTCOMES: the newest verdict of every reviewed image, and where it led."""
    if not workspace.reviews.exists():
        return empty(OUTCOMES)
    held_now = standing(read_table(workspace.reviews, REVIEWS))
    newest = held_now.drop_duplicates("image_id", keep="last")
    sent, answered = sent_reviews(workspace), _answers(workspace)
    gold, decided, excluded = _gold(workspace), _decided(workspace), excluded_images(workspace)
    rows = [
        (
            row["image_id"], row["verdict"], row["comment"], row["reviewer"], row["reviewed_at"],
            LEFT_OUT if row["image_id"] in excluded else _outcome(row, sent, answered, gold, decided),
        )
        for row in newest.to_dict("records")
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(OUTCOMES))


def _outcome(
    row: dict[Any, Any],
    rounds: dict[str, str],
    answered: dict[tuple[str, str], str],
    gold: set[str],
    decided: set[str],
) -> str:
    image_id, verdict, sent = row["image_id"], row["verdict"], rounds.get(row["review_id"])
    if verdict == "make gold":
        return "gold" if image_id in gold else "not gold: no finished consensus, or a near duplicate"
    if verdict not in ASKS_AGAIN:
        return "accepted"
    if sent is not None:
        return answered.get((sent, image_id), f"sent in round {sent}")
    if image_id in gold:
        return "not sent: it is gold"
    return "not sent: a reviewer decided it, change the decision" if image_id in decided else WAITS


def _gold(workspace: Workspace) -> set[str]:
    return set(read_table(workspace.gold, GOLD)["image_id"]) if workspace.gold.exists() else set()


def _decided(workspace: Workspace) -> set[str]:
    return set(read_table(workspace.decisions, DECISIONS)["image_id"]) if workspace.decisions.exists() else set()


def _answers(workspace: Workspace) -> dict[tuple[str, str], str]:
    """(round, image) -> who labelled it then, and when."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for number in round_numbers(workspace):
        path = workspace.round_folder(number) / "annotations.parquet"
        if not path.exists():
            continue
        table = read_table(path, ANSWERED)
        for row in table[~table["was_cancelled"].astype(bool)].sort_values("updated_at").to_dict("records"):
            found[f"{number:04d}", row["image_id"]].append(f"{row['annotator']} on {row['updated_at'][:19]}")
    return {key: f"labelled anew in round {key[0]} by {', '.join(people)}" for key, people in found.items()}


def _make_gold(workspace: Workspace) -> list[str]:
    """Images that a reviewer made gold and that are not yet: their consensus becomes ground truth. Returns those."""
    needed = (workspace.gold, workspace.consensus, workspace.adjudication, workspace.ratings)
    if not all(path.exists() for path in needed):
        return []
    reviews = read_table(workspace.reviews, REVIEWS)
    held_now = standing(reviews)
    wishes = held_now[(held_now["verdict"] == "make gold") & (held_now["region_id"] == "")]
    said = wishes.drop_duplicates("image_id", keep="last").set_index("image_id")
    truth = consensus_truth(workspace)
    eligible = set(truth["image_id"]) - _gold(workspace)
    wanted = [one for one in images_judged(reviews, "make gold") if one in eligible]
    added: list[str] = []
    for image_id in wanted:
        by, comment = said["reviewer"][image_id] or "a reviewer", said["comment"][image_id]
        try:
            added += add_gold(workspace, truth, [image_id], 0, by, comment or "made gold in the review")
        except InputError as exc:
            LOG.warning("image %s is not made gold: %s", image_id, exc)
    return added
