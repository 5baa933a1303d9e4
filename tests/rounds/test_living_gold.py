"""Gold in a running project, on a workspace typed by hand."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from datalab.adapters.files import read_table, write_json, write_table
from datalab.cli import main
from datalab.config import load_params
from datalab.errors import InputError
from datalab.rounds import living_gold
from datalab.rounds.living_gold import (
    Change,
    GoldParams,
    add_gold,
    gold_in_use,
    gold_overview,
    needs_overlap,
    read_events,
    record,
    retire_leaked,
)
from datalab.tables import DECISIONS, GOLD
from datalab.workspace import Workspace
from tests.quality.images import HEIGHT, WIDTH, Box, rle
from tests.stages.rated_folder import CLASSES, write_catalog
from tests.stages.rounds_folder import Answer, without_drawings, write_round

ROOT = Path(__file__).parents[2]
COIN: Box = ("coin", 0, 0, 4, 4)
PARAMS = GoldParams(seed=1, share=0.1, at_least=1, at_most=9, leaked_share=0.67, leaked_rounds=2, keep=1)


def truth(*image_ids: str) -> pd.DataFrame:
    return pd.DataFrame(
        [(one, f"{one}-0", "coin", rle(0, 0, 4, 4), HEIGHT, WIDTH) for one in image_ids], columns=list(GOLD)
    )


def killed_at(path: Path) -> Callable[[Path, pd.DataFrame], None]:
    """Writes tables until it comes to this one."""

    def write(place: Path, table: pd.DataFrame) -> None:
        if place == path:
            raise KeyboardInterrupt
        write_table(place, table)

    return write


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Images a to f; f is a near duplicate of e; g1 and g2 are gold; three people labelled all gold in two rounds."""
    root = tmp_path / "workspace"
    (root / "guidelines").mkdir(parents=True)
    (root / "data").mkdir()
    (root / "guidelines" / "classes.yaml").write_text(CLASSES)
    for name in ("params.yaml", "dvc.yaml"):
        (root / name).write_bytes((ROOT / name).read_bytes())
    images = [*"abcdef", "g1", "g2"]
    catalog = write_catalog(root / "data", {one: f"day/{one}.png" for one in images})
    table = pd.read_parquet(catalog)
    write_table(catalog, table.assign(duplicate_group=table["image_id"].replace({"f": "e"})))
    write_table(root / "data" / "gold.parquet", truth("g1", "g2"))
    for number in (1, 2):
        answers: list[Answer] = [(image, who, [COIN]) for image in ("a", "g1", "g2") for who in ("ann", "bob", "cat")]
        folder = root / "data" / "rounds"
        write_round(folder, f"{number:04d}", answers, gold=("g1", "g2"), first_id=10 * number)
        (folder / f"{number:04d}" / "round.json").write_text("{}")
    return Workspace.at(root)


def test_truth_of_a_class_nobody_knows_is_refused(workspace: Workspace) -> None:
    before = read_table(workspace.gold, GOLD)
    with pytest.raises(
        InputError, match=r"the masks hold 'class_1', which guidelines/classes.yaml does not name .coin, cup"
    ):
        add_gold(workspace, truth("a").assign(label="class_1"), ["a"], 1, "ann", "r")
    assert read_table(workspace.gold, GOLD).equals(before)
    assert read_events(workspace).empty


