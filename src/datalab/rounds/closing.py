"""The last steps of a round: learn from the labels, show where the model fails."""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any

from datalab.adapters.dvc import add, repro, stage_count, stages_at_rest
from datalab.adapters.files import fresh_folder, locked, read_json, read_table, write_json
from datalab.adapters.review import publish as publish_dataset
from datalab.adapters.review_app import review_url
from datalab.adapters.review_inputs import ReviewInputs, read_inputs
from datalab.config import load_number, load_params
from datalab.learning.splits import SplitParams, TooFewGroupsError, deal_labelled
from datalab.quality.gold_ledger import judging_ratings, sound_gold
from datalab.rounds.living_gold import read_events
from datalab.rounds.progress import Progress
from datalab.rounds.raw import RAW, ensure_tables
from datalab.rounds.reviewing import collect_reviews, outcomes
from datalab.rounds.state import NOT_LEARNED, Round
from datalab.settings import Settings
from datalab.tables import CATALOG, FIRST_LABELS, METADATA, RATINGS
from datalab.workspace import Workspace


def learn(workspace: Workspace, state: Round, progress: Progress) -> dict[str, Any]:
    """Version the round's raw data and run the DVC graph: consensus, dataset, model, evaluation, next batch.

    Where the labels of all rounds are too few for that, the fact NOT_LEARNED: another round has to bring more.
    """
    progress(0.0, "versioning the raw data")
    ensure_tables(workspace)
    keep_champion(workspace, state.number)
    on_wait = partial(progress, 0.0)
    add(workspace, [getattr(workspace, name) for name in RAW], on_wait)
    ran, stages = list[str](), stage_count(workspace)

    def on_stage(stage: str) -> None:
        progress(min(1.0, len(ran) / stages), f"dvc stage {stage}")
        ran.append(stage)

    def on_count(share: float, words: str) -> None:
        progress(min(1.0, (len(ran) - 1 + share) / stages), f"dvc stage {ran[-1]}: {words}")

    why = None if _answered(workspace) else "nobody has answered anything yet"
    if why is None:
        repro(workspace, ["collect"], on_stage, on_wait, on_count)
        why = too_few_labels(workspace)
    if why is not None:
        more = f"datalab ingest FOLDER --workspace {quote(str(workspace.root))}"
        how = f"run again to open the next round, or take in more images first ({more})"
        return {"stages": ran, NOT_LEARNED: f"round {state.round_id} ends without a model: {why}; {how}"}
    repro(workspace, (), on_stage, on_wait, on_count)
    return {"stages": ran}


def too_few_labels(workspace: Workspace) -> str | None:
    """Why the labels of all rounds, as stage `collect` has read them, make no dataset yet; None where they do."""
    ratings = read_table(workspace.ratings, RATINGS)
    rated = ratings.loc[ratings["role"] != "gold", "image_id"]
    if rated.empty:
        return "no image but gold has an answer that counts"
    params = load_params(workspace.params, "dataset", SplitParams)
    distance = load_number(workspace.params, "ingest", "near_duplicate_distance", int)
    first, catalog = read_table(workspace.first_labels, FIRST_LABELS), read_table(workspace.catalog, CATALOG)
    metadata = read_table(workspace.metadata, METADATA, others=True)
    try:
        dealt = deal_labelled(first, catalog, metadata, params, distance)
    except TooFewGroupsError as exc:
        return str(exc)
    # images that a reviewer has left out keep their split and are in no dataset; without validation training goes on
    filled = set(dealt.loc[dealt["image_id"].isin(rated), "split"])
    missing = [name for name in ("train", "test") if name not in filled]
    return f"no image with an answer that counts is left for {', '.join(missing)}" if missing else None


def _answered(workspace: Workspace) -> bool:
    """Whether any round has an answer, skipped ones included."""
    return any(len(read_table(path, ("image_id",))) for path in workspace.rounds.glob("*/annotations.parquet"))


def keep_champion(workspace: Workspace, number: int) -> None:
    """Put the model that stands before this round learns, and what it learned from, where `compare` finds both.

    Again changes nothing.
    """
    noted = workspace.champion / "round.json"
    if noted.exists() and read_json(noted)["compared_in"] == number:
        return
    with fresh_folder(workspace.champion) as folder:
        if workspace.model.exists():
            shutil.copyfile(workspace.model, folder / workspace.model.name)
            write_json(folder / "learned.json", _learned(workspace.dataset / "index.parquet"))
        write_json(folder / noted.name, {"compared_in": number})


def _learned(index: Path) -> list[str]:
    """Images that the model was fitted to or stopped by, for they may be test images next; none without a dataset."""
    if not index.exists():
        return []
    table = read_table(index, ("image_id", "split"))
    return sorted(table.loc[table["split"] != "test", "image_id"])


def publish(workspace: Workspace, state: Round | None, progress: Progress | None) -> dict[str, Any]:
    """Collect what reviewers said and bring the FiftyOne dataset of the workspace up to date."""
    settings = Settings.load(workspace.env)
    collected = collect_reviews(workspace)
    # DVC removes a stage's outputs before it runs: the model would look as if there were none; and a person's
    # `datalab review` beside a flow would add every image twice
    with stages_at_rest(workspace), locked(workspace.data / "review"):
        inputs = replace(trusted_inputs(workspace), reviews=outcomes(workspace), journal=workspace.review_journal)
        report = publish_dataset(settings.fiftyone_database_uri, workspace.name, inputs, progress)
    return {
        "review": review_url(settings.fiftyone_url, workspace.name),
        "views": list(report.views),
        "collected_reviews": collected,
    }


def trusted_inputs(workspace: Workspace) -> ReviewInputs:
    """What is shown to reviewers, without gold whose truth somebody doubts, and with whom the rest of it judges."""
    inputs = read_inputs(workspace)
    if inputs.gold is None:
        return inputs
    events = read_events(workspace)
    gold = sound_gold(inputs.gold, events)
    judging = None if inputs.ratings is None else judging_ratings(inputs.ratings, gold["image_id"], events)
    return replace(inputs, gold=gold, judging=judging)
