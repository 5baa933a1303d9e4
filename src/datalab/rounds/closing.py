"""The last steps of a round: learn from the labels, show what came of it."""

from typing import Any

from datalab.adapters.dvc import add, repro
from datalab.rounds.progress import Progress
from datalab.rounds.state import Round
from datalab.workspace import Workspace

STAGES = 10
"""How many stages dvc.yaml has: only for the progress bar."""


def learn(workspace: Workspace, state: Round, progress: Progress) -> dict[str, Any]:
    """Version the round's raw data and run the DVC graph: consensus, dataset, model, evaluation, next batch."""
    progress(0.0, "versioning the raw data")
    add(workspace, [workspace.catalog, workspace.gold, workspace.images, workspace.rounds])
    ran: list[str] = []

    def on_stage(stage: str) -> None:
        ran.append(stage)
        progress(min(1.0, len(ran) / STAGES), f"dvc stage {stage}")

    return {"stages": repro(workspace, on_stage=on_stage)}
