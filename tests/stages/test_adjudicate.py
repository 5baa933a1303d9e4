from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from datalab.adapters.files import read_json, read_table, write_json, write_table
from datalab.errors import InputError
from datalab.masks import rle_area
from datalab.stages.adjudicate import Inputs, Params, run
from datalab.tables import ADJUDICATION, DECISIONS, LABEL_ERRORS, QUEUE, empty
from tests.quality.images import HEIGHT, WIDTH, Box, rle, tables

PARAMS = Params(seed=1, audit_share=0.0, risk=2.0, agreement=1.0, skill=1.0, model=1.0, label_error=1.0, ask="images")
COIN, RING, WHOLE = rle(0, 0, 4, 3), rle(0, 3, 4, 4), rle(0, 0, 4, 4)
PEOPLE = {"ann": 0.9, "bob": 0.5}


def queue(
    folder: Path,
    contested: tuple[str, ...] = (),
    decided: tuple[str, ...] = (),
    errors: tuple[tuple[str, str, float], ...] = (),
    params: Params = PARAMS,
    asked: str = "",
    gold: tuple[str, ...] = (),
    judged: int = 9,
) -> pd.DataFrame:
    """Images a to t by ann; a and b by bob as well, who agreed on a. `judged`: gold images that each has seen."""
    answers: dict[tuple[str, str], list[Box]] = {(image, "ann"): [] for image in "abcdefghijklmnopqrst"}
    answers |= {("a", "bob"): [], ("b", "bob"): []}
    ratings = tables(answers)[0]
    roles = np.where(ratings["image_id"].isin(gold), "gold", "batch")
    write_table(folder / "ratings.parquet", ratings.assign(role=roles))
    agreement = pd.DataFrame({"image_id": ["a", "b"], "agreement": [1.0, 0.2]})
    write_table(folder / "agreement.parquet", agreement)
    scores = {name: {"skill": skill, "images": judged} for name, skill in PEOPLE.items()}
    write_json(folder / "gold.json", {"annotators": scores})
    doubts = [(one, "r", "coin", COIN, HEIGHT, WIDTH, "existence", False, RING, 1, 2, "ann") for one in contested]
    write_table(folder / "adjudication.parquet", pd.DataFrame(doubts, columns=list(ADJUDICATION)))
    rows = [(one, "", "", "", HEIGHT, WIDTH, "eve", "contested", asked) for one in decided]
    write_table(folder / "decisions.parquet", pd.DataFrame(rows, columns=list(DECISIONS)) if rows else empty(DECISIONS))
    found = [(one, kind, "cup", "coin", 0, 0, 4, 4, score) for one, kind, score in errors]
    write_table(folder / "errors.parquet", pd.DataFrame(found, columns=list(LABEL_ERRORS)))
    write_json(folder / "consensus.json", {"audited_images": 12, "wrong_images": 3})
    names = ("ratings.parquet", "agreement.parquet", "gold.json", "adjudication.parquet", "decisions.parquet")
    inputs = Inputs(*(folder / name for name in (*names, "errors.parquet", "consensus.json")))
    run(inputs, folder / "queue.parquet", folder / "left.json", params)
    return read_table(folder / "queue.parquet", QUEUE)


def test_the_skill_of_people_who_have_seen_no_gold_is_not_known(tmp_path: Path) -> None:
    table = queue(tmp_path, contested=("b",), judged=0)
    assert np.isnan(table["skill"]).all()
    assert table["risk"].tolist() == pytest.approx([0.8])


def test_the_riskiest_come_first_and_say_why(tmp_path: Path) -> None:
    table = queue(tmp_path, contested=("a", "b", "c"), errors=(("c", "swapped", 0.9), ("c", "model", 0.8)))
    assert table["image_id"].tolist() == ["c", "b", "a"]
    assert table["rank"].tolist() == [0, 1, 2]
    assert table["risk"].tolist() == pytest.approx([(0.1 + 0.8 + 0.9) / 3, (0.8 + 0.3) / 2, (0 + 0.3) / 2])
    assert table["why"].tolist() == [
        "existence of coin, cup or coin? (swapped)",
        "existence of coin",
        "existence of coin",
    ]
    assert np.isnan(table["model"]).tolist() == [False, True, True]


