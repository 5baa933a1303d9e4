"""What `make demo` says to wrong folders, before anything is started or written."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def demo(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(ROOT / "flows" / "demo.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--images", "no-such-folder"), "IMAGES=no-such-folder is no folder"),
        (("--images", "tests/flows"), "no image in tests/flows"),
        (("--images", ".", "--masks", "no-such-folder"), "MASKS=no-such-folder is no folder"),
        (("--images", ".", "--classes", "no-such-file"), "CLASSES=no-such-file is no file"),
        (("--masks", "."), "pass IMAGES=folder too"),
    ],
)
def test_wrong_folders_are_one_line(arguments: tuple[str, ...], message: str) -> None:
    failed = demo(*arguments)
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: ")
    assert message in failed.stderr
    assert failed.stderr.count("\n") == 1


@pytest.mark.slow
def test_help_has_an_example() -> None:
    assert "Example: python flows/demo.py --images" in demo("--help").stdout
