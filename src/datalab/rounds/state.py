"""The state of a labeling round, and what may follow what.

A round is a folder data/rounds/0001 with `round.json`. Its steps happen in one order; a step is recorded when its files
are complete, so whoever comes next, after a kill too, reads what is due and does that.
"""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from datalab.adapters.files import read_json, write_json
from datalab.errors import InputError, StateError
from datalab.workspace import Workspace

STEPS = ("ingest", "choose", "propose", "push", "label", "pull", "learn", "publish", "report")
"""label: people work, the flow waits. learn: dvc repro. publish: FiftyOne."""
NOT_LEARNED = "not_learned"
"""The fact of a round that ends in the step that finds it, with nothing published or reported; it says why."""
KINDS = {"number": int, "guideline_version": str, "ontology_hash": str, "seconds": dict, "facts": dict}
"""What a person who mends a round.json has to keep."""


@dataclass(frozen=True)
class Round:
    """What is known of one round. `seconds` has one entry per finished step; `facts` what the steps found out."""

    number: int
    guideline_version: str
    ontology_hash: str
    seconds: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def round_id(self) -> str:
        """Four digits, the name of the round's folder."""
        return f"{self.number:04d}"

    @property
    def due(self) -> str | None:
        """The step that comes next; None when the round is over."""
        return next((step for step in STEPS if step not in self.seconds), None)

    def finished(self, step: str, seconds: float, facts: dict[str, Any]) -> "Round":
        """The round after `step`, over where NOT_LEARNED is among `facts`; StateError where another step is due."""
        if step != self.due:
            raise StateError(f"round {self.round_id}: {step!r} cannot follow, {self.due or 'nothing'!r} is due")
        left_out = STEPS[STEPS.index(step) :] if NOT_LEARNED in facts else ()
        return replace(
            self,
            seconds={**self.seconds, **dict.fromkeys(left_out, 0.0), step: round(seconds, 2)},
            facts={**self.facts, **facts},
        )


def taking_in_again(state: Round) -> Round:
    """The round before it took images in, where nothing has come of them yet: there may be more by now."""
    if state.due != "choose":
        return state
    added = state.facts.get("ingest", {}).get("added", 0) + state.facts.get("added_before", 0)
    return replace(state, seconds={}, facts={**state.facts, "added_before": added})


def save_round(workspace: Workspace, state: Round) -> None:
    """Write round.json, whole or not at all."""
    write_json(workspace.round_folder(state.number) / "round.json", asdict(state))


def load_round(workspace: Workspace, number: int) -> Round:
    """Read round.json of a round; InputError where it is missing, or its fields are others or of other types."""
    path = workspace.round_folder(number) / "round.json"
    try:
        state = Round(**read_json(path))
    except TypeError as exc:
        raise InputError(f"{path} is not the state of a round: {exc}") from exc
    for name, kind in KINDS.items():
        if not isinstance(value := getattr(state, name), kind):
            raise InputError(f"{path} is not the state of a round: {name}: expected {kind.__name__}, got {value!r}")
    return state


def round_numbers(workspace: Workspace) -> list[int]:
    """Numbers of the rounds that have been started, ascending."""
    folders = workspace.rounds.glob("[0-9][0-9][0-9][0-9]")
    return sorted(int(folder.name) for folder in folders if _is_started(folder))


def next_number(workspace: Workspace) -> int:
    """Above those of all rounds, and of those that a checkout put aside: Label Studio has their tasks by number."""
    aside = (int(path.stem) for path in workspace.rounds_aside.glob("[0-9][0-9][0-9][0-9].json"))
    return max([0, *round_numbers(workspace), *aside]) + 1


def latest_round(workspace: Workspace) -> Round | None:
    """The newest round; None where no round has been started."""
    numbers = round_numbers(workspace)
    return load_round(workspace, numbers[-1]) if numbers else None


def _is_started(folder: Path) -> bool:
    return (folder / "round.json").is_file()
