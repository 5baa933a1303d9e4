"""The steps in which people take part: push the tasks, wait, pull the annotations."""

import time
from shlex import quote
from typing import Any

import pandas as pd
from tqdm import tqdm

from datalab.adapters.files import has_columns, read_table, write_table
from datalab.adapters.label_studio.client import Client, connect
from datalab.adapters.label_studio.media import (
    ensure_served,
    image_url,
    picture_urls,
    publish_images,
    publish_pictures,
)
from datalab.adapters.label_studio.ml_backend import attach_click_to_mask
from datalab.adapters.label_studio.people import ensure_annotator
from datalab.adapters.label_studio.project import (
    ensure_project,
    find_project,
    labeling_url,
    project_title,
    valid_title,
)
from datalab.adapters.label_studio.pull import round_progress
from datalab.adapters.label_studio.push import PushedRound, close_round, existing_tasks, push_batch, set_overlap
from datalab.adapters.label_studio.reconcile import PullParams, reconcile, unknown_classes
from datalab.adapters.label_studio.webhook import ensure_webhook
from datalab.config import load_guidelines, load_params
from datalab.errors import InputError, StateError
from datalab.quality.reviews import note
from datalab.rounds.batch import BatchParams
from datalab.rounds.corrections import ANSWERS, CORRECTIONS, pull_corrections
from datalab.rounds.history import confirmed_empty, keep_changes, newest_versions, read_versions
from datalab.rounds.progress import Progress
from datalab.rounds.reviewing import round_requests
from datalab.rounds.state import Round
from datalab.settings import Settings
from datalab.simulate.annotator import Assignment, Person, label_tasks, truth_by_image
from datalab.simulate.profile import SimulateParams, profiles_of
from datalab.tables import BATCH, CATALOG, GATED_PROPOSALS, PROPOSALS
from datalab.workspace import Workspace


def push(workspace: Workspace, state: Round, progress: Progress) -> dict[str, Any]:
    """Make the round's tasks in Label Studio and write tasks.parquet."""
    settings = Settings.load(workspace.env)
    client = connect(settings.label_studio_url, settings.label_studio_token)
    guidelines = load_guidelines(workspace.guidelines)
    overlap = load_params(workspace.params, "batch", BatchParams).overlap
    publish_pictures(workspace, settings.datalab_media, guidelines)
    pictures = picture_urls(workspace, guidelines)
    project_id = ensure_project(client, workspace.name, guidelines, overlap, pictures=pictures)
    target = PushedRound(project_id, state.round_id, guidelines)
    attach_click_to_mask(client, target.project_id, settings.click_url, settings.click_password)
    ensure_webhook(client, target.project_id, settings.receiver_url, settings.receiver_secret)
    folder = workspace.round_folder(state.number)
    batch = read_table(folder / "batch.parquet", BATCH)
    catalog = read_table(workspace.catalog, CATALOG)
    files = dict(zip(catalog["image_id"], catalog["file"], strict=True))
    progress(0.0, "publishing images")
    publish_images(
        client, target.project_id, workspace, settings.datalab_media, [files[one] for one in batch["image_id"]]
    )
    urls = {image_id: image_url(workspace, files[image_id]) for image_id in batch["image_id"]}
    proposed = folder / "proposals.parquet"
    proposals = read_table(proposed, GATED_PROPOSALS if has_columns(proposed, GATED_PROPOSALS) else PROPOSALS)
    notes = {str(image_id): note(rows) for image_id, rows in round_requests(folder).groupby("image_id")}
    tasks = push_batch(client, target, batch, proposals, urls, progress, notes)
    write_table(folder / "tasks.parquet", tasks)
    shown = {"guideline_version": guidelines.version, "ontology_hash": guidelines.ontology_hash}
    return {"project_id": target.project_id, "tasks": len(tasks), "pushed_at": time.time(), **shown}


