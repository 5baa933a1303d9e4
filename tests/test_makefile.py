"""`make setup` with programs that only note what they are asked: what it does anew, and when it does nothing."""

import subprocess
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
INPUTS = ("requirements.txt", "requirements-label-studio.txt", "pyproject.toml")
ENVIRONMENTS = [".venv-label-studio", ".venv"]
PYTHON = """\
#!/bin/bash
# python -m venv FOLDER, and in it a python and a uv that do nothing but make Label Studio
[ "$2" = venv ] || exit 0
echo "$3" >> made
mkdir -p "$3/bin"
printf '#!/bin/bash\\n[ "$2" != sync ] || touch .venv-label-studio/bin/label-studio\\n' > "$3/bin/uv"
cp "$0" "$3/bin/python"
chmod +x "$3/bin/uv"
echo "VIRTUAL_ENV='$PWD/$3'" > "$3/bin/activate"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Set up; its path has a space in it."""
    folder = tmp_path / "my checkout"
    folder.mkdir()
    for name in INPUTS:
        (folder / name).touch()
    (folder / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
    (folder / "python").write_text(PYTHON)
    (folder / "python").chmod(0o755)
    assert made(folder) == ENVIRONMENTS
    return folder


def setup(folder: Path) -> str:
    done = subprocess.run(
        ["make", "setup", "PYTHON=./python"], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def made(folder: Path) -> list[str]:
    """The environments that a run makes."""
    (folder / "made").unlink(missing_ok=True)
    setup(folder)
    return (folder / "made").read_text().split() if (folder / "made").exists() else []


def test_what_is_there_stays(checkout: Path) -> None:
    assert "Nothing to be done" in setup(checkout)


def test_a_moved_checkout_gets_new_environments(checkout: Path) -> None:
    moved = checkout.rename(checkout.with_name("moved"))
    assert made(moved) == ENVIRONMENTS
    assert "Nothing to be done" in setup(moved)


def test_an_environment_that_was_deleted_is_made_again(checkout: Path) -> None:
    (checkout / ".venv-label-studio").rename(checkout / "gone")
    assert made(checkout) == [".venv-label-studio"]
    (checkout / ".venv-label-studio" / "bin" / "label-studio").unlink()
    assert made(checkout) == []
    assert (checkout / ".venv-label-studio" / "bin" / "label-studio").exists()


def test_an_environment_that_was_not_finished_is_made_again(checkout: Path) -> None:
    (checkout / ".venv" / "bin" / "activate").unlink()
    assert made(checkout) == [".venv"]


def test_a_changed_lock_is_installed_into_what_is_there(checkout: Path) -> None:
    (checkout / "requirements.txt").write_text("more")
    assert "pip sync" in setup(checkout)


@pytest.mark.slow
def test_every_pin_runs_on_the_oldest_python_that_is_promised() -> None:
    """Debian 12 has Python 3.11.2, and what is locked on a newer one may not be for it."""
    asked = {one.name: one.metadata["Requires-Python"] for one in distributions()}
    assert len(asked) > 100
    limited = {name: SpecifierSet(versions) for name, versions in asked.items() if versions}
    assert [name for name, versions in limited.items() if not versions.contains("3.11.0")] == []