def test_an_image_that_the_model_finds_nothing_on_is_safer_than_one_with_a_suspect(tmp_path: Path) -> None:
    errors = (("c", "model", 0.8), ("d", "model", 0.8), ("d", "swapped", 0.6))
    table = queue(tmp_path, contested=("c", "d", "e"), errors=errors).set_index("image_id")
    assert table.index.tolist() == ["d", "c", "e"]
    assert table["risk"].tolist() == pytest.approx([(0.1 + 0.8 + 0.6) / 3, (0.1 + 0.8 + 0) / 3, 0.1])
    assert table["label_error"].tolist() == pytest.approx([0.6, 0, np.nan], nan_ok=True)


def test_of_several_suspected_errors_the_worst_counts_and_is_named(tmp_path: Path) -> None:
    errors = (("c", "spurious", 0.3), ("c", "swapped", 0.9), ("c", "dropped", 0.5))
    table = queue(tmp_path, contested=("c",), errors=errors)
    assert table["label_error"].tolist() == [0.9]
    assert table["why"].tolist() == ["existence of coin, cup or coin? (swapped)"]


def test_what_is_decided_is_not_asked_again(tmp_path: Path) -> None:
    assert queue(tmp_path, contested=("a",), decided=("b",))["image_id"].tolist() == ["a"]


def test_gold_is_not_asked_about(tmp_path: Path) -> None:
    everything = Params(**{**vars(PARAMS), "audit_share": 1.0})
    table = queue(tmp_path, contested=("a",), gold=("a", "b"), params=everything)
    assert sorted(table["image_id"]) == list("cdefghijklmnopqrst")
    assert read_json(tmp_path / "left.json")["unseen_images"] == 18


def test_whole_images_are_asked_about(tmp_path: Path) -> None:
    assert queue(tmp_path, contested=("a",))["asked"].tolist() == [""]


def test_contested_objects_are_asked_about_alone(tmp_path: Path) -> None:
    objects = Params(**{**vars(PARAMS), "ask": "objects"})
    table = queue(tmp_path, contested=("a",), params=objects)
    assert table[["image_id", "asked"]].to_numpy().tolist() == [["a", WHOLE]]
    risky = queue(tmp_path, errors=(("d", "dropped", 0.95),), params=Params(**{**vars(objects), "risk": 0.5}))
    assert set(risky["asked"]) == {""}


def test_what_came_up_after_a_decision_about_a_part_is_asked_with_it(tmp_path: Path) -> None:
    objects = Params(**{**vars(PARAMS), "ask": "objects"})
    table = queue(tmp_path, contested=("b",), decided=("b",), params=objects, asked=rle(4, 4, 6, 8))
    assert rle_area(table["asked"].iloc[0], HEIGHT, WIDTH) == 16 + 8


def test_an_unknown_way_of_asking_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"adjudicate\.ask is 'all' in params\.yaml; known: images, objects"):
        queue(tmp_path, params=Params(**{**vars(PARAMS), "ask": "all"}))


def test_a_risky_image_is_queued_though_nobody_contested_it(tmp_path: Path) -> None:
    errors = (("d", "dropped", 0.95), ("e", "dropped", 0.6))
    table = queue(tmp_path, errors=errors, params=Params(**{**vars(PARAMS), "risk": 0.5}))
    assert table[["image_id", "reason"]].to_numpy().tolist() == [["b", "contested"], ["d", "contested"]]


def test_the_audit_is_drawn_among_what_nobody_contested(tmp_path: Path) -> None:
    table = queue(tmp_path, contested=("a", "b", "c"), params=Params(**{**vars(PARAMS), "audit_share": 0.5}))
    audit = table[table["reason"] == "audit"]
    assert 3 < len(audit) < 15
    assert not set(audit["image_id"]) & {"a", "b", "c"}
    assert table.loc[table["reason"] == "contested", "image_id"].tolist() == ["b", "a", "c"]
    assert table["rank"].tolist() == list(range(len(table)))


def test_the_audit_speaks_of_what_it_is_drawn_from_alone(tmp_path: Path) -> None:
    """20 images: two are contested, two decided, and two of the others risky, which the audit never draws."""
    errors = (("d", "dropped", 0.95), ("e", "dropped", 0.9))
    params = Params(**{**vars(PARAMS), "risk": 0.5})
    queue(tmp_path, contested=("a", "b"), decided=("f", "g"), errors=errors, params=params)
    left = read_json(tmp_path / "left.json")
    assert (left["unseen_images"], left["risky_images"]) == (14, 2)
    assert left["wrong_share"]["value"] == 0.25
    assert left["wrong_images_left"]["value"] == 14 / 4


def test_nothing_to_ask(tmp_path: Path) -> None:
    table = queue(tmp_path)
    assert table.empty
    assert table.columns.tolist() == list(QUEUE)
