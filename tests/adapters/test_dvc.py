import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from datalab.adapters import dvc
from datalab.adapters.dvc import add, initialise, repro, stages_at_rest
from datalab.errors import ServiceError, StateError
from datalab.workspace import Workspace

GRAPH = """\
stages:
  double:
    cmd: python -c "from pathlib import Path; Path('out').write_text(str(2 * int(Path('in').read_text())))"
    deps: [in]
    outs: [out]
  counted:
    cmd: >-
      python -c "import sys; sys.stderr.write('embed 0/4\\n100 of 7/7 images\\nembed 3/4\\n'); open('all', 'w')"
    deps: [in]
    outs: [all]
  broken:
    cmd: >-
      python -c "import sys; sys.exit('error: the cat sat on it')"
    deps: [out]
    outs: [never]
  long:
    cmd: python -c "import time; open('begun', 'w'); time.sleep(12); open('late', 'w')"
    deps: [in]
    outs: [late]
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    initialise(tmp_path)
    (tmp_path / "dvc.yaml").write_text(GRAPH)
    (tmp_path / "in").write_text("21")
    return Workspace(tmp_path)


@pytest.mark.slow
def test_stages_run_once_and_say_so(workspace: Workspace) -> None:
    seen: list[str] = []
    assert repro(workspace, ["double"], seen.append) == ["double"] == seen
    assert (workspace.root / "out").read_text() == "42"
    assert repro(workspace, ["double"]) == []


@pytest.mark.slow
def test_a_long_stage_tells_how_far_it_is(workspace: Workspace) -> None:
    seen: list[tuple[float, str]] = []
    repro(workspace, ["counted"], on_count=lambda share, words: seen.append((share, words)))
    assert seen == [(0.0, "embed 0/4"), (0.75, "embed 3/4")]


@pytest.mark.slow
def test_a_failing_stage_is_one_line_with_its_own_words(workspace: Workspace) -> None:
    with pytest.raises(StateError, match="dvc repro broken failed: error: the cat sat on it") as caught:
        repro(workspace, ["broken"])
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_merge_conflict_is_called_one(workspace: Workspace) -> None:
    (workspace.root / "dvc.lock").write_text("<<<<<<< HEAD\nschema: '2.0'\n=======\n")
    with pytest.raises(StateError, match=r"double failed: '\./dvc\.lock' is invalid \(possible merge conflicts\)\."):
        repro(workspace, ["double"])


@pytest.mark.slow
def test_raw_data_is_versioned(workspace: Workspace) -> None:
    add(workspace, [workspace.root / "in"])
    assert "md5" in (workspace.root / "in.dvc").read_text()
    initialise(workspace.root)
    assert (workspace.root / "in.dvc").exists()


@pytest.mark.slow
def test_a_kill_before_the_calls_home_are_off_is_made_good(workspace: Workspace) -> None:
    config = workspace.root / ".dvc" / "config"
    whole = config.read_text()
    assert "analytics = false" in whole and "check_update = false" in whole
    config.write_text("")
    initialise(workspace.root)
    assert config.read_text() == whole
    config.write_text(whole.replace("false", "true"))
    initialise(workspace.root)
    assert "false" not in config.read_text()


@pytest.mark.slow
def test_a_folder_gets_a_repository_of_its_own_whichever_the_shell_works_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other"))
    (tmp_path / "own").mkdir()
    initialise(tmp_path / "own")
    assert (tmp_path / "own" / ".git" / "HEAD").is_file()
    assert not (tmp_path / "other").exists()


def test_without_git_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StateError, match="git is not installed, and DVC needs it; install it and run again"):
        initialise(tmp_path)


def test_what_git_refuses_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match=r"git init failed in \S+/file: fatal: cannot mkdir .*: File exists") as caught:
        initialise(tmp_path / "file")
    assert "\n" not in str(caught.value)


@pytest.fixture
def another(workspace: Workspace) -> Iterator["subprocess.Popen[bytes]"]:
    """A dvc command that is at work for some seconds in the same workspace."""
    binaries = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    command = [str(binaries / "dvc"), "repro", "--quiet", "long"]
    with subprocess.Popen(command, cwd=workspace.root, env=environment) as process:
        while not (workspace.root / "begun").exists():
            assert process.poll() is None
            time.sleep(0.05)
        yield process


@pytest.mark.slow
@pytest.mark.parametrize("ours", ["add", "repro"])
def test_another_command_at_work_is_waited_for(
    workspace: Workspace, another: "subprocess.Popen[bytes]", ours: str
) -> None:
    waits: list[int | None] = []

    def on_wait(_: str) -> None:
        waits.append(another.poll())

    if ours == "add":
        add(workspace, [workspace.root / "in"], on_wait)
        assert (workspace.root / "in.dvc").exists()
    else:
        assert repro(workspace, ["long"], on_wait=on_wait) == []
    assert waits[0] is None
    assert another.poll() == 0


@pytest.mark.slow
def test_but_not_for_ever(
    workspace: Workspace, another: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dvc, "PATIENCE_S", 0.0)
    with pytest.raises(
        ServiceError, match=r"another dvc command is at work .*pid \d+ in \S+/rwlock.* wait for it, then run again"
    ):
        add(workspace, [workspace.root / "in"])
    assert another.poll() is None


@pytest.mark.slow
@pytest.mark.parametrize("ours", ["add", "repro"])
def test_what_a_killed_command_left_half_written_is_cleared_away(workspace: Workspace, ours: str) -> None:
    add(workspace, [workspace.root / "in"])
    rwlock = workspace.root / ".dvc" / "tmp" / "rwlock"
    assert rwlock.exists()
    rwlock.write_text("" if ours == "add" else '{"write": {"/w/in": {"pid"')
    if ours == "add":
        add(workspace, [workspace.root / "in"])
    else:
        assert repro(workspace, ["double"]) == ["double"]
    assert rwlock.read_text().startswith("{")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "left"), [("dvc.lock", 0), ("dvc.lock", 20), ("in.dvc", 4)])
def test_a_file_of_dvcs_own_that_a_kill_cut_off_is_made_anew(workspace: Workspace, name: str, left: int) -> None:
    add(workspace, [workspace.root / "in"])
    assert repro(workspace, ["double"]) == ["double"]
    path = workspace.root / name
    whole = path.read_bytes()
    path.write_bytes(whole[:left])
    add(workspace, [workspace.root / "in"])
    assert repro(workspace, ["double"]) == []  # it is in the run cache
    assert path.read_bytes() == whole


@pytest.mark.slow
def test_a_graph_that_a_person_broke_stays_as_it_is(workspace: Workspace) -> None:
    (workspace.root / "dvc.yaml").write_text("stages: 7\n")
    with pytest.raises(StateError, match=r"dvc\.yaml"):
        repro(workspace, ["double"])
    assert (workspace.root / "dvc.yaml").read_text() == "stages: 7\n"


@pytest.mark.slow
def test_who_writes_what_stages_read_waits_for_them(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    order: list[str] = []

    def on_stage(stage: str) -> None:
        writer.start()
        while not caplog.records:
            time.sleep(0.05)

    def write() -> None:
        with stages_at_rest(workspace):
            order.append("write")

    writer = threading.Thread(target=write)
    repro(workspace, ["double"], on_stage)
    order.append("done")
    writer.join(10)
    assert sorted(order) == ["done", "write"]
    assert caplog.messages == [f"stages are at work in {workspace.root}; this goes on when they are done"]


RUN = """\
import sys
from pathlib import Path
from datalab.adapters.dvc import repro
from datalab.workspace import Workspace
repro(Workspace(Path(sys.argv[1])), ["long"])
"""


@pytest.mark.slow
def test_stages_that_outlive_a_killed_run_are_waited_for(workspace: Workspace) -> None:
    with subprocess.Popen([sys.executable, "-c", RUN, str(workspace.root)]) as run:
        while not (workspace.root / "begun").exists():
            assert run.poll() is None
            time.sleep(0.05)
        run.kill()
    assert not (workspace.root / "late").exists()
    waits: list[str] = []
    with stages_at_rest(workspace, waits.append):
        assert (workspace.root / "late").exists()
    assert waits == ["waiting for stages that are at work in this workspace"]


@pytest.mark.slow
def test_who_writes_what_stages_read_waits_for_a_persons_own_command(
    workspace: Workspace, another: "subprocess.Popen[bytes]"
) -> None:
    waits: list[str] = []
    with stages_at_rest(workspace, waits.append):
        assert (workspace.root / "late").exists()
    assert waits == ["waiting for stages that are at work in this workspace"]


@pytest.mark.slow
@pytest.mark.parametrize("ours", ["add", "repro"])
def test_whoever_has_the_number_of_a_killed_command_by_now_holds_nobody_up(workspace: Workspace, ours: str) -> None:
    add(workspace, [workspace.root / "in"])
    note = {"pid": os.getpid(), "cmd": "dvc repro"}
    files = {str(workspace.root / name): note for name in ("in", "out")}
    rwlock = workspace.root / ".dvc" / "tmp" / "rwlock"
    rwlock.write_text(json.dumps({"write": files}))
    os.utime(rwlock, (0, 0))
    if ours == "add":
        add(workspace, [workspace.root / "in"], lambda _: pytest.fail("it waits"))
    else:
        assert repro(workspace, ["double"]) == ["double"]
