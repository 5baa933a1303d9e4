"""The command line as a person meets it: help with an example, errors of one line and exit code 1."""

import errno
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from datalab.cli import main

ROOT = Path(__file__).parents[1]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    (root / "guidelines").mkdir(parents=True)
    for name in ("params.yaml", "dvc.yaml", "guidelines/classes.yaml"):
        (root / name).write_bytes((ROOT / name).read_bytes())
    return root


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_shows_an_example(command: str) -> None:
    shown = run(command, "--help")
    assert shown.exit_code == 0
    assert f"Example: datalab {command}" in shown.output


def test_ingest_tells_what_it_did_and_again_adds_nothing(workspace: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (40, 30), (9, 99, 199)).save(photos / "a.png")
    (photos / "b.jpg").write_bytes(b"no picture")
    first, second = run("ingest", photos, "--workspace", workspace), run("ingest", photos, "--workspace", workspace)
    assert "2 files: 1 added, 0 known" in first.output
    assert "1 quarantined; 0 other files" in first.output
    assert "quarantined: b.jpg: " in first.output
    assert "2 files: 0 added, 1 known" in second.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ingest", "no-such-folder"), "does not exist"),
        (("summary",), "has no report"),
        (("ingest", "."), "no image"),
    ],
)
def test_errors_are_one_line(
    arguments: tuple[str, ...], message: str, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    failed = run(*arguments, "--workspace", workspace)
    assert failed.exit_code == 1
    assert failed.output.startswith("error: ")
    assert message in failed.output
    assert failed.output.count("\n") == 1
    assert not (workspace / "data").exists()


@pytest.mark.parametrize("seed", ["-1", str(2**32)])
def test_a_seed_that_is_none_is_refused(tmp_path: Path, seed: str) -> None:
    failed = run("sample", tmp_path / "out", "--seed", seed)
    assert failed.exit_code == 2
    assert f"Error: Invalid value for '--seed': {seed} is not in the range 0<=x<=4294967295" in failed.output
    assert not (tmp_path / "out").exists()


def test_somebody_without_a_user_name_is_asked_for_one(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 4321")

    monkeypatch.setattr("getpass.getuser", nobody)
    failed = run("gold", "contest", "a", "--reason", "two cups", "--workspace", workspace)
    assert failed.exit_code == 1
    assert failed.output == "error: the system has no user name for you; say who you are: --by NAME\n"


def test_of_many_refused_files_the_first_are_named(workspace: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(12):
        (photos / f"{number:02d}.jpg").write_bytes(b"no picture %d" % number)
    told = run("ingest", photos, "--workspace", workspace).output
    assert told.count("quarantined: ") == 10
    assert f"and 2 more in {workspace / 'data' / 'rejected.parquet'}" in told


def test_no_gold_is_said(workspace: Path) -> None:
    told = run("gold", "list", "--workspace", workspace)
    assert told.exit_code == 0
    assert told.output.startswith("no image is gold yet; datalab gold add makes some")


@pytest.mark.parametrize("command", ["status", "down"])
def test_of_servers_elsewhere_nothing_is_said(command: str, tmp_path: Path) -> None:
    failed = run(command, tmp_path)
    assert failed.exit_code == 1
    assert failed.output == f"error: no servers were started from {tmp_path}; go to the datalab repository\n"


@pytest.mark.parametrize("command", ["up", "down", "status"])
@pytest.mark.parametrize("link", ["here", "here/.env"])
def test_links_that_go_in_a_circle_are_one_line(command: str, link: str, tmp_path: Path) -> None:
    path = tmp_path / link
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(path)
    failed = run(command, tmp_path / "here")
    assert failed.exit_code == 1
    assert failed.output == f"error: {path}: its links go in a circle; remove the link, or give another path\n"


@pytest.mark.parametrize("arguments", [("up",), ("down",), ("status",), ("ingest",), ("gold", "add")])
@pytest.mark.parametrize(
    ("path", "why"),
    [("x" * 5000, f"{'x' * 50}...: this is longer than a path may be"), ("a\0b", "a path has a null byte in it")],
)
def test_what_can_be_no_path_is_one_line(
    arguments: tuple[str, ...], path: str, why: str, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace)
    failed = run(*arguments, path, *(("--masks", path, "--reason", "why") if "add" in arguments else ()))
    assert failed.exit_code == 1
    assert failed.output.startswith("error: ")
    assert f"{why}; give another one\n" in failed.output
    assert failed.output.count("\n") == 1
    assert len(failed.output) < 400


def test_a_folder_that_one_may_not_look_into_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(path: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", forbidden)
    failed = run("status", tmp_path)
    assert failed.exit_code == 1
    assert failed.output.startswith(f"error: {tmp_path / '.env'}: you have no permission for it; ")


@pytest.mark.parametrize("bug", [ValueError("a bug"), RuntimeError("a bug"), OSError(errno.EBADF, "a bug", "a")])
def test_a_bug_keeps_its_traceback(bug: Exception, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise bug

    monkeypatch.setattr("datalab.adapters.images.search_images", fail)
    assert run("ingest", "photos", "--workspace", workspace).exception is bug


def test_outside_a_workspace(tmp_path: Path) -> None:
    failed = run("summary", "--workspace", tmp_path)
    assert failed.exit_code == 1
    assert failed.output == (
        f"error: {tmp_path} is no datalab workspace: params.yaml is missing; go to one, or give it: "
        "--workspace FOLDER, or of a flow -p workspace=FOLDER\n"
    )


@pytest.mark.parametrize(("name", "why"), [("circle", "its links go in a circle"), ("x" * 300, "File name too long")])
def test_a_workspace_that_leads_nowhere(name: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    failed = run("summary", "--workspace", tmp_path / name)
    assert failed.exit_code == 1
    said = f"error: {tmp_path / name} is no datalab workspace: {why}; give another one: --workspace FOLDER, "
    assert failed.output.startswith(said)
    assert failed.output.count("\n") == 1