def label(workspace: Workspace, state: Round, progress: Progress) -> dict[str, Any] | None:
    """None while people still have to work, else the seconds since the push. What they did is kept either way.

    A `batch.overlap` that was lowered meanwhile holds for this round: with fewer people it would wait for ever.
    """
    client, target = open_round(workspace, state)
    lower_overlap(workspace, state, client, target, progress)
    keep_changes(workspace.round_folder(state.number), client, target, read_table(workspace.catalog, CATALOG))
    done = round_progress(client, target)
    progress(done.annotations_done / max(1, done.annotations_wanted), f"people: {done.tasks_done}/{done.tasks_total}")
    return {"seconds": time.time() - state.facts["pushed_at"]} if done.complete else None


def lower_overlap(workspace: Workspace, state: Round, client: Client, target: PushedRound, progress: Progress) -> None:
    """Have no task wait for more people than `batch.overlap` of params.yaml."""
    path = workspace.round_folder(state.number) / "batch.parquet"
    batch = read_table(path, BATCH, others=True)
    overlap = load_params(workspace.params, "batch", BatchParams).overlap
    if batch["overlap"].max() <= overlap:
        return
    batch = batch.assign(overlap=batch["overlap"].clip(upper=overlap))
    set_overlap(client, batch, existing_tasks(client, target), progress)
    # the table last: by it the next run knows whether this one was killed
    write_table(path, batch)


def pull(workspace: Workspace, state: Round, progress: Progress) -> dict[str, Any]:
    """Write annotations.parquet, every annotation of the round, and quarantine.parquet, what of it cannot be right.

    Only what has changed since the last look is fetched; every version of it stays in versions/. What people changed in
    earlier rounds since those were read goes to corrections.parquet.
    """
    client, target = open_round(workspace, state)
    # skipped tasks would be offered to others for days, whose answers nobody would read
    close_round(client, target)
    folder = workspace.round_folder(state.number)
    params = load_params(workspace.params, "pull", PullParams)
    keep_changes(folder, client, target, read_table(workspace.catalog, CATALOG))
    versions = read_versions(folder)
    table, deleted = newest_versions(versions)
    aside = reconcile(table, target.guidelines.names, deleted, confirmed_empty(versions), params)
    has_changed = target.guidelines.ontology_hash != state.facts.get("ontology_hash", state.ontology_hash)
    if has_changed and (lost := unknown_classes(table, aside)):
        named = ", ".join(f"{name!r} ({count})" for name, count in sorted(lost.items()))
        raise InputError(
            f"classes.yaml has changed while round {state.round_id} was labelled and does not name the class of "
            f"{lost.total()} regions: {named}; put these classes back until the round is over"
        )
    corrections = pull_corrections(workspace, client, target)
    again = reconcile(corrections.rows, target.guidelines.names, (), corrections.confirmed, params)
    aside = pd.concat([aside, again], ignore_index=True) if len(again) else aside
    write_table(folder / ANSWERS, table)
    write_table(folder / CORRECTIONS, corrections.rows)
    write_table(folder / "quarantine.parquet", aside)
    return {
        "annotations": len(table),
        "skipped": int(table["was_cancelled"].astype(bool).sum()),
        "annotators": sorted(table["annotator"].unique()),
        "versions": len(versions),
        "drafts": int(versions.loc[versions["kind"] == "draft", "annotation_id"].nunique()),
        "quarantined": {str(reason): int(count) for reason, count in aside["reason"].value_counts().items()},
        "corrected": corrections.counts,
    }


