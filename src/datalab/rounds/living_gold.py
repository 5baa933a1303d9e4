"""Gold in a running project: added, contested, retired; every change kept in a table with its reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from datalab.adapters.dvc import stages_at_rest
from datalab.adapters.files import locked, read_json, read_table, write_table
from datalab.config import load_guidelines, load_params
from datalab.errors import InputError
from datalab.quality.gold_ledger import ACTIONS, IN_USE, leaked, states
from datalab.ranges import Count, Natural, Seed, Share
from datalab.rounds.batch import choose_gold
from datalab.rounds.state import round_numbers
from datalab.tables import BATCH, CATALOG, GOLD, GOLD_EVENTS, empty
from datalab.workspace import Workspace

LISTED = ("image_id", "state", "classes", "rounds", "people", "reason")
VIEWS = ("image_id", "annotator", "round_id")
STILL_HERE = 3
"""Who has submitted nothing in as many of the newest rounds has left."""


@dataclass(frozen=True)
class GoldParams:
    """Ground truth set aside when masks are given, and when it has served its time."""

    seed: Seed
    share: Share
    """Share of the catalog."""
    at_least: Natural
    at_most: Natural
    leaked_share: Share
    """Gold that this share of the people who are still here have labelled `leaked_rounds` times is known to them."""
    leaked_rounds: Count
    keep: Natural
    """Images that stay in use however often they were seen: no gold is worse than known gold."""


@dataclass(frozen=True)
class Change:
    """One thing that is said about gold images."""

    action: str
    reason: str
    by: str


def ensure_events(workspace: Workspace) -> None:
    """A table without a row where there is none: a DVC stage reads it."""
    if not workspace.gold_events.exists():
        write_table(workspace.gold_events, empty(GOLD_EVENTS))


def read_events(workspace: Workspace) -> pd.DataFrame:
    """Table GOLD_EVENTS, oldest first."""
    return read_table(workspace.gold_events, GOLD_EVENTS) if workspace.gold_events.exists() else empty(GOLD_EVENTS)


def record(workspace: Workspace, image_ids: Sequence[str], change: Change) -> None:
    """Append a row per image, however often it is named.

    InputError where one is no gold or the action is none of ACTIONS.
    """
    if change.action not in ACTIONS:
        raise InputError(f"{change.action!r} is nothing that happens to gold; known: {', '.join(ACTIONS)}")
    unknown = sorted(set(image_ids) - set(_gold(workspace)["image_id"]))
    if unknown:
        raise InputError(f"image {unknown[0]} is no gold; see datalab gold list")
    with stages_at_rest(workspace):
        _append(workspace, list(dict.fromkeys(image_ids)), change)


def _append(workspace: Workspace, image_ids: Sequence[str], change: Change) -> None:
    numbers = round_numbers(workspace)
    round_id, now = f"{max(numbers, default=0):04d}", datetime.now(UTC).isoformat(timespec="seconds")
    rows = [(image_id, change.action, change.reason, change.by, round_id, now) for image_id in image_ids]
    added = pd.DataFrame(rows, columns=list(GOLD_EVENTS))
    with locked(workspace.gold_events):
        write_table(workspace.gold_events, pd.concat([read_events(workspace), added]))


def add_gold(
    workspace: Workspace, truth: pd.DataFrame, image_ids: Sequence[str], count: int, by: str, reason: str
) -> list[str]:
    """Take images of `truth` (table GOLD) among the gold, and say which.

    `image_ids`: these; where there are none, `count` of the others, stratified by class and slice. InputError for an
    image without truth, one that is gold already, or one with a near duplicate: a model or a person could know that;
    or for truth of a class that the guidelines do not name.
    """
    check_classes(workspace, truth)
    with stages_at_rest(workspace), locked(workspace.gold):
        return _add(workspace, truth, image_ids, count, Change("added", reason, by))


def _add(workspace: Workspace, truth: pd.DataFrame, image_ids: Sequence[str], count: int, change: Change) -> list[str]:
    gold, catalog = _gold(workspace), read_table(workspace.catalog, CATALOG)
    _check(image_ids, truth, gold, catalog)
    fresh = truth[~truth["image_id"].isin(gold["image_id"])]
    seed = load_params(workspace.params, "gold", GoldParams).seed
    rng = np.random.default_rng([seed, gold["image_id"].nunique()])
    rows = fresh[fresh["image_id"].isin(image_ids)] if image_ids else choose_gold(fresh, catalog, count, rng)
    if rows.empty:
        raise InputError("no further image has truth and no near duplicate; ingest or adjudicate more")
    added = sorted(rows["image_id"].unique())
    # first, since by gold that nobody is said to have added everybody would be judged who labelled it before
    _append(workspace, added, change)
    write_table(workspace.gold, pd.concat([gold, rows]))
    return added


def check_classes(workspace: Workspace, truth: pd.DataFrame) -> None:
    """InputError where table GOLD has a class that the guidelines do not name: everybody would be wrong about it."""
    known = load_guidelines(workspace.guidelines).names
    if unknown := sorted(set(truth["label"]) - {"", *known}):
        raise InputError(
            f"the masks hold {unknown[0]!r}, which guidelines/classes.yaml does not name ({', '.join(known)}); name "
            "their values by a classes.yaml beside them or with CLASSES or --classes"
        )


def retire_leaked(workspace: Workspace, params: GoldParams) -> list[str]:
    """Record as leaked what most people have seen often, least in use first to go last; `params.keep` images stay."""
    state = states(_gold(workspace)["image_id"], read_events(workspace))
    in_use = [image_id for image_id, one in state.items() if one == IN_USE]
    views = _views(workspace)
    views = views[views["annotator"].isin(still_here(views))]
    known = leaked(views, views["annotator"].nunique(), params.leaked_share, params.leaked_rounds)
    most_seen = views[views["image_id"].isin(set(known) & set(in_use))].groupby("image_id").size()
    order = [str(image_id) for image_id in most_seen.sort_values(ascending=False, kind="stable").index]
    gone = order[: max(0, len(in_use) - params.keep)]
    if gone:
        reason = f"{params.leaked_share:.0%} of the people labelled it in {params.leaked_rounds} rounds or more"
        record(workspace, gone, Change("leaked", reason, "datalab"))
    return gone


def gold_in_use(workspace: Workspace) -> list[str]:
    """image_ids that may be shown as gold, sorted."""
    state = states(_gold(workspace)["image_id"], read_events(workspace))
    return [image_id for image_id, one in state.items() if one == IN_USE]


def gold_overview(workspace: Workspace) -> pd.DataFrame:
    """Columns LISTED: per gold image its state, classes, rounds it was shown in as gold, people who labelled it.

    The reason is the last one recorded, or why the last gold report suspects an image that is in use.
    """
    gold, events = _gold(workspace), read_events(workspace)
    views, last = _views(workspace), {row["image_id"]: row["reason"] for row in events.to_dict("records")}
    shown = _shown(workspace)
    doubts = {
        one["image_id"]: f"suspect: people agree {one['among_people']:.2f}, with gold {one['with_gold']:.2f}"
        for one in _report(workspace).get("suspects", [])
    }
    rows = []
    for image_id, state in states(gold["image_id"], events).items():
        labels = gold.loc[gold["image_id"] == image_id, "label"]
        people = views.loc[views["image_id"] == image_id, "annotator"].nunique()
        reason = doubts.get(image_id, "") if state == IN_USE else ""
        classes = "+".join(sorted(set(labels) - {""})) or "nothing"
        rows.append((image_id, state, classes, shown.get(image_id, 0), people, reason or last.get(image_id, "")))
    return pd.DataFrame(rows, columns=list(LISTED))


def needs_overlap(workspace: Workspace) -> list[str]:
    """Annotators who are still here and for whom the last gold report asks for more overlap, or a pause."""
    people = _report(workspace).get("annotators", {})
    careful = {name for name, score in people.items() if score["action"]["value"] in ("more overlap", "pause")}
    return sorted(careful & still_here(_views(workspace)))


def still_here(views: pd.DataFrame) -> set[str]:
    """Who submitted something in the newest rounds; `views` has the columns VIEWS."""
    newest = sorted(views["round_id"].unique())[-STILL_HERE:]
    return set(views.loc[views["round_id"].isin(newest), "annotator"])


def _gold(workspace: Workspace) -> pd.DataFrame:
    return read_table(workspace.gold, GOLD) if workspace.gold.exists() else empty(GOLD)


def _report(workspace: Workspace) -> dict[str, Any]:
    path = workspace.reports / "gold.json"
    return dict(read_json(path)) if path.exists() else {}


def _views(workspace: Workspace) -> pd.DataFrame:
    """Who submitted which image in which round, each once."""
    paths = sorted(workspace.rounds.glob("*/annotations.parquet"))
    tables = [read_table(path, (*VIEWS, "was_cancelled")) for path in paths]
    submitted = [table.loc[~table["was_cancelled"].astype(bool), list(VIEWS)] for table in tables]
    found = pd.concat(submitted) if submitted else pd.DataFrame(columns=list(VIEWS))
    return found.drop_duplicates()


def _shown(workspace: Workspace) -> dict[str, int]:
    tables = [read_table(path, BATCH) for path in sorted(workspace.rounds.glob("*/batch.parquet"))]
    roles = pd.concat(tables) if tables else pd.DataFrame(columns=list(BATCH))
    return {
        str(key): int(count) for key, count in roles.loc[roles["role"] == "gold", "image_id"].value_counts().items()
    }


def _check(image_ids: Sequence[str], truth: pd.DataFrame, gold: pd.DataFrame, catalog: pd.DataFrame) -> None:
    groups = dict(zip(catalog["image_id"], catalog["duplicate_group"], strict=True))
    sizes = catalog["duplicate_group"].value_counts()
    for image_id in image_ids:
        if image_id in set(gold["image_id"]):
            raise InputError(f"image {image_id} is gold already; see datalab gold list")
        if image_id not in set(truth["image_id"]):
            raise InputError(
                f"nobody knows the truth of image {image_id}: give its mask (--masks FOLDER) or a decision"
            )
        if sizes[groups[image_id]] > 1:
            raise InputError(f"image {image_id} has a near duplicate; take another one")
