"""One whole labeling round on the real servers, started the way a person starts it."""

import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest
import requests
import yaml

from datalab.adapters.dvc import repro
from datalab.adapters.files import LEFTOVER, read_json, read_table
from datalab.adapters.mask_folder import read_classes
from datalab.adapters.workspaces import create_workspace
from datalab.rounds.labeling import open_round, simulate
from datalab.rounds.opening import Source, read_source_truth
from datalab.rounds.state import STEPS, load_round
from datalab.sample.write import write_sample
from datalab.settings import Settings
from datalab.tables import ANNOTATIONS, BATCH, DATASET, METADATA, NEXT_BATCH, SURPRISE
from datalab.workspace import Workspace
from tests.services.conftest import ROOT
from tests.services.killed_flow import Flow, killed_in_every_step
from tests.services.test_deployment import run_deployment

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(900)]
IMAGES = 40
SMALLER = {
    "batch": {"images": 14, "gold": 2, "overlap_share": 1.0},
    "dataset": {"group_column": "table"},
    "gold": {"at_least": 4},
    "select": {"images": 6},
}

OF_ITS_TIME = (
    *("round.json", "tasks.parquet", "000001.parquet", "annotations.parquet", "ratings.parquet", "regions.parquet"),
    *("rounds.dvc", "model_cost.json", "round-0001.json", "round-0001.html"),
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Forty of the sample images with their masks; people say that four each show one table."""
    folder = tmp_path_factory.mktemp("source")
    write_sample(folder / "all", 120, 3)
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for mask in sorted((folder / "all" / "masks").glob("*.png"))[:IMAGES]:
        shutil.copy(mask, folder / "masks")
        for image in (folder / "all" / "images").glob(f"{mask.stem}.*"):
            shutil.copy(image, folder / "images")
    shutil.copy(folder / "all" / "masks" / "classes.yaml", folder / "masks")
    names = sorted(path.name for path in (folder / "images").iterdir())
    lines = ["file,table", *(f"{name},table {place // 4}" for place, name in enumerate(names))]
    (folder / "images" / "metadata.csv").write_text("\n".join(lines))
    return Source(folder / "images", folder / "masks")


def small_workspace(root: Path, source: Source, env: Path) -> Workspace:
    """Everybody labels every image, so that the labels do not hang on who was quicker."""
    assert source.masks is not None
    made = create_workspace(ROOT, root, read_classes(source.masks), env)
    params = yaml.safe_load(made.params.read_text())
    for section, values in SMALLER.items():
        params[section].update(values)
    made.params.write_text(yaml.safe_dump(params))
    return made


@pytest.fixture(scope="module")
def workspace(source: Source, stack_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return small_workspace(tmp_path_factory.mktemp("rounds") / "tested-round", source, stack_folder / ".env")


def run_round(folder: Path, workspace: Workspace, source: Source) -> "subprocess.CompletedProcess[str]":
    paths = {"workspace": workspace.root, "images": source.images, "masks": source.masks}
    arguments = [part for name, path in paths.items() if path is not None for part in ("-p", f"{name}={path}")]
    return run_deployment(folder, "label-round", *arguments, "--watch", "--watch-interval", "1")


def test_a_round_closes(worker: Settings, stack_folder: Path, workspace: Workspace, source: Source) -> None:
    opened = run_round(stack_folder, workspace, source)
    assert opened.returncode == 0, opened.stdout + opened.stderr
    state = load_round(workspace, 1)
    assert state.due == "label"
    assert state.facts["tasks"] == 16

    again = run_round(stack_folder, workspace, source)
    assert again.returncode == 0, again.stdout + again.stderr
    client, target = open_round(workspace, state)
    assert len(client.tasks(target.project_id)) == 16
    assert load_round(workspace, 1) == state

    done = simulate(workspace, state, read_source_truth(workspace, source))
    batch = read_table(workspace.round_folder(1) / "batch.parquet", BATCH)
    assert sum(done.values()) == batch["overlap"].sum()

    closed = run_round(stack_folder, workspace, source)
    assert closed.returncode == 0, closed.stdout + closed.stderr
    assert load_round(workspace, 1).due is None


def test_its_annotations_and_report_are_whole(workspace: Workspace) -> None:
    annotations = read_table(workspace.round_folder(1) / "annotations.parquet", ANNOTATIONS)
    assert annotations["annotator"].nunique() == 3
    assert (annotations["lead_time_s"] > 0).all()
    assert annotations["guideline_version"].nunique() == 1
    report = read_json(workspace.reports / "round-0001.json")
    assert set(report["seconds"]) == set(STEPS) - {"report"}
    assert report["annotations"] == len(annotations)
    assert report["agreement"]["objects (matched IoU)"]["value"] > 0.3
    assert report["gold"]["careful@datalab.local"]["f1"]["value"] > 0.8
    assert 0 < report["evaluation"]["miou"]["value"] <= 1
    assert report["next_batch"] == len(read_table(workspace.next_batch, NEXT_BATCH)) == 6


def test_what_people_say_belongs_together_is_in_one_split(workspace: Workspace) -> None:
    metadata = read_table(workspace.metadata, METADATA, others=True)
    assert metadata["table"].value_counts().tolist() == [4] * (IMAGES // 4)
    index = read_table(workspace.dataset / "index.parquet", DATASET).merge(metadata, on="image_id")
    assert index["table"].nunique() < len(index) == 14
    assert index.groupby("table")["split"].nunique().max() == 1


def test_one_killed_in_every_step_ends_with_the_same_files(
    settings: Settings, stack_folder: Path, workspace: Workspace, source: Source, tmp_path: Path
) -> None:
    """Now the flow dies alone, and what it started goes on, now all of it dies."""
    killed = small_workspace(tmp_path / "killed-round", source, stack_folder / ".env")
    deaths = killed_in_every_step(
        killed,
        lambda: Flow(killed, source, settings.prefect_api_url, tmp_path / "flow.log"),
        lambda: simulate(killed, load_round(killed, 1), read_source_truth(killed, source)),
        load_round(workspace, 1).seconds,
    )
    assert len(deaths) >= 7, deaths
    assert ("learn", True) in deaths and ("learn", False) in deaths
    client, target = open_round(killed, load_round(killed, 1))
    assert len(client.tasks(target.project_id)) == 16
    assert what_the_labels_made(killed) == what_the_labels_made(workspace)
    assert repro(killed) == []


def what_the_labels_made(workspace: Workspace) -> dict[str, str]:
    """Digest of every file in data/ and reports/ but of those with times, ids and addresses in them."""
    files = [path for folder in (workspace.data, workspace.reports) for path in folder.rglob("*") if path.is_file()]
    inside = {
        path.relative_to(workspace.root): path for path in files if not path.name.endswith((".lock", *OF_ITS_TIME))
    }
    return {
        str(place): sha256(path.read_bytes()).hexdigest()
        for place, path in inside.items()
        if not any(part.endswith(LEFTOVER) for part in place.parts)
    }


def test_dvc_has_nothing_left_to_do_and_one_number_reruns_what_depends_on_it(workspace: Workspace) -> None:
    assert repro(workspace) == []
    params = yaml.safe_load(workspace.params.read_text())
    params["select"]["images"] = 5
    workspace.params.write_text(yaml.safe_dump(params))
    assert repro(workspace) == ["select"]
    assert len(read_table(workspace.next_batch, NEXT_BATCH)) == 5


def test_prefect_shows_the_run_its_progress_and_its_table(settings: Settings) -> None:
    api = settings.prefect_api_url
    answer = requests.post(f"{api}/artifacts/filter", json={"sort": "CREATED_DESC"}, timeout=30).json()
    kinds = {artifact["key"]: artifact["type"] for artifact in answer}
    assert kinds["label-round-progress"] == "progress"
    assert kinds["label-round-summary"] == "table"


def test_the_next_round_starts_from_the_models_choice(
    worker: Settings, stack_folder: Path, workspace: Workspace
) -> None:
    chosen = set(read_table(workspace.next_batch, NEXT_BATCH)["image_id"])
    opened = run_round(stack_folder, workspace, Source())
    assert opened.returncode == 0, opened.stdout + opened.stderr
    state = load_round(workspace, 2)
    assert state.due == "label"
    batch = read_table(workspace.round_folder(2) / "batch.parquet", BATCH)
    assert set(batch[batch["role"] == "batch"]["image_id"]) == chosen


def test_the_second_round_is_judged_by_the_model_that_chose_it(
    worker: Settings, stack_folder: Path, workspace: Workspace, source: Source
) -> None:
    """The next model has learned from its images: what the first one made of them has to stay."""
    batch = read_table(workspace.round_folder(2) / "batch.parquet", BATCH)
    chosen = set(batch[batch["role"] == "batch"]["image_id"])
    seen = {image_id: (workspace.predictions / f"{image_id}.png").read_bytes() for image_id in chosen}
    simulate(workspace, load_round(workspace, 2), read_source_truth(workspace, source))
    closed = run_round(stack_folder, workspace, Source())
    assert closed.returncode == 0, closed.stdout + closed.stderr
    assert load_round(workspace, 2).due is None
    kept = workspace.round_folder(2) / "predicted"
    assert {path.stem: path.read_bytes() for path in kept.glob("*.png")} == seen
    surprise = read_table(workspace.surprise, SURPRISE)
    assert set(surprise["round_id"]) == {"0002"}
    assert set(surprise["image_id"]) == chosen
    assert 0 < surprise["surprise"].mean() < 1
    control = read_json(workspace.reports / "round-0002.json")["proof"]["control"]["all"]
    assert sum(control["images"].values()) == len(chosen)
    assert repro(workspace) == []
