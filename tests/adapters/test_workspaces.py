import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from datalab.adapters import files, workspaces
from datalab.adapters.dvc import add, repro
from datalab.adapters.workspaces import claim_folder, clear_leftovers, create_workspace, follow_code, workspace_name
from datalab.config import LabelClass, load_guidelines
from datalab.errors import InputError, StateError
from datalab.workspace import Workspace

ROOT = Path(__file__).parents[2]
LINKS = ("src", ".env", ".datalab")
CLASSES = (LabelClass(1, "crack", "#ff0000", "A dark line."), LabelClass(2, "hole", "#00ff00"))


@pytest.mark.slow
def test_a_workspace_has_its_own_classes_and_the_code(tmp_path: Path) -> None:
    env = tmp_path / "env"
    made = create_workspace(ROOT, tmp_path / "tiles", CLASSES, env)
    assert load_guidelines(made.guidelines).names == ["crack", "hole"]
    assert "A dark line." in (made.guidelines / "README.md").read_text()
    assert (made.root / "src" / "datalab" / "masks.py").is_file()
    assert made.env.is_symlink()
    assert made.name == "tiles"
    # all workspaces keep their embeddings in one place
    assert (made.root / ".datalab").resolve() == tmp_path / ".datalab"
    assert (tmp_path / ".datalab").stat().st_mode & 0o777 == 0o700
    ignored = (made.root / ".gitignore").read_text()
    assert "/.env.annotators\n" in ignored
    (made.root / ".gitignore").write_text("/mine\n/data/*")
    create_workspace(ROOT, tmp_path / "tiles", CLASSES, env)
    assert (made.root / ".gitignore").read_text().startswith("/mine\n/data/?*\n/src\n")


@pytest.mark.parametrize("own", [True, False])
def test_git_takes_in_no_secret_not_even_one_of_a_killed_writer(tmp_path: Path, own: bool) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    if own:
        (tmp_path / "src").symlink_to(ROOT / "src")
        (tmp_path / ".gitignore").write_text("/mine\n/.env\n")  # of an older workspace
        follow_code(tmp_path)
    else:
        shutil.copyfile(ROOT / ".gitignore", tmp_path / ".gitignore")
    for name in (".env", ".env.annotators", "..env.x1.tmp", "..env.annotators.x1.tmp"):
        (tmp_path / name).write_text("secret")
    seen = ["git", "ls-files", "--others", "--exclude-standard", ".env*", "..env*"]
    assert subprocess.run(seen, cwd=tmp_path, capture_output=True, text=True, check=True).stdout == ""


