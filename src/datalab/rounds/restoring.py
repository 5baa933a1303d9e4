"""Rounds and their states after a `dvc checkout`: tables come back or go away, and round.json is in no commit."""

import logging

from datalab.adapters.files import read_table
from datalab.errors import StateError
from datalab.rounds.state import STEPS, Round, load_round, round_numbers, save_round
from datalab.workspace import Workspace

LOG = logging.getLogger(__name__)


def restore_rounds(workspace: Workspace) -> list[int]:
    """Write round.json of rounds that have been read and have none: they are over. Returns their numbers.

    Otherwise the next run would begin again at round 1, over the first one's tables. StateError for a round with tasks
    and no answers: nobody can tell how far it was. States of rounds that are not in this commit are put aside.
    """
    _put_aside(workspace)
    restored = []
    for folder in sorted(workspace.rounds.glob("[0-9][0-9][0-9][0-9]")):
        if (folder / "round.json").exists() or not (folder / "batch.parquet").exists():
            continue
        if not (folder / "annotations.parquet").exists():
            raise StateError(f"{folder} has a batch and no round.json; put that back, or remove the folder")
        columns = ("updated_at", "guideline_version", "ontology_hash")
        answers = read_table(folder / "annotations.parquet", columns).sort_values("updated_at")
        _, version, ontology = answers.iloc[-1] if len(answers) else ("", "", "")
        number = int(folder.name)
        save_round(workspace, Round(number, str(version), str(ontology), seconds=dict.fromkeys(STEPS, 0.0)))
        LOG.warning("%s had no round.json: taken for a round that is over", folder)
        restored.append(number)
    return restored


def is_of_another_commit(workspace: Workspace, state: Round) -> bool:
    """Whether a round has been chosen, as its state says, and its batch is gone: a checkout leaves the state behind."""
    return "choose" in state.seconds and not (workspace.round_folder(state.number) / "batch.parquet").exists()


def _put_aside(workspace: Workspace) -> None:
    """Their tables are wanted by every later round; an earlier state put aside under the same number is replaced."""
    left = [one for one in round_numbers(workspace) if is_of_another_commit(workspace, load_round(workspace, one))]
    for number in left:
        workspace.rounds_aside.mkdir(exist_ok=True)
        (workspace.round_folder(number) / "round.json").replace(workspace.rounds_aside / f"{number:04d}.json")
    if left:
        names = ", ".join(f"{number:04d}" for number in left)
        LOG.warning(
            "round(s) %s without batch.parquet: of another commit, put aside in %s", names, workspace.rounds_aside
        )