def simulate(workspace: Workspace, state: Round, truth: pd.DataFrame) -> dict[str, int]:
    """Let the simulated annotators of params.yaml label the round; name to number of their annotations."""
    params = load_params(workspace.params, "simulate", SimulateParams)
    settings = Settings.load(workspace.env)
    profiles = profiles_of(params)
    most = int(read_table(workspace.round_folder(state.number) / "batch.parquet", BATCH)["overlap"].max())
    if most > len(profiles):
        raise InputError(
            f"a task of round {state.round_id} waits for {most} people, and simulate.annotators has {len(profiles)}; "
            "add some, or lower batch.overlap and begin another workspace"
        )
    client, target = open_round(workspace, state)
    classes = tuple(target.guidelines.names)
    work = Assignment(target.project_id, truth_by_image(truth, classes), classes, params.seed)
    people = [
        Person(profile, ensure_annotator(client, f"{profile.name}@datalab.local", settings.annotator_password))
        for profile in profiles
    ]
    progress = round_progress(client, target)
    wanted = progress.annotations_wanted - progress.annotations_done
    with tqdm(total=wanted, desc="label", unit="annotation", disable=None) as bar:

        def on_done() -> None:
            bar.update()

        return label_tasks(client.url, people, work, on_done)


def open_round(workspace: Workspace, state: Round) -> tuple[Client, PushedRound]:
    """The server and the project of a round that was pushed, its images served from where they are now.

    StateError where the project is gone, as with a database that was made anew, or has another name than the workspace.
    """
    settings = Settings.load(workspace.env)
    client = connect(settings.label_studio_url, settings.label_studio_token)
    project = find_project(client, workspace.name)
    if project is None:
        raise StateError(_renamed(client, workspace, state) or _gone(workspace, state))
    ensure_served(client, int(project.id), workspace, settings.datalab_media)
    return client, PushedRound(int(project.id), state.round_id, load_guidelines(workspace.guidelines))


def _renamed(client: Client, workspace: Workspace, state: Round) -> str:
    """What to do where the project has another name by now, else "": pushed anew, answers in it would never be read."""
    project_id = int(state.facts.get("project_id", 0))
    title = project_title(client, project_id)
    if title is None:
        return ""
    tasks = existing_tasks(client, PushedRound(project_id, state.round_id, load_guidelines(workspace.guidelines)))
    batch = read_table(workspace.round_folder(state.number) / "batch.parquet", BATCH)
    # a database that was made anew gives the ids again
    if tasks.keys().isdisjoint(batch["image_id"]):
        return ""
    name = valid_title(workspace.name)
    return (
        f"Label Studio has no project {name!r}: project {project_id}, with the tasks of round {state.round_id}, is "
        f"called {title!r} now; name it {name!r} at {client.url}/projects/{project_id}/settings and run again"
    )


def _gone(workspace: Workspace, state: Round) -> str:
    steps = " and ".join(repr(step) for step in ("push", "label") if step in state.seconds) or "'push'"
    return (
        f"Label Studio has no project {workspace.name!r}; to push round {state.round_id} anew, remove {steps} from "
        f"`seconds` in {workspace.round_folder(state.number) / 'round.json'} and run again"
    )


def where_to_label(workspace: Workspace, state: Round) -> str:
    """What a person needs to start labeling. The passwords stay in .env."""
    settings = Settings.load(workspace.env)
    client, target = open_round(workspace, state)
    batch = read_table(workspace.round_folder(state.number) / "batch.parquet", BATCH)
    shared, most = int((batch["overlap"] > 1).sum()), int(batch["overlap"].max())
    people = (
        f"; {shared} of {len(batch)} tasks wait for answers of {most} people each (you are fewer? lower batch.overlap "
        f"in {workspace.params} and run this again)"
        if shared
        else ""
    )
    elsewhere = "" if (workspace.root / "prefect.yaml").exists() else f" -p workspace={quote(str(workspace.root))}"
    return (
        f"Label at {labeling_url(client, target.project_id)}\n"
        f"log in as {settings.label_studio_username}, password: LABEL_STUDIO_PASSWORD in {workspace.env}; "
        "one account per annotator: datalab annotators people.txt, one e-mail address per line"
        f"{people}\n"
        f"When all tasks are done, run the same command again (or: prefect deployment run label-round{elsewhere})."
    )