@pytest.mark.parametrize("own", [True, False])
def test_git_takes_in_nothing_that_dvc_keeps(tmp_path: Path, own: bool) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    if own:
        (tmp_path / "src").symlink_to(ROOT / "src")
        follow_code(tmp_path)
    else:
        shutil.copyfile(ROOT / ".gitignore", tmp_path / ".gitignore")
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values()
    outs = [out for stage in stages for kind in ("outs", "metrics", "plots") for out in stage.get(kind, [])]
    kept = {name: how for out in outs for name, how in (out.items() if isinstance(out, dict) else [(out, {})])}
    cached = [name for name, how in kept.items() if how.get("cache", True)]
    ours = [name for name, how in kept.items() if name.startswith("reports/") and not how.get("cache", True)]
    assert "models/segmenter.safetensors" in cached and "reports/metrics.json" in ours
    seen = ["git", "check-ignore", "--no-index", *cached, *ours, "data/rounds.dvc", "models/other.dvc"]
    assert subprocess.run(seen, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.split() == cached


@pytest.mark.slow
def test_a_stage_that_fails_leaves_the_model_of_the_one_before_to_dvc(tmp_path: Path) -> None:
    made = create_workspace(ROOT, tmp_path / "tiles", CLASSES, tmp_path / "env")
    model = "models/segmenter.safetensors"
    train = {"cmd": f"mkdir -p models && touch {model}", "outs": [model]}
    stages = {"train": train, "evaluate": {"cmd": "false", "deps": [model], "outs": ["reports/plots/iou.png"]}}
    (made.root / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    with pytest.raises(StateError, match="evaluate"):
        repro(made)
    assert (made.root / model).is_file()
    subprocess.run(["git", "add", "-A"], cwd=made.root, check=True)
    held = subprocess.run(["git", "ls-files"], cwd=made.root, capture_output=True, text=True, check=True).stdout
    assert "dvc.lock" in held and model not in held


@pytest.mark.slow
def test_dvc_finds_what_is_versioned_and_a_checkout_keeps_it(tmp_path: Path) -> None:
    made = create_workspace(ROOT, tmp_path / "tiles", CLASSES, tmp_path / "env")
    labels = made.round_folder(1) / "annotations.parquet"
    labels.parent.mkdir(parents=True)
    labels.write_text("what people drew")
    add(made, [made.rounds])
    add(made, [made.rounds])  # as in every round: what has not changed since
    kept = subprocess.run(
        ["git", "status", "--porcelain", "-uall"], cwd=made.root, capture_output=True, text=True, check=True
    )
    assert "data/rounds.dvc" in kept.stdout
    assert "annotations.parquet" not in kept.stdout
    dvc = Path(sys.executable).parent / "dvc"
    for lost in (False, True):
        if lost:
            shutil.rmtree(made.rounds)
        # it also says that no stage has run
        subprocess.run([dvc, "checkout"], cwd=made.root, capture_output=True, check=False)
        assert labels.read_text() == "what people drew"


@pytest.mark.slow
def test_its_numbers_and_classes_are_kept_and_its_graph_follows_the_code(tmp_path: Path) -> None:
    made = create_workspace(ROOT, tmp_path / "tiles", CLASSES, tmp_path / "env")
    made.params.write_text("mine: {}")
    (made.root / "dvc.yaml").write_text("stages: {}")
    create_workspace(ROOT, tmp_path / "tiles", CLASSES[:1], tmp_path / "env")
    assert made.params.read_text() == "mine: {}"
    assert (made.root / "dvc.yaml").read_text() == (ROOT / "dvc.yaml").read_text()
    assert len(load_guidelines(made.guidelines).classes) == 2


def test_the_graph_follows_the_code_that_the_workspace_is_linked_to(tmp_path: Path) -> None:
    repository, root = tmp_path / "repository", tmp_path / "tiles"
    (repository / "src").mkdir(parents=True)
    (repository / "dvc.yaml").write_text("stages: {new: {cmd: x}}")
    root.mkdir()
    (root / "dvc.yaml").write_text("stages: {old: {cmd: x}}")
    follow_code(root)
    assert "old" in (root / "dvc.yaml").read_text()
    (root / "src").symlink_to(repository / "src")
    follow_code(root)
    assert (root / "dvc.yaml").read_text() == "stages: {new: {cmd: x}}"


def repository_at(folder: Path) -> Path:
    """What of a repository the links lead to, with an older workspace whose links have the whole path."""
    root = folder / "workspaces" / "tiles"
    for made in (folder / "src", folder / ".datalab", root):
        made.mkdir(parents=True)
    (folder / "dvc.yaml").write_text("stages: {}")
    (folder / ".env").write_text("A=1")
    for name in LINKS:
        (root / name).symlink_to(folder / name)
    return root


def test_a_repository_may_be_moved_with_its_workspaces(tmp_path: Path) -> None:
    follow_code(repository_at(tmp_path / "old"))
    (tmp_path / "old").rename(tmp_path / "new")
    root = tmp_path / "new" / "workspaces" / "tiles"
    assert [(root / name).resolve() for name in LINKS] == [tmp_path / "new" / name for name in LINKS]
    assert (root / ".env").read_text() == "A=1"


@pytest.mark.parametrize("stays", [True, False])
def test_links_to_where_the_repository_was_are_made_anew(tmp_path: Path, stays: bool) -> None:
    repository_at(tmp_path / "old")
    shutil.copytree(tmp_path / "old", tmp_path / "new", symlinks=True)
    if not stays:
        shutil.rmtree(tmp_path / "old")
    root = tmp_path / "new" / "workspaces" / "tiles"
    follow_code(root)
    assert [str((root / name).readlink()) for name in LINKS] == [f"../../{name}" for name in LINKS]
    assert (root / "dvc.yaml").read_text() == "stages: {}"


def test_the_links_of_a_workspace_elsewhere_stay_and_code_that_is_gone_is_told(tmp_path: Path) -> None:
    repository_at(tmp_path / "repository")
    root = tmp_path / "elsewhere"
    root.mkdir()
    (root / "src").symlink_to(tmp_path / "repository" / "src")
    follow_code(root)
    assert (root / "src").readlink() == tmp_path / "repository" / "src"
    shutil.rmtree(tmp_path / "repository")
    with pytest.raises(InputError, match=r"src leads to .*repository/src, which is gone; link it to datalab's src"):
        follow_code(root)


@pytest.mark.slow
def test_a_workspace_in_the_repository_is_linked_by_relative_paths(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    (repository / "src").mkdir(parents=True)
    for name in ("dvc.yaml", "params.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, repository / name)
    made = create_workspace(repository, repository / "workspaces" / "tiles", CLASSES, repository / ".env")
    assert [str((made.root / name).readlink()) for name in LINKS] == [f"../../{name}" for name in LINKS]


def test_no_class_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no class is known for .*tiles; give masks or a classes\.yaml"):
        create_workspace(ROOT, tmp_path / "tiles", (), tmp_path / "env")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_kill_between_its_guidelines_is_made_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(path: Path, content: str) -> None:
        files.write_text(path, content)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(workspaces, "write_text", killed)
        create_workspace(ROOT, tmp_path / "tiles", CLASSES, tmp_path / "env")
    made = create_workspace(ROOT, tmp_path / "tiles", CLASSES, tmp_path / "env")
    assert load_guidelines(made.guidelines).names == ["crack", "hole"]
    assert "A dark line." in (made.guidelines / "README.md").read_text()


def test_a_folder_in_the_way_of_the_link_is_told(tmp_path: Path) -> None:
    (tmp_path / "tiles" / "src").mkdir(parents=True)
    with pytest.raises(InputError, match="is in the way"):
        create_workspace(ROOT, tmp_path / "tiles", CLASSES, tmp_path / "env")


def test_what_killed_writers_left_goes_wherever_we_write_and_nowhere_else(tmp_path: Path) -> None:
    ours = (
        "data/.scores.parquet.x1.tmp", "reports/.a.json.x1.tmp", "models/.segmenter.safetensors.x1.tmp",
        ".datalab/embeddings/m/aa/.x.npy.x1.tmp", ".datalab/training/.0123.safetensors.x1.tmp", ".dvc.yaml.x1.tmp",
        "..gitignore.x1.tmp", ".params.yaml.x1.tmp", "guidelines/.classes.yaml.x1.tmp", "guidelines/.README.md.x1.tmp",
    )  # fmt: skip
    others = (".notes.x1.tmp", "guidelines/.coin.png.x1.tmp", ".datalab/label-studio/.db.x1.tmp", "photos/.a.x1.tmp")
    for name in (*ours, *others, "models/.new.x1.tmp"):
        files.write_text(tmp_path / name, "half")
        if not name.endswith("/.new.x1.tmp"):
            os.utime(tmp_path / name, (0, 0))
    clear_leftovers(Workspace(tmp_path))
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {*others, "models/.new.x1.tmp"}


def test_two_folders_of_one_name_do_not_share_a_workspace(tmp_path: Path) -> None:
    cats, dogs, root = tmp_path / "cats" / "photos", tmp_path / "dogs" / "photos", tmp_path / "workspaces" / "photos"
    for folder in (cats, dogs):
        folder.mkdir(parents=True)
    claim_folder(root, cats)
    claim_folder(root, cats)
    with pytest.raises(InputError, match=f"{root} is the workspace of {cats}, and {dogs} would get the same name"):
        claim_folder(root, dogs)
    birds = tmp_path / "my birds"
    with pytest.raises(InputError, match=f"datalab ingest '{birds}' --workspace {root}$"):
        claim_folder(root, birds)
    cats.rename(tmp_path / "cats" / "pictures")  # a folder that was moved leaves its workspace to the new place
    claim_folder(root, dogs)
    assert (root / ".made-for").read_text() == f"{dogs}\n"


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("/data/photos", "photos"),
        ("/data/tiles/images", "tiles-images"),
        ("/data/camvid/train/images", "camvid-train-images"),
        ("/data/my photos (2)", "my-photos-2"),
        ("/images", "images"),
    ],
)
def test_a_workspace_is_named_after_its_folder(folder: str, name: str) -> None:
    assert workspace_name(Path(folder)) == name
