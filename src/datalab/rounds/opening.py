"""The first steps of a round: take images in, choose the batch."""

import shutil
from collections import Counter
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
import pandas as pd

from datalab.adapters.dataset_folder import CLASSES
from datalab.adapters.dvc import repro
from datalab.adapters.files import fresh_folder, read_table, write_table
from datalab.adapters.image_vectors import read_image_vectors
from datalab.adapters.images import IngestParams, ingest
from datalab.adapters.mask_folder import read_classes, read_truth
from datalab.config import load_number, load_params
from datalab.errors import InputError, NothingLeftError
from datalab.learning.selection import MOST_ASKED, STRATEGIES, cold_start, given_up
from datalab.learning.splits import SplitParams, check_group_column
from datalab.rounds.batch import BatchParams, choose_gold, compose_batch, rotate_gold
from datalab.rounds.gold_truth import excluded_images
from datalab.rounds.living_gold import (
    GoldParams,
    check_classes,
    gold_in_use,
    needs_overlap,
    retire_leaked,
)
from datalab.rounds.progress import Progress
from datalab.rounds.raw import ensure_tables
from datalab.rounds.reviewing import collect_reviews, requested_first, requests_for
from datalab.rounds.state import NOT_LEARNED, Round, load_round, round_numbers
from datalab.tables import BATCH, CATALOG, GOLD, METADATA, NEXT_BATCH, RATINGS, REJECTED, ROUND_REVIEWS, empty
from datalab.workspace import Workspace

CHOSEN, PREDICTED = "batch.parquet", "predicted"


@dataclass(frozen=True)
class Source:
    """Where new images come from. `masks`: exact masks of them, some of which become gold; None where nobody has any.
    `classes`: the classes.yaml of the masks, where it does not lie beside them."""

    images: Path | None = None
    masks: Path | None = None
    classes: Path | None = None


def take_in(workspace: Workspace, source: Source) -> dict[str, Any]:
    """Ingest a folder (nothing where there is none) and set gold aside from its masks, once.

    Returns the counts for the report. InputError where there is no image at all.
    """
    if source.images is None and not workspace.catalog.exists():
        raise InputError("there are no images yet; pass a folder: datalab ingest FOLDER, or make demo IMAGES=folder")
    params = load_params(workspace.params, "ingest", IngestParams)
    facts = {} if source.images is None else {"ingest": asdict(ingest(source.images, workspace, params))}
    if not workspace.gold.exists() or read_table(workspace.gold, GOLD).empty:
        write_table(workspace.gold, empty(GOLD) if source.masks is None else _new_gold(workspace, source))
    ensure_tables(workspace)
    # before anybody labels, not when the labels are dealt
    group_column = load_params(workspace.params, "dataset", SplitParams).group_column
    check_group_column(read_table(workspace.metadata, METADATA, others=True), group_column)
    return facts


def read_source_truth(workspace: Workspace, source: Source) -> pd.DataFrame:
    """Table GOLD of every catalog image that has a mask in the source."""
    if source.masks is None:
        raise InputError("there are no masks of these images; pass MASKS=folder")
    classes = read_classes(source.masks, source.classes)
    rejected = read_table(workspace.rejected, REJECTED) if workspace.rejected.exists() else empty(REJECTED)
    refused = rejected.loc[rejected["kind"] == "quarantined", "source"]
    return read_truth(source.masks, read_table(workspace.catalog, CATALOG), classes, list(refused))


def _new_gold(workspace: Workspace, source: Source) -> pd.DataFrame:
    params = load_params(workspace.params, "gold", GoldParams)
    catalog = read_table(workspace.catalog, CATALOG)
    count = int(np.clip(round(params.share * len(catalog)), params.at_least, params.at_most))
    truth = read_source_truth(workspace, source)
    check_classes(workspace, truth)
    return choose_gold(truth, catalog, count, np.random.default_rng(params.seed))


