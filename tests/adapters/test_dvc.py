from pathlib import Path

import pytest

from datalab.adapters.dvc import add, initialise, repro
from datalab.errors import StateError
from datalab.workspace import Workspace

GRAPH = """\
stages:
  double:
    cmd: python -c "from pathlib import Path; Path('out').write_text(str(2 * int(Path('in').read_text())))"
    deps: [in]
    outs: [out]
  broken:
    cmd: >-
      python -c "import sys; sys.exit('error: the cat sat on it')"
    deps: [out]
    outs: [never]
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
def test_a_failing_stage_is_one_line_with_its_own_words(workspace: Workspace) -> None:
    with pytest.raises(StateError, match="dvc repro failed: error: the cat sat on it") as caught:
        repro(workspace)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_raw_data_is_versioned(workspace: Workspace) -> None:
    add(workspace, [workspace.root / "in"])
    assert "md5" in (workspace.root / "in.dvc").read_text()
    initialise(workspace.root)
    assert (workspace.root / "in.dvc").exists()
