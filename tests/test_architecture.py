"""Imports point one way, and dvc.yaml names what the stages really import."""

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from datalab.workspace import Workspace

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
GROUND = {"config", "errors", "figure", "masks", "progress", "ranges", "resampling", "settings", "tables", "workspace"}

ALLOWED: dict[str, set[str]] = {
    **dict.fromkeys(GROUND, GROUND),
    "quality": {"masks", "progress", "ranges", "resampling", "tables", "errors", "figure"},
    "learning": {"masks", "ranges", "resampling", "tables", "errors", "figure"},
    "adapters": {*GROUND, "learning"},
    "sample": {*GROUND, "adapters"},
    "stages": {*GROUND, "adapters", "quality", "learning"},
    "simulate": {*GROUND, "adapters"},
    "services": {*GROUND, "adapters"},
    "rounds": {*GROUND, "adapters", "quality", "learning", "simulate"},
    "cli_options": GROUND,
    "cli_gold": {*GROUND, "cli_options", "rounds"},
    "cli": {*GROUND, "cli_options", "cli_gold", "adapters", "sample", "stages", "services", "rounds", "simulate"},
    "prefect_plugin": set(),
    "flows": {*GROUND, "cli_options", "adapters", "rounds", "sample", "services", "simulate"},
}
"""room -> rooms it may import, beside itself. The adapters may use learning's pure functions."""

FRAMEWORKS = {"prefect", "dvc"}
OUTSIDE_PURE = {"pathlib", "os", "requests", "torch", "fiftyone", "label_studio_sdk", "time", "random", "subprocess"}


def python_files() -> list[Path]:
    return sorted([*SOURCE.rglob("*.py"), *(ROOT / "flows").glob("*.py")])


def room_of(path: Path) -> str:
    if path.is_relative_to(SOURCE):
        parts = path.relative_to(SOURCE / "datalab").with_suffix("").parts
        return parts[0]
    return "flows"


def imported_modules(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.slow
@pytest.mark.parametrize("path", python_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        return
    rooms = {name.split(".")[1] for name in imported_modules(path) if name.startswith("datalab.")}
    assert rooms <= ALLOWED[room] | {room}


@pytest.mark.parametrize("path", python_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_frameworks_stay_in_flows(path: Path) -> None:
    packages = {name.split(".")[0] for name in imported_modules(path)}
    allowed = {"prefect"} if room_of(path) in ("flows", "prefect_plugin") else set()
    assert packages & FRAMEWORKS <= allowed
    if path.is_relative_to(SOURCE):
        assert "flows" not in packages


@pytest.mark.parametrize("room", ["quality", "learning"])
def test_pure_rooms_do_not_touch_the_world(room: str) -> None:
    for path in (SOURCE / "datalab" / room).glob("*.py"):
        packages = {name.split(".")[0] for name in imported_modules(path)}
        assert not packages & OUTSIDE_PURE, path
        assert "np.random.seed" not in path.read_text(encoding="utf-8")


def module_file(name: str) -> Path | None:
    base = SOURCE / Path(*name.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def code_behind(path: Path) -> set[Path]:
    """Every file of the package that `path` imports, directly or through others; package __init__ files are empty."""
    seen: set[Path] = set()
    waiting = [path]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        found = (module_file(name) for name in imported_modules(current) if name.startswith("datalab"))
        waiting += [file for file in found if file is not None and file.name != "__init__.py"]
    return seen


def stages() -> dict[str, Any]:
    content = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    return dict(content["stages"])


@pytest.mark.parametrize("name", sorted(stages()))
def test_a_stage_depends_on_the_code_it_runs(name: str) -> None:
    stage_file = SOURCE / "datalab" / "stages" / f"{name}.py"
    needed = {file.relative_to(ROOT).as_posix() for file in code_behind(stage_file)}
    listed = {dep for dep in stages()[name]["deps"] if dep.endswith(".py")}
    assert needed == listed


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(stages()))
def test_a_stage_that_may_load_sam_depends_on_its_weights(name: str) -> None:
    code = code_behind(SOURCE / "datalab" / "stages" / f"{name}.py")
    may_load = SOURCE / "datalab" / "adapters" / "sam.py" in code
    assert ("src/datalab/weights" in stages()[name]["deps"]) == may_load


def numbers_read(path: Path) -> set[str]:
    """What a file asks params.yaml for: "section", or "section.name" of a single number."""
    calls = (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))
    found = [
        (call.func.id, [one.value for one in call.args if isinstance(one, ast.Constant) and isinstance(one.value, str)])
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id in ("load_params", "load_named", "load_number")
    ]
    return {".".join(words[: 2 if name == "load_number" else 1]) for name, words in found}


@pytest.mark.parametrize("name", sorted(stages()))
def test_a_stage_depends_on_the_numbers_it_reads(name: str) -> None:
    assert numbers_read(SOURCE / "datalab" / "stages" / f"{name}.py") <= set(stages()[name].get("params", []))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(stages()))
def test_a_stage_that_asks_which_images_hang_together_depends_on_what_says_so(name: str) -> None:
    if SOURCE / "datalab" / "adapters" / "image_groups.py" in code_behind(SOURCE / "datalab" / "stages" / f"{name}.py"):
        rules = {"dataset.group_by", "dataset.group_column", "ingest.near_duplicate_distance"}
        assert rules <= set(stages()[name]["params"])
        assert {"data/catalog.parquet", "data/metadata.parquet"} <= set(stages()[name]["deps"])


def output_path(entry: Any) -> str:
    return next(iter(entry)) if isinstance(entry, dict) else str(entry)


def test_the_workspace_names_the_same_paths_as_dvc_yaml() -> None:
    workspace = Workspace(ROOT)
    made = {
        output_path(entry)
        for stage in stages().values()
        for kind in ("outs", "metrics", "plots")
        for entry in stage.get(kind, [])
    }
    derived = (
        "embeddings",
        "regions",
        "ratings",
        "consensus",
        "adjudication",
        "disagreement",
        "label_errors",
        "queue",
        "dataset",
        "predictions",
        "scores",
        "next_batch",
        "confusions",
        "model",
    )
    for name in derived:
        assert getattr(workspace, name).relative_to(ROOT).as_posix() in made
    assert f"--embeddings {workspace.embedding_cache.relative_to(ROOT)} " in stages()["embed"]["cmd"]
    assert f"--states {workspace.training_states.relative_to(ROOT)} " in stages()["train"]["cmd"]


def test_every_stage_has_its_section_and_every_section_a_reader() -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")) or {}
    wanted = {section.split(".")[0] for stage in stages().values() for section in stage.get("params", [])}
    assert wanted <= set(params)


def test_no_stage_has_a_number_that_dvc_does_not_see() -> None:
    """DVC leaves keys of these names out of its run cache's hash, so another value would bring back the old output."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    assert not [(section, key) for section, values in params.items() for key in ("size", "nfiles") if key in values]