def choose(workspace: Workspace, state: Round, progress: Progress) -> dict[str, Any]:
    """Write batch.parquet: the model's next batch where there is one, else a diverse cold start, and gold.

    More images are labelled by several people while gold says that somebody's labels cannot be relied on.
    """
    folder = workspace.round_folder(state.number)
    _forget_choice(folder)
    params = load_params(workspace.params, "batch", BatchParams)
    rng = np.random.default_rng([params.seed, state.number])
    careful = needs_overlap(workspace)
    if careful:
        params = replace(params, overlap_share=params.careful_overlap_share)
    reviews = collect_reviews(workspace)
    retire_leaked(workspace, load_params(workspace.params, "gold", GoldParams))
    gold = set(read_table(workspace.gold, GOLD)["image_id"])
    exposures = _exposures(workspace, state.number)
    requests, excluded = requests_for(workspace, state.number), excluded_images(workspace)
    ratings = read_table(workspace.ratings, RATINGS) if workspace.ratings.exists() else empty(RATINGS)
    rated = set(ratings["image_id"])
    silent = given_up(exposures, rated) - gold - excluded
    busy = {*gold, *rated, *silent, *excluded}
    progress(0.0, "embedding images")
    by_model = workspace.model.exists() and not _left_unlearned(workspace, state.number)
    if by_model:
        repro(
            workspace, _made_by_labels(workspace), lambda stage: progress(0.5, stage), partial(progress, 0.0), progress
        )
        chosen = read_table(workspace.next_batch, NEXT_BATCH)
        chosen = chosen[~chosen["image_id"].isin({*busy, *requests["image_id"]})]
    else:
        repro(workspace, ["embed"], lambda stage: progress(0.1, stage), partial(progress, 0.0), progress)
        chosen = _cold_start(workspace, {*busy, *requests["image_id"]}, params.images, rng)
    chosen = requested_first(requests, chosen)
    if chosen.empty:
        rest = f" but {len(silent)} that {MOST_ASKED} rounds brought no usable answer about" if silent else ""
        how = f"datalab ingest FOLDER --workspace {quote(str(workspace.root))}"
        raise NothingLeftError(f"every image has been labelled{rest}; ingest new ones ({how}) to open a round")
    usable = [image_id for image_id in gold_in_use(workspace) if image_id not in excluded]
    batch = compose_batch(chosen, rotate_gold(usable, exposures, params.gold, rng), params, rng)
    sent = requests[requests["image_id"].isin(batch["image_id"])].loc[:, list(ROUND_REVIEWS)]
    write_table(folder / "reviews.parquet", sent)
    if by_model:
        _keep_predictions(workspace, folder / PREDICTED, batch)
    write_table(folder / CHOSEN, batch)
    counts = {str(role): int(count) for role, count in batch["role"].value_counts().items()}
    return {"batch": counts, "more_overlap_for": careful, "reviews": {**reviews, "sent": len(sent)}}


def _forget_choice(folder: Path) -> None:
    """Remove what a run left that was killed before the choice was recorded: `select` would take it for a round more
    in which its images were asked."""
    (folder / CHOSEN).unlink(missing_ok=True)
    shutil.rmtree(folder / PREDICTED, ignore_errors=True)


def _cold_start(workspace: Workspace, excluded: set[str], size: int, rng: np.random.Generator) -> pd.DataFrame:
    catalog = read_table(workspace.catalog, CATALOG)
    pool = catalog[~catalog["image_id"].isin(excluded)]
    if pool.empty:
        return empty(NEXT_BATCH)
    vectors = read_image_vectors(pool.to_dict("records"), workspace.embeddings)
    return cold_start(vectors, list(pool["image_id"]), list(pool["duplicate_group"]), size, rng)


def _keep_predictions(workspace: Workspace, folder: Path, batch: pd.DataFrame) -> None:
    """What the model that chose these images sees on them: the next one will have learned from them.

    It sees a drawn image as it sees a chosen one, so that the two can be compared. What no strategy chose is left out.
    """
    with fresh_folder(folder) as kept:
        shutil.copyfile(workspace.dataset / CLASSES, kept / CLASSES)
        for image_id in batch.loc[batch["reason"].isin(STRATEGIES), "image_id"]:
            shutil.copyfile(workspace.predictions / f"{image_id}.png", kept / f"{image_id}.png")


def _made_by_labels(workspace: Workspace) -> list[str]:
    """The stages to repeat before a batch is chosen and masks are proposed.

    Labelled images may just have become gold. Gold calibrates what SAM proposes, so SAM's decoder has to forget them
    just as the model does.
    """
    return ["select", "adapt"] if load_number(workspace.params, "adapt", "enabled", bool) else ["select"]


def _left_unlearned(workspace: Workspace, before: int) -> bool:
    """Whether the round before made no dataset: with an older model `select` would want one all the same."""
    earlier = [number for number in round_numbers(workspace) if number < before]
    return bool(earlier) and NOT_LEARNED in load_round(workspace, earlier[-1]).facts


def _exposures(workspace: Workspace, before: int) -> Counter[str]:
    """How many earlier rounds each image was in."""
    shown: Counter[str] = Counter()
    for number in round_numbers(workspace):
        path = workspace.round_folder(number) / CHOSEN
        if number < before and path.exists():
            shown.update(read_table(path, BATCH)["image_id"])
    return shown
