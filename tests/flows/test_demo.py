"""What `make demo` says to wrong folders, before anything is started or written."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from datalab.adapters.files import write_json
from datalab.errors import InputError, NothingLeftError
from datalab.rounds.opening import Source
from datalab.rounds.state import NOT_LEARNED, STEPS, Round, save_round
from datalab.workspace import Workspace
from demo import check_folders, prepare, run, run_flow, say
from tests.rounds.labeling_round import nobody
from tests.rounds.test_summary import REPORT

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
        (("--images", "x" * 5000), "this is longer than a path may be; give another one"),
        (("--images", "docs/images", "--classes", "x" * 300), "this is longer than a path may be; give another one"),
        (("--images", "docs/images", "--annotators", "simulated"), "simulated annotators draw from exact masks"),
    ],
)
def test_wrong_folders_are_one_line(arguments: tuple[str, ...], message: str) -> None:
    failed = demo(*arguments)
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: ")
    assert message in failed.stderr
    assert failed.stderr.count("\n") == 1


@pytest.mark.parametrize("given", ["images", "masks", "classes"])
def test_a_name_that_is_no_text_is_told_before_anything_is_started(tmp_path: Path, given: str) -> None:
    (tmp_path / "photos").mkdir()
    named = tmp_path / os.fsdecode(b"ph\xe4tos")
    named.mkdir()
    paths = {"images": tmp_path / "photos", "masks": None, "classes": None, given: named}
    with pytest.raises(InputError, match=r"the name of '\S+ph\\udce4tos' is no UTF-8 text; rename it"):
        check_folders(**paths)


@pytest.mark.slow
def test_other_classes_for_a_workspace_that_has_some_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("demo.workspace_root", lambda images: tmp_path / "workspace")
    (tmp_path / "photos").mkdir()
    classes = tmp_path / "classes.yaml"
    for names in (("road", "car"), ("road", "tree")):
        classes.write_text("classes:\n" + "".join(f"  - {{id: {n}, name: {one}}}\n" for n, one in enumerate(names, 1)))
        prepare(tmp_path / "photos", None, classes)
        said = " ".join(capsys.readouterr().out.split())
        assert ("hold: road, car; change them there" in said) is ("tree" in names)


def test_a_repository_that_came_without_git_becomes_one_for_the_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("params.yaml", "dvc.yaml", ".dvc/config", "guidelines/classes.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    (tmp_path / ".datalab" / "sample").mkdir(parents=True)
    monkeypatch.setattr("demo.REPOSITORY", tmp_path)
    prepare(None, None, None)
    assert (tmp_path / ".git" / "HEAD").is_file()


def test_work_that_is_done_ends_with_its_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = Workspace(tmp_path)
    save_round(workspace, Round(2, "g", "o"))
    write_json(workspace.reports / "round-0002.json", REPORT)

    def nothing_left(*_: object) -> int:
        raise NothingLeftError("every image has been labelled; ingest new ones")

    monkeypatch.setattr("demo.up", lambda _: None)
    monkeypatch.setattr("demo.prepare", lambda *_: (workspace, Source(None, None, None)))
    monkeypatch.setattr("demo.run_flow", nothing_left)
    run(None, None, None, None)
    said = capsys.readouterr().out
    assert "Round 2 of tiles" in said
    assert said.rstrip().endswith("every image has been labelled; ingest new ones")


def test_a_round_without_a_model_says_why_and_so_does_work_that_is_done_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = Workspace(tmp_path)
    why = {NOT_LEARNED: "round 0001 ends without a model: too few images"}
    save_round(workspace, Round(1, "g", "o", seconds=dict.fromkeys(STEPS, 0.0), facts=why))

    def nothing_left(*_: object) -> int:
        raise NothingLeftError("every image has been labelled; ingest new ones")

    monkeypatch.setattr("demo.up", lambda _: None)
    monkeypatch.setattr("demo.prepare", lambda *_: (workspace, Source(None, None, None)))
    for flow, said in ((lambda *_: 1, why[NOT_LEARNED]), (nothing_left, "every image has been labelled; ingest new")):
        monkeypatch.setattr("demo.run_flow", flow)
        run(None, None, None, None)
        assert capsys.readouterr().out.startswith(said)


@pytest.mark.parametrize(
    ("name", "proxy", "kept"),
    [
        ("HTTP_PROXY", "http://127.0.0.1:9", {"HTTP_PROXY": "http://127.0.0.1:9"}),
        ("http_proxy", "http://127.0.0.1:9", {"http_proxy": "http://127.0.0.1:9"}),
        ("ALL_PROXY", "socks5://127.0.0.1:9", {}),
        ("all_proxy", "socks5://127.0.0.1:9", {}),
    ],
)
def test_the_flow_calls_the_server_past_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, proxy: str, kept: dict[str, str]
) -> None:
    workspace = Workspace(tmp_path)
    workspace.env.write_text("".join(f"{key}={value}\n" for key, value in nobody(tmp_path).items()))
    monkeypatch.setattr("os.environ", {name: proxy})
    seen: dict[str, str] = {}

    def flow(*_: str) -> int:
        httpx.Client().close()  # as Prefect does; with a SOCKS proxy it raises
        seen.update({key: value for key, value in os.environ.items() if "proxy" in key.lower()})
        return 1

    monkeypatch.setitem(sys.modules, "label_round", SimpleNamespace(label_round=flow))
    assert run_flow(workspace, Source()) == 1
    assert seen == {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost", **kept}


@pytest.mark.parametrize("name", ["car [/red]", "car [red]", ":car:"])
def test_what_is_said_is_printed_as_it_is(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = f"datalab ingest FOLDER --workspace '/data/[old] tiles/{'x' * 80}'; {name}"
    say(told)
    assert capsys.readouterr().out == f"{told}\n"


@pytest.mark.slow
def test_help_has_an_example() -> None:
    assert "Example: python flows/demo.py --images" in demo("--help").stdout
