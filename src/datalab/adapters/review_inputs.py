"""What a review shows: the tables and folders of a workspace, as many as there are by now."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from datalab.adapters.files import read_table
from datalab.config import Guidelines, load_guidelines
from datalab.tables import (
    ADJUDICATION,
    ANNOTATED_REGIONS,
    CATALOG,
    CONSENSUS,
    DATASET,
    GOLD,
    LABEL_ERRORS,
    NEXT_BATCH,
    PROPOSALS,
    RATINGS,
    SCORES,
    SLICES,
    SURPRISE,
)
from datalab.workspace import Workspace

IMAGE_AGREEMENT = ("image_id", "agreement")
"""Agreement of people on an image: one row, or one per pair of people; [0, 1], NaN where undefined."""

REVIEW_FIELDS = ("review", "review_comment", "reviewer", "reviewed_at", "review_outcome")
"""The newest verdict on an image, and what came of it."""


@dataclass(frozen=True)
class ReviewInputs:
    """Whatever is None is not there yet: no round has been closed, or no model has been trained."""

    images: Path
    """Folder of the catalog's files."""
    catalog: pd.DataFrame
    """Table CATALOG."""
    guidelines: Guidelines
    ratings: pd.DataFrame | None = None
    """Table RATINGS."""
    regions: pd.DataFrame | None = None
    """Table ANNOTATED_REGIONS."""
    consensus: pd.DataFrame | None = None
    """Table CONSENSUS."""
    agreement: pd.DataFrame | None = None
    """Table IMAGE_AGREEMENT."""
    index: pd.DataFrame | None = None
    """Table DATASET."""
    scores: pd.DataFrame | None = None
    """Table SCORES."""
    next_batch: pd.DataFrame | None = None
    """Table NEXT_BATCH."""
    masks: Path | None = None
    """Folder of the dataset's label maps, <image_id>.png."""
    predictions: Path | None = None
    """Folder of the model's label maps, <image_id>.png."""
    champion: Path | None = None
    """Folder of the label maps of the model of the round before, <image_id>.png."""
    reviews: pd.DataFrame | None = None
    """What reviewers said and what came of it: one row per image, columns `image_id` and those of REVIEW_FIELDS."""
    gold: pd.DataFrame | None = None
    """Table GOLD."""
    judging: pd.DataFrame | None = None
    """The rows of `ratings` by which people are judged; None: all of those on gold."""
    doubts: pd.DataFrame | None = None
    """Table ADJUDICATION."""
    label_errors: pd.DataFrame | None = None
    """Table LABEL_ERRORS."""
    surprise: pd.DataFrame | None = None
    """Table SURPRISE."""
    slices: pd.DataFrame | None = None
    """Table SLICES."""
    proposals: pd.DataFrame | None = None
    """What people started from: columns PROPOSALS, of each image those of its newest round."""
    embeddings: Path | None = None
    """Folder of SAM's image embeddings, <image_id>.npy."""
    journal: Path | None = None
    """Where the app writes down what reviewers say; None: it cannot."""


def read_inputs(workspace: Workspace) -> ReviewInputs:
    """Read what lies in the workspace; InputError where there is no catalog or a table lacks a column."""
    return ReviewInputs(
        images=workspace.images,
        catalog=read_table(workspace.catalog, CATALOG),
        guidelines=load_guidelines(workspace.guidelines),
        ratings=_table(workspace.ratings, RATINGS),
        regions=_table(workspace.regions, ANNOTATED_REGIONS),
        consensus=_table(workspace.consensus, CONSENSUS),
        agreement=_table(workspace.data / "agreement.parquet", IMAGE_AGREEMENT),
        index=_table(workspace.dataset / "index.parquet", DATASET),
        scores=_table(workspace.scores, SCORES),
        next_batch=_table(workspace.next_batch, NEXT_BATCH),
        masks=_folder(workspace.dataset / "masks"),
        predictions=_folder(workspace.predictions),
        champion=_folder(workspace.champion_predictions),
        gold=_table(workspace.gold, GOLD),
        doubts=_table(workspace.adjudication, ADJUDICATION),
        label_errors=_table(workspace.label_errors, LABEL_ERRORS),
        surprise=_table(workspace.surprise, SURPRISE),
        slices=_table(workspace.data / "slices.parquet", SLICES),
        proposals=_proposals(workspace.rounds),
        embeddings=_folder(workspace.embeddings),
    )


def _proposals(rounds: Path) -> pd.DataFrame | None:
    paths = sorted(rounds.glob("*/proposals.parquet"))
    tables = [read_table(path, PROPOSALS).assign(place=place) for place, path in enumerate(paths)]
    filled = [table for table in tables if len(table)]
    if not filled:
        return None
    found = pd.concat(filled, ignore_index=True)
    newest = found.groupby("image_id")["place"].transform("max")
    return found[found["place"] == newest].drop(columns="place")


def _table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame | None:
    return read_table(path, columns) if path.exists() else None


def _folder(path: Path) -> Path | None:
    return path if path.is_dir() else None
