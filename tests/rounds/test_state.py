from pathlib import Path

import pytest

from datalab.errors import InputError, StateError
from datalab.rounds.state import (
    NOT_LEARNED,
    STEPS,
    Round,
    latest_round,
    load_round,
    next_number,
    save_round,
    taking_in_again,
)
from datalab.workspace import Workspace

NEW = Round(number=1, guideline_version="g", ontology_hash="o")


def test_steps_follow_in_order_and_facts_add_up() -> None:
    state = NEW
    for place, step in enumerate(STEPS):
        assert state.due == step
        state = state.finished(step, 1.234, {step: place})
    assert state.due is None
    assert state.seconds["push"] == 1.23
    assert state.facts["report"] == STEPS.index("report")
    assert NEW.seconds == {}


def test_a_step_out_of_order_is_refused() -> None:
    with pytest.raises(StateError, match="round 0001: 'push' cannot follow, 'ingest' is due"):
        NEW.finished("push", 0.0, {})


def test_images_are_taken_in_again_until_something_comes_of_them() -> None:
    taken = NEW.finished("ingest", 2.0, {"n": 3})
    again = taking_in_again(taken)
    assert again.due == "ingest"
    counted = taking_in_again(again.finished("ingest", 1.0, {"ingest": {"added": 2}}))
    assert counted.facts["added_before"] == 2 + taken.facts.get("ingest", {}).get("added", 0)
    chosen = taken.finished("choose", 1.0, {})
    assert taking_in_again(chosen) == chosen
    assert taking_in_again(NEW) == NEW


def test_state_survives_on_disk(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert latest_round(workspace) is None
    save_round(workspace, NEW.finished("ingest", 2.0, {"n": 3}))
    save_round(workspace, Round(2, "g", "o"))
    latest = latest_round(workspace)
    assert latest is not None
    assert latest.number == 2
    assert load_round(workspace, 1).facts == {"n": 3}


def test_a_round_that_never_began_does_not_count(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.round_folder(1).mkdir(parents=True)
    assert latest_round(workspace) is None


def test_a_foreign_file_is_told(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.round_folder(1).mkdir(parents=True)
    (workspace.round_folder(1) / "round.json").write_text('{"numbers": 1}')
    with pytest.raises(InputError, match="not the state of a round"):
        load_round(workspace, 1)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ('"seconds": null', "seconds: expected dict, got None"),
        ('"number": "1"', "number: expected int, got '1'"),
    ],
)
def test_a_field_of_another_type_is_told(tmp_path: Path, field: str, said: str) -> None:
    workspace = Workspace(tmp_path)
    workspace.round_folder(1).mkdir(parents=True)
    text = f'{{"number": 1, "guideline_version": "", "ontology_hash": "", {field}}}'
    (workspace.round_folder(1) / "round.json").write_text(text)
    with pytest.raises(InputError, match=rf"round\.json is not the state of a round: {said}"):
        load_round(workspace, 1)


def test_a_round_that_nothing_can_be_learned_from_is_over() -> None:
    state = NEW
    for step in STEPS[: STEPS.index("learn")]:
        state = state.finished(step, 1.0, {})
    over = state.finished("learn", 2.0, {NOT_LEARNED: "too few images"})
    assert over.due is None
    assert (over.seconds["learn"], over.seconds["report"]) == (2.0, 0.0)
    assert over.facts == {NOT_LEARNED: "too few images"}


def test_the_number_of_a_round_that_a_checkout_put_aside_is_not_given_again(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert next_number(workspace) == 1
    save_round(workspace, Round(1, "g", "o"))
    assert next_number(workspace) == 2
    workspace.rounds_aside.mkdir()
    (workspace.rounds_aside / "0002.json").write_text("{}")
    assert next_number(workspace) == 3
