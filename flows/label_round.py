"""The labeling round as a Prefect flow: do what is due, record it, go on until people have to work.

Killed anywhere, the next run continues; run twice, nothing happens twice.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from datalab.adapters.files import locked, read_json
from datalab.adapters.workspaces import clear_leftovers, follow_code
from datalab.config import load_guidelines
from datalab.errors import ServiceError
from datalab.rounds.closing import learn, publish
from datalab.rounds.labeling import label, pull, push
from datalab.rounds.opening import Source, choose, take_in
from datalab.rounds.progress import Progress, terminal_bar
from datalab.rounds.proposing import propose
from datalab.rounds.report import write_report
from datalab.rounds.restoring import is_of_another_commit, restore_rounds
from datalab.rounds.state import (
    NOT_LEARNED,
    STEPS,
    Round,
    latest_round,
    load_round,
    next_number,
    round_numbers,
    save_round,
    taking_in_again,
)
from datalab.rounds.summary import summary_rows
from datalab.workspace import Workspace

# not one of Prefect's loggers: `make demo` keeps those from the terminal
LOG = logging.getLogger("datalab.label_round")
Step = Callable[[Workspace, Round, Progress], dict[str, Any] | None]

SECONDS_BETWEEN_TRIES: list[float] = [2, 10, 30]
LOCAL: dict[str, Step] = {"choose": choose, "propose": propose, "learn": learn, "report": write_report}
NETWORK: dict[str, Step] = {"push": push, "pull": pull, "publish": publish, "label": label}


async def is_service_error(task: Any, task_run: TaskRun, state: State) -> bool:
    """Only a server that did not answer is worth another try."""
    return isinstance(await state.aresult(raise_on_failure=False), ServiceError)


@flow(name="label-round", log_prints=False)
def label_round(
    workspace: str = ".", images: str = "", masks: str = "", classes: str = "", wait: bool = False, only_round: int = 0
) -> int:
    """Bring the current round as far as it goes and return its number.

    Args:
        workspace: folder with params.yaml, dvc.yaml and guidelines/.
        images: folder of images to take in when a round opens; empty: work with those that are there.
        masks: exact masks of those images; the first round sets some aside as gold.
        classes: the classes.yaml of the masks, where it does not lie beside them.
        wait: poll until people have finished; otherwise the run ends there and the next one goes on.
        only_round: go on with the round of this number where it waits for people, and do nothing else; 0: any round.
    """
    place = Workspace.at(Path(workspace))
    before = latest_round(place)
    with alone(place, patient=not only_round) as is_alone:
        if only_round and not (is_alone and waits(place, only_round)):
            get_run_logger().info("round %04d does not wait for people, or a run is at it", only_round)
            return only_round
        if before is not None and before.due is not None and _is_finished(place, before.number):
            get_run_logger().info("another run has finished round %s", before.round_id)
            if images:
                LOG.warning("%s was not looked at: another run has finished the round; run this again", images)
            return before.number
        return advance(place, Source(*(Path(path) if path else None for path in (images, masks, classes))), wait)


def advance(place: Workspace, source: Source, wait: bool) -> int:
    """Do what is due until people have to work or the round is over; returns its number."""
    follow_code(place.root)
    clear_leftovers(place)
    restore_rounds(place)
    state = current_round(place)
    if source.images is not None:
        state = taking_in_again(state)
    artifact = create_progress_artifact(progress=0.0, key="label-round-progress", description=f"round {state.round_id}")
    assert isinstance(artifact, UUID)
    while state.due is not None:
        step = state.due
        started = time.monotonic()
        get_run_logger().info("round %s: %s", state.round_id, step)
        with terminal_bar(step) as bar:
            facts = run_step(step, place, state, both(bar, progress_artifact(artifact, step)), source, wait)
        if facts is None:
            get_run_logger().info("round %s waits for people; run again when they are done", state.round_id)
            return state.number
        state = state.finished(step, facts.pop("seconds", time.monotonic() - started), facts)
        save_round(place, state)
    update_progress_artifact(artifact, progress=100.0)
    if NOT_LEARNED in state.facts:
        get_run_logger().warning(state.facts[NOT_LEARNED])
        return state.number
    report = read_json(place.reports / f"round-{state.round_id}.json")
    create_table_artifact(summary_rows(report), key="label-round-summary", description=f"round {state.round_id}")
    return state.number


def _is_finished(workspace: Workspace, number: int) -> bool:
    """Whether the round is over; one that another run has put aside meanwhile is none."""
    return number in round_numbers(workspace) and load_round(workspace, number).due is None


def waits(workspace: Workspace, number: int) -> bool:
    """Whether the newest round has this number and waits for people."""
    latest = latest_round(workspace)
    if latest is None or latest.number != number or is_of_another_commit(workspace, latest):
        return False
    return latest.due == "label"


@contextmanager
def alone(workspace: Workspace, patient: bool) -> Iterator[bool]:
    """One run at a time in a workspace, in whichever process: waits for the other one, or says False if not `patient`.

    A limit of the deployment would hold up the runs of other workspaces, and not know of `make demo`.
    """

    def say() -> None:
        LOG.warning("another run is at work in %s; this one waits until it is over", workspace.root)

    with locked(workspace.data / "label-round", say, patient) as mine:
        yield mine is not None


def current_round(workspace: Workspace) -> Round:
    """The round that is under way, or a new one."""
    latest = latest_round(workspace)
    if latest is not None and latest.due is not None:
        return latest
    guidelines = load_guidelines(workspace.guidelines)
    return Round(next_number(workspace), guidelines.version, guidelines.ontology_hash)


def run_step(
    step: str, workspace: Workspace, state: Round, progress: Progress, source: Source, wait: bool
) -> dict[str, Any] | None:
    """Run one step as a Prefect task; None where the round has to wait for people."""
    if step == "ingest":
        return task(name="ingest", cache_policy=NO_CACHE)(take_in)(workspace, source)
    if step in LOCAL:
        return task(name=step, cache_policy=NO_CACHE)(LOCAL[step])(workspace, state, progress)
    attempt = task(
        name=step,
        retries=3,
        retry_delay_seconds=SECONDS_BETWEEN_TRIES,
        retry_condition_fn=is_service_error,
        cache_policy=NO_CACHE,
    )(NETWORK[step])
    while (facts := attempt(workspace, state, progress)) is None and wait:
        time.sleep(5)
    return facts


def both(bar: Progress, artifact: Progress) -> Progress:
    """Tell the terminal and the Prefect UI."""

    def show(share: float, doing: str) -> None:
        bar(share, doing)
        artifact(share, doing)

    return show


def progress_artifact(artifact: UUID, step: str) -> Progress:
    """Shows a step's progress as a share of the whole round in the Prefect UI, at most once a second."""
    last = 0.0
    place = STEPS.index(step)

    def show(share: float, doing: str) -> None:
        nonlocal last
        if time.monotonic() - last < 1.0:
            return
        last = time.monotonic()
        update_progress_artifact(artifact, progress=100 * (place + share) / len(STEPS), description=f"{step}: {doing}")

    return show


if __name__ == "__main__":
    label_round()
