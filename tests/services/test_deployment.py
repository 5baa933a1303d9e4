"""`prefect deployment run label-round` against a real server and worker, with a small flow of the same kind."""

import subprocess
import sys
from pathlib import Path

import pytest
import requests

from datalab.prefect_plugin import full_name
from datalab.services import prefect
from datalab.settings import Settings

FLOW = """\
import shutil
from pathlib import Path

from prefect import flow


@flow(name="small-round")
def small_round(workspace: str = ".") -> None:
    Path(workspace, "seen.txt").write_text(f"{Path.cwd()} {shutil.which('python')}")
"""
DEPLOYMENTS = """\
deployments:
  - {name: small-round, entrypoint: "flows/small.py:small_round", work_pool: {name: datalab}}
"""
PLUGINS = "[tool.prefect.plugins]\nenabled = true\n"


def run_deployment(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """As a person would: in the folder, whose .env and pyproject.toml Prefect reads."""
    command = [str(Path(sys.executable).parent / "prefect"), "deployment", "run", *arguments]
    return subprocess.run(
        command, cwd=folder, env={"HOME": str(folder)}, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.mark.parametrize(("name", "full"), [("label-round", "label-round/label-round"), ("a/b", "a/b"), ("", "/")])
def test_one_name_stands_for_flow_and_deployment(name: str, full: str) -> None:
    assert full_name(name) == full


@pytest.mark.services
@pytest.mark.slow
def test_a_plain_name_runs_the_deployment_in_its_folder(worker: Settings, stack_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "small.py").write_text(FLOW)
    (tmp_path / "prefect.yaml").write_text(DEPLOYMENTS)
    (tmp_path / "pyproject.toml").write_text(PLUGINS)
    (tmp_path / ".env").symlink_to(stack_folder / ".env")
    prefect.deploy(tmp_path, stack_folder / ".datalab", worker)
    done = run_deployment(tmp_path, "small-round", "--watch", "--watch-interval", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "seen.txt").read_text() == f"{tmp_path} {Path(sys.executable).parent / 'python'}"


@pytest.mark.services
@pytest.mark.slow
def test_an_unknown_name_is_not_found(worker: Settings, stack_folder: Path) -> None:
    done = run_deployment(stack_folder, "no-such-round")
    assert done.returncode == 1
    assert "not found" in done.stdout + done.stderr


@pytest.mark.services
@pytest.mark.slow
def test_the_repositorys_deployment_is_registered(worker: Settings, stack_folder: Path) -> None:
    done = run_deployment(stack_folder, "label-round", "--start-in", "1000 hours")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "label-round/label-round" in done.stdout


@pytest.mark.services
@pytest.mark.slow
def test_a_run_in_what_is_no_workspace_says_so_in_its_state(worker: Settings, stack_folder: Path) -> None:
    wanted = ("-p", "workspace=/no/such/workspace", "--watch", "--watch-interval", "1")
    assert run_deployment(stack_folder, "label-round", *wanted).returncode == 1
    asked = {"flow_runs": {"state": {"type": {"any_": ["FAILED", "CRASHED"]}}}}
    (run,) = requests.post(f"{worker.prefect_api_url}/flow_runs/filter", json=asked, timeout=30).json()
    said = "InputError: /no/such/workspace is no datalab workspace: params.yaml is missing; go to one, or give it: "
    assert run["state"]["type"] == "FAILED"
    assert run["state"]["message"].endswith(f"{said}--workspace FOLDER, or of a flow -p workspace=FOLDER")
    assert "\n" not in run["state"]["message"]
