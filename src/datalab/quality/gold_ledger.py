"""Which gold is in use: what was said about each image, and who has seen it too often. Nothing is ever deleted."""

from collections.abc import Iterable, Mapping

import pandas as pd

ACTIONS = ("added", "contested", "upheld", "leaked", "disputed", "retired")
"""What can happen to a gold image. The last one decides: after "added" and "upheld" it is in use; "contested" waits for
a decision; "leaked" and "retired" are not shown any more; of "disputed" the truth itself was wrong."""
WRONG = frozenset({"contested", "disputed"})
"""States in which nobody is judged by the image."""
IN_USE = "in use"


def states(image_ids: Iterable[str], events: pd.DataFrame) -> dict[str, str]:
    """image_id to IN_USE or the last action of table GOLD_EVENTS; an image without an event is in use."""
    last = {row["image_id"]: row["action"] for row in events.to_dict("records")}
    found = {image_id: last.get(image_id, "added") for image_id in sorted(set(image_ids))}
    return {image_id: IN_USE if action in ("added", "upheld") else action for image_id, action in found.items()}


def sound_gold(gold: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    """The rows of table GOLD whose truth nobody doubts: what may stand for the truth, whoever or whatever is judged."""
    state = states(gold["image_id"], events)
    sound = [image_id for image_id, one in state.items() if one not in WRONG]
    return gold[gold["image_id"].isin(sound)].reset_index(drop=True)


def judging_ratings(ratings: pd.DataFrame, gold_ids: Iterable[str], events: pd.DataFrame) -> pd.DataFrame:
    """The rows of table RATINGS by which people are judged.

    Those on gold whose truth nobody doubts, and where gold was added in a running project only what came after: what a
    person said before may have made the truth.
    """
    state = states(gold_ids, events)
    trusted = [image_id for image_id, one in state.items() if one not in WRONG]
    added = {row["image_id"]: row["round_id"] for row in events.to_dict("records") if row["action"] == "added"}
    later = ratings["round_id"] > ratings["image_id"].map(lambda image_id: added.get(image_id, ""))
    return ratings[ratings["image_id"].isin(trusted) & later]


def leaked(views: pd.DataFrame, people: int, share: float, times: int) -> list[str]:
    """image_ids that at least `share` of `people` have labelled in at least `times` rounds each, sorted.

    `views`: columns image_id, annotator, round_id; several rows of one round count once.
    """
    rounds = views.drop_duplicates().groupby(["image_id", "annotator"]).size()
    often = rounds[rounds >= times].groupby("image_id").size()
    return sorted(str(image_id) for image_id, count in often.items() if count >= share * people)


def suspects(among_people: Mapping[str, float], with_gold: Mapping[str, float], gap: float) -> list[dict[str, object]]:
    """Gold images on which people agree with each other by more than `gap` better than with the truth, worst first.

    Both map image_id to mean agreement in [0, 1]. People can be wrong together, say where all keep one poor proposal:
    a person has to look.
    """
    both = {image_id: (one, with_gold[image_id]) for image_id, one in among_people.items() if image_id in with_gold}
    found = [(people - truth, image_id) for image_id, (people, truth) in both.items() if people - truth > gap]
    return [
        {"image_id": image_id, "among_people": round(both[image_id][0], 6), "with_gold": round(both[image_id][1], 6)}
        for _, image_id in sorted(found, reverse=True)
    ]
