"""Rounds that came back without their state: `dvc checkout` restores tables, and round.json is in no commit."""

import logging

from datalab.adapters.files import read_table
from datalab.errors import StateError
from datalab.rounds.state import STEPS, Round, save_round
from datalab.tables import ANNOTATIONS
from datalab.workspace import Workspace

LOG = logging.getLogger(__name__)


def restore_rounds(workspace: Workspace) -> list[int]:
    """Write round.json of rounds that have been read and have none: they are over. Returns their numbers.

    Otherwise the next run would begin again at round 1, over the first one's tables. StateError for a round with tasks
    and no answers: nobody can tell how far it was.
    """
    restored = []
    for folder in sorted(workspace.rounds.glob("[0-9][0-9][0-9][0-9]")):
        if (folder / "round.json").exists() or not (folder / "batch.parquet").exists():
            continue
        if not (folder / "annotations.parquet").exists():
            raise StateError(f"{folder} has a batch and no round.json; put that back, or remove the folder")
        answers = read_table(folder / "annotations.parquet", ANNOTATIONS).sort_values("updated_at")
        version, ontology = answers.iloc[-1][["guideline_version", "ontology_hash"]] if len(answers) else ("", "")
        number = int(folder.name)
        save_round(workspace, Round(number, str(version), str(ontology), seconds=dict.fromkeys(STEPS, 0.0)))
        LOG.warning("%s had no round.json: taken for a round that is over", folder)
        restored.append(number)
    return restored