def test_gold_is_never_without_a_word_of_who_added_it(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill between the two files; afterwards the image can be added as if nothing had happened."""
    with monkeypatch.context() as patched:
        patched.setattr(living_gold, "write_table", killed_at(workspace.gold))
        with pytest.raises(KeyboardInterrupt):
            add_gold(workspace, truth("a"), ["a"], 1, "ann", "r")
    assert read_events(workspace)["image_id"].tolist() == ["a"]
    assert "a" not in set(read_table(workspace.gold, GOLD)["image_id"])
    assert add_gold(workspace, truth("a"), ["a"], 1, "ann", "r") == ["a"]
    assert "a" in gold_in_use(workspace)


def test_added_gold_is_recorded_and_in_use(workspace: Workspace) -> None:
    assert gold_in_use(workspace) == ["g1", "g2"]
    assert add_gold(workspace, truth("a", "b"), ["a"], 1, "ann", "a clear case") == ["a"]
    assert gold_in_use(workspace) == ["a", "g1", "g2"]
    [event] = read_events(workspace).to_dict("records")
    assert (event["image_id"], event["action"], event["by"], event["round_id"]) == ("a", "added", "ann", "0002")
    assert set(read_table(workspace.gold, GOLD)["image_id"]) == {"a", "g1", "g2"}


def test_without_names_the_count_decides_and_near_duplicates_stay_out(workspace: Workspace) -> None:
    added = add_gold(workspace, truth("a", "b", "e", "g1"), [], 5, "ann", "more")
    assert added == ["a", "b"]
    with pytest.raises(InputError, match="no further image has truth"):
        add_gold(workspace, truth("a", "b", "e", "g1"), [], 5, "ann", "more")


@pytest.mark.parametrize(
    ("image_id", "message"),
    [("g1", "g1 is gold already"), ("c", "nobody knows the truth of image c"), ("e", "e has a near duplicate")],
)
def test_what_cannot_become_gold(workspace: Workspace, image_id: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        add_gold(workspace, truth("a", "e"), [image_id], 1, "ann", "why not")
    assert read_events(workspace).empty


def test_known_gold_is_retired_but_for_what_has_to_stay(workspace: Workspace) -> None:
    assert retire_leaked(workspace, PARAMS) == ["g1"]
    assert gold_in_use(workspace) == ["g2"]
    assert retire_leaked(workspace, PARAMS) == []
    assert len(read_table(workspace.gold, GOLD)) == 2


def test_who_has_seen_gold_is_read_without_the_drawings(workspace: Workspace) -> None:
    for number in ("0001", "0002"):
        without_drawings(workspace.rounds / number / "annotations.parquet")
    assert retire_leaked(workspace, PARAMS) == ["g1"]


def test_gold_seen_once_is_not_known(workspace: Workspace) -> None:
    (workspace.rounds / "0002" / "annotations.parquet").unlink()
    assert retire_leaked(workspace, PARAMS) == []


def test_who_came_for_a_day_does_not_keep_gold_that_everybody_knows(workspace: Workspace) -> None:
    guests: list[Answer] = [("b", f"guest{place}", [COIN]) for place in range(9)]
    write_round(workspace.rounds, "0003", guests, first_id=30)
    assert retire_leaked(workspace, PARAMS) == []  # 3 of 12 know it
    for number in (4, 5, 6):
        write_round(
            workspace.rounds, f"{number:04d}", [("c", who, [COIN]) for who in ("ann", "bob", "cat")], first_id=40
        )
    assert retire_leaked(workspace, PARAMS) == ["g1"]


def test_who_has_left_asks_for_no_more_overlap(workspace: Workspace) -> None:
    action = {"action": {"value": "more overlap"}}
    write_json(workspace.reports / "gold.json", {"annotators": {"ann": action, "bob": action}})
    assert needs_overlap(workspace) == ["ann", "bob"]
    for number in (3, 4, 5):
        write_round(workspace.rounds, f"{number:04d}", [("c", "bob", [COIN])], first_id=10 * number)
    assert needs_overlap(workspace) == ["bob"]


def test_what_is_no_gold_cannot_be_contested(workspace: Workspace) -> None:
    with pytest.raises(InputError, match="image a is no gold"):
        record(workspace, ["a"], Change("contested", "it is a cup", "ann"))
    with pytest.raises(InputError, match="'deleted' is nothing that happens to gold"):
        record(workspace, ["g1"], Change("deleted", "", "ann"))


def test_an_image_named_twice_is_retired_once(workspace: Workspace) -> None:
    record(workspace, ["g1", "g2", "g1"], Change("retired", "seen often", "ann"))
    assert read_events(workspace)["image_id"].tolist() == ["g1", "g2"]


def test_suspects_and_people_who_need_overlap_come_from_the_report(workspace: Workspace) -> None:
    assert needs_overlap(workspace) == []
    people = {name: {"action": {"value": value}} for name, value in (("ann", "warn"), ("bob", "pause"))}
    suspect = {"image_id": "g2", "among_people": 0.91, "with_gold": 0.32}
    write_json(workspace.reports / "gold.json", {"annotators": people, "suspects": [suspect]})
    assert needs_overlap(workspace) == ["bob"]
    overview = gold_overview(workspace)
    assert overview["reason"].tolist() == ["", "suspect: people agree 0.91, with gold 0.32"]
    assert overview[["rounds", "people"]].to_numpy().tolist() == [[2, 3], [2, 3]]


def cli(workspace: Workspace, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["gold", *arguments, "--workspace", str(workspace.root)])


def test_the_command_line_from_a_decision_to_retirement(workspace: Workspace) -> None:
    assert "no reviewer has decided" in cli(workspace, "add", "b", "--reason", "r").output
    decided = truth("b").assign(reviewer="rev", reason="contested", asked="")
    write_table(workspace.decisions, decided.loc[:, list(DECISIONS)])
    assert cli(workspace, "add", "--count", "3", "--reason", "adjudicated", "--by", "rev").output == "b\n"
    assert cli(workspace, "contest", "b", "--reason", "two cups", "--by", "ann").exit_code == 0
    assert "b  contested  0 rounds, 0 people  coin  two cups" in cli(workspace, "list").output
    assert cli(workspace, "uphold", "b", "--reason", "one cup").exit_code == 0
    assert cli(workspace, "retire", "b", "g1", "--disputed", "--reason", "wrong").exit_code == 0
    assert gold_in_use(workspace) == ["g2"]
    assert read_events(workspace)["action"].tolist() == ["added", "contested", "upheld", "disputed", "disputed"]


def test_the_section_of_params_is_read(workspace: Workspace) -> None:
    params = load_params(workspace.params, "gold", GoldParams)
    assert 0.5 < params.leaked_share <= 1
    assert params.keep >= 1
