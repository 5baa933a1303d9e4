"""What may become gold without a mask of its own: what a reviewer decided, or what nothing is left to decide about."""

import pandas as pd

from datalab.adapters.files import read_table
from datalab.errors import InputError
from datalab.masks import rle_share_inside
from datalab.quality.reviews import images_judged
from datalab.tables import ADJUDICATION, CONSENSUS, DECISIONS, GOLD, PROVENANCE, RATINGS, REVIEWS, empty
from datalab.workspace import Workspace


def decided_truth(workspace: Workspace) -> pd.DataFrame:
    """Table GOLD of the images a reviewer decided and did not leave out.

    Where only a part was asked about, the rest is what nobody contested; with doubts left it is no truth. InputError
    where there is no decision, or where the consensus is older than one about a part.
    """
    decisions = read_table(workspace.decisions, DECISIONS) if workspace.decisions.exists() else empty(DECISIONS)
    if decisions.empty:
        raise InputError("no reviewer has decided an image yet; give masks (--masks FOLDER) or adjudicate first")
    decisions = decisions[~decisions["image_id"].isin(excluded_images(workspace))]
    partly = set(decisions.loc[decisions["asked"] != "", "image_id"])
    whole = decisions.loc[~decisions["image_id"].isin(partly), list(GOLD)]
    return pd.concat([whole, _decided_in_part(workspace, decisions, partly)], ignore_index=True) if partly else whole


def consensus_truth(workspace: Workspace) -> pd.DataFrame:
    """Table GOLD of every labelled image about which nothing is left to decide."""
    consensus = read_table(workspace.consensus, CONSENSUS)
    rated = read_table(workspace.ratings, RATINGS).drop_duplicates("image_id")
    undecided = set(read_table(workspace.adjudication, ADJUDICATION)["image_id"])
    sure = rated[~rated["image_id"].isin(undecided) & (rated["role"] != "gold")]
    rows = consensus.loc[consensus["image_id"].isin(sure["image_id"]), list(GOLD)]
    return pd.concat([rows, _nothing_on(sure[~sure["image_id"].isin(rows["image_id"])])], ignore_index=True)


def excluded_images(workspace: Workspace) -> set[str]:
    """What a reviewer left out."""
    if not workspace.reviews.exists():
        return set()
    return set(images_judged(read_table(workspace.reviews, REVIEWS), "exclude"))


def _decided_in_part(workspace: Workspace, decisions: pd.DataFrame, partly: set[str]) -> pd.DataFrame:
    sure = partly - set(read_table(workspace.adjudication, ADJUDICATION)["image_id"])
    consensus = read_table(workspace.consensus, (*CONSENSUS, *PROVENANCE))
    rows = consensus[consensus["image_id"].isin(sure)]
    decided = decisions[decisions["image_id"].isin(sure)]
    for image_id in sorted(sure):
        if not _is_of(rows[rows["image_id"] == image_id], decided[decided["image_id"] == image_id]):
            raise InputError(
                f"the decision about image {image_id} is newer than the consensus; run dvc repro in {workspace.root}, "
                "then this again"
            )
    bare = decided[~decided["image_id"].isin(rows["image_id"])].drop_duplicates("image_id")
    return pd.concat([rows.loc[:, list(GOLD)], _nothing_on(bare)], ignore_index=True)


def _is_of(rows: pd.DataFrame, decision: pd.DataFrame) -> bool:
    """Whether an image's consensus was made with this decision: it says the same.

    What was decided is there as it is, or was left out for an object of its class that nobody contested.
    """
    said = set(zip(decision["label"], decision["rle"], strict=True)) - {("", "")}
    adjudicated = rows[rows["method"] == "adjudicated"]
    found = set(zip(adjudicated["label"], adjudicated["rle"], strict=True))
    others = rows[rows["method"] != "adjudicated"]
    height, width = int(decision["height"].iloc[0]), int(decision["width"].iloc[0])
    return found <= said and all(
        any(rle_share_inside(rle, other, height, width) > 0 for other in others.loc[others["label"] == label, "rle"])
        for label, rle in said - found
    )


def _nothing_on(images: pd.DataFrame) -> pd.DataFrame:
    """Table GOLD that says that nothing is there."""
    return images.assign(region_id=images["image_id"] + "-empty", label="", rle="").loc[:, list(GOLD)]
